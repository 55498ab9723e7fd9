"""Whom a node asks for blocks, and what it makes of slow, silent and false peers."""

from __future__ import annotations

import pytest

from node.following.blocksync import ANSWER_MS, FALSE_MS, REST_MS, BlockSync, UnaskedError

ALL = {1: 9, 2: 9, 3: 9}


def ask(sync: BlockSync, now: int, heights: dict[int, int] | None = None) -> int:
    """The peer that is asked now."""
    assert sync.ask(now, 5, ALL if heights is None else heights, 7) is None
    assert sync.open is not None
    return sync.open.peer


def answer(sync: BlockSync) -> bool:
    assert sync.open is not None
    return sync.expects(sync.open.peer, sync.open.number)


@pytest.fixture
def sync() -> BlockSync:
    return BlockSync([1, 2, 3])


def test_each_peer_is_tried_once_and_then_the_fastest(sync: BlockSync) -> None:
    paces = {1: 400, 2: 100, 3: 900}
    tried = []
    for now in (0, 1_000, 2_000):
        tried.append(ask(sync, now))
        assert answer(sync)
        sync.good(now + paces[tried[-1]], 1_000)
    assert sorted(tried) == [1, 2, 3]
    assert ask(sync, 3_000) == 2


def test_only_who_says_it_has_the_height_is_asked(sync: BlockSync) -> None:
    assert ask(sync, 0, {1: 6, 2: 7}) == 2
    sync.empty(0)
    assert sync.ask(1, 5, {1: 6, 2: 7}, 7) == REST_MS - 1
    assert sync.ask(1, 5, {}, 7) == REST_MS
    assert ask(sync, REST_MS, {1: 6, 2: 7}) == 2


def test_who_was_asked_already_can_be_left_out(sync: BlockSync) -> None:
    first = ask(sync, 0)
    sync.good(1, 10)
    assert sync.ask(1, 5, ALL, 7, [first]) is None
    assert sync.open is not None
    assert sync.open.peer != first
    sync.good(2, 10)
    assert sync.ask(2, 5, ALL, 7, [1, 2, 3]) == REST_MS


def test_who_says_late_that_it_has_nothing_is_asked_last(sync: BlockSync) -> None:
    """Never asked for its pace again: it held up each half second of the others for eight more."""
    now, asked = 0, list[int]()
    for _ in range(40):
        asked.append(ask(sync, now))
        assert answer(sync)
        if asked[-1] == 1:
            now += ANSWER_MS - 1
            sync.empty(now)
        else:
            now += 50
            sync.good(now, 100_000)
    assert asked.count(1) == 1
    assert asked.count(2) + asked.count(3) == 39


def test_who_has_nothing_yet_is_asked_again_at_its_pace(sync: BlockSync) -> None:
    first = ask(sync, 0)
    sync.good(50, 100_000)
    for now in (100, 200):
        ask(sync, now)
        sync.good(now + 90, 100_000)
    assert ask(sync, 300) == first
    sync.empty(301)
    assert ask(sync, 301) != first
    sync.good(400, 100_000)
    assert ask(sync, 301 + REST_MS) == first


def test_a_silent_peer_is_left_alone_and_its_late_answer_is_not_a_lie(sync: BlockSync) -> None:
    silent = ask(sync, 0)
    late = sync.open
    assert late is not None
    assert sync.left_ms(0) == ANSWER_MS
    assert sync.left_ms(ANSWER_MS + 1) == 0
    sync.silent(ANSWER_MS)
    other = ask(sync, ANSWER_MS)
    assert other != silent
    assert not sync.expects(silent, late.number)
    assert answer(sync)
    with pytest.raises(UnaskedError):
        sync.expects(silent, late.number)  # once is enough
    sync.good(ANSWER_MS + 5, 10)
    # After its rest it is asked again, but whoever has shown a pace, or was never asked, before.
    rested = ANSWER_MS + REST_MS
    assert ask(sync, rested, {silent: 9, other: 9}) == other
    sync.empty(rested)
    assert ask(sync, rested, {silent: 9, other: 9}) == silent


@pytest.mark.parametrize(("peer", "number"), [(1, 2), (1, 0), (2, 1), (9, 1)])
def test_what_was_not_asked_for_is_refused(sync: BlockSync, peer: int, number: int) -> None:
    assert ask(sync, 0) == 1
    with pytest.raises(UnaskedError):
        sync.expects(peer, number)
    assert answer(sync)


def test_an_answer_counts_once(sync: BlockSync) -> None:
    ask(sync, 0)
    assert answer(sync)
    with pytest.raises(UnaskedError):
        answer(sync)


def test_a_false_peer_rests_longer_each_time(sync: BlockSync) -> None:
    only, now = {1: 9}, 0
    for times in range(4):
        ask(sync, now, only)
        sync.false(now)
        rest = FALSE_MS << times
        assert sync.ask(now + rest - 1, 5, only, 7) == 1
        now += rest
    ask(sync, now, only)
    sync.good(now + 1, 10)
    ask(sync, now + 1, only)
    sync.false(now + 1)
    assert sync.ask(now + FALSE_MS, 5, only, 7) == 1  # truth counts: it begins again


def test_after_a_lost_link_older_answers_are_not_taken(sync: BlockSync) -> None:
    peer = ask(sync, 0)
    lost = sync.open
    assert lost is not None
    assert not sync.link_down(2)
    assert sync.link_down(peer)
    sync.silent(0)
    with pytest.raises(UnaskedError):
        sync.expects(peer, lost.number)
    assert ask(sync, REST_MS, {peer: 9}) == peer
    assert sync.open is not None
    assert sync.open.number == lost.number + 1
    assert answer(sync)

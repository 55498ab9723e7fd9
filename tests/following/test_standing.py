"""Where a node stands among peers of which f may lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.following.standing import (
    CLAIM_MS_MAX,
    LAG_HEIGHTS_MAX,
    LAG_MS,
    STILL_MS,
    Claim,
    Standing,
    clock_complaint,
)
from node.system.disk import DiskRoom

START = 1_000_000.0


def heard(
    standing: Standing, now_ms: float, *heights: int, offsets: tuple[float, ...] = ()
) -> None:
    for number, height in enumerate(heights, 1):
        offset = offsets[number - 1] if offsets else 0.0
        standing.heard(number, Claim(height, offset, now_ms))


def stand(final_height: int, *heights: int, liars: int = 1, for_ms: float = 0) -> str | None:
    """The complaint after so long with the same heights."""
    standing = Standing(liars)
    now = START
    while True:
        heard(standing, now, *heights)
        standing.look(final_height, now)
        if now >= START + for_ms:
            return standing.complaint(now)
        now += 500


@pytest.mark.parametrize(
    ("final_height", "heights", "for_ms", "said"),
    [
        (10, (10, 10, 10), 60_000, None),
        (10, (11, 11, 11), STILL_MS - 1_000, None),
        (10, (11, 11, 11), STILL_MS + 1_000, "1 final blocks behind"),
        (10, (10, 10, 2**53), 60_000, None),  # one may lie
        (10, (10, 11, 2**53), STILL_MS + 1_000, "1 final blocks behind"),
        (10, (500, 500, 500), LAG_MS - 1_000, None),
        (10, (500, 500, 500), LAG_MS + 1_000, "490 final blocks behind"),
        (10, (10 + LAG_HEIGHTS_MAX,) * 3, LAG_MS + 1_000, None),
        (10, (500,), 60_000, None),  # nobody else says so
        (10, (), 60_000, None),
        (10, (3, 4, 5), 60_000, None),
    ],
)
def test_what_at_least_one_honest_peer_has_counts(
    final_height: int, heights: tuple[int, ...], for_ms: float, said: str | None
) -> None:
    complaint = stand(final_height, *heights, for_ms=for_ms)

    assert complaint == said if said is None else said in (complaint or "")


def test_without_liars_one_peer_is_enough() -> None:
    assert stand(10, 500, liars=0, for_ms=LAG_MS + 1_000) is not None


def test_who_catches_up_is_not_still() -> None:
    standing, now = Standing(1), START
    for height in range(10, 60):
        heard(standing, now, 60, 60, 60)
        standing.look(height, now)
        assert standing.complaint(now) is None
        now += STILL_MS / 2
    standing.look(60, now)
    assert standing.complaint(now + 1) is None


def test_old_claims_and_lost_peers_count_no_more() -> None:
    standing = Standing(1)
    heard(standing, START, 99, 99, 99)
    assert standing.lag(START) == 99
    assert standing.lag(START + CLAIM_MS_MAX + 1) == 0
    standing.forget(1)
    standing.forget(2)
    assert standing.lag(START) == 0


@pytest.mark.parametrize(
    ("offsets", "own"),
    [
        ((10_000.0, 10_000.0, 10_000.0), -10_000.0),  # this one is slow
        ((0.0, 0.0, 10_000.0), 0.0),  # another one is fast
        ((-10_000.0, 0.0, 0.0), 0.0),
        ((-4_000.0, -4_000.0, 2.0**60), 2_000.0),  # the middle of an even number lies between
        ((5.0,), 0.0),  # too few to tell
    ],
)
def test_the_clock_is_compared_with_the_middle_of_all(
    offsets: tuple[float, ...], own: float
) -> None:
    standing = Standing(1)
    heard(standing, START, *[0] * len(offsets), offsets=offsets)

    assert standing.clock_offset_ms(START) == own


def test_a_folder_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    room = DiskRoom(tmp_path / "gone")

    assert not room.full
    assert DiskRoom(tmp_path).free_bytes > 0


@pytest.mark.parametrize(
    ("offset_ms", "ahead_ms", "told"),
    [
        (0, 0, None),
        (2_500, 7_500, None),
        (-2_500, -(10**12), None),
        (2_501, 0, "ahead of those of the peers"),
        (-2_501, 0, "behind those of the peers"),
        (0, 7_501, "the newest block is 8 s ahead of this clock"),
    ],
)
def test_what_is_wrong_with_the_time_is_told(
    offset_ms: float, ahead_ms: float, told: str | None
) -> None:
    complaint = clock_complaint(offset_ms, ahead_ms, 5_000)
    assert complaint is None if told is None else told in str(complaint)


def test_who_has_no_room_for_files_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.statvfs(tmp_path)
    values = [*found[:5], 1_000, 3, 3, *found[8:]]  # files, free ones, and those for this user
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    room = DiskRoom(tmp_path)

    assert room.full
    assert "room for 3 files" in room.complaint

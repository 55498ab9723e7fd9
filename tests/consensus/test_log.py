"""Positions, the memory tail, and how far the disk is."""

from __future__ import annotations

import pytest

from consensus.config import RaftConfig
from consensus.core.log import RaftLog, entry_bytes
from consensus.errors import ConfigError
from consensus.types import ZERO_HASH, LogIndex, NodeId
from tests.consensus.lab import chain


def make_log(*terms: int, tail_bytes_max: int = 1 << 20) -> RaftLog:
    log = RaftLog([], tail_bytes_max)
    for entry in chain(*terms):
        log.append(entry)
    return log


def test_an_empty_log_ends_at_zero() -> None:
    log = RaftLog([], 100)

    assert (log.last_index, log.last_term, log.last_hash) == (0, 0, ZERO_HASH)
    assert log.matches(0, 0, ZERO_HASH)
    assert not log.matches(1, 1, ZERO_HASH)


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [
        (7, 3, (7, 3)),  # the last one fits
        (9, 3, (7, 3)),  # beyond the end: the end
        (7, 2, (4, 2)),  # down to a term that fits
        (6, 9, (6, 3)),
        (3, 2, (3, 2)),
        (4, 1, (2, 1)),
        (7, 0, (0, 0)),  # nothing fits
        (0, 3, (0, 0)),
    ],
)
def test_a_hint_is_the_last_position_that_may_be_shared(
    index: int, term: int, found: tuple[int, int]
) -> None:
    assert make_log(1, 1, 2, 2, 3, 3, 3).hint(index, term) == found


def test_positions_survive_without_entries() -> None:
    entries = chain(1, 2, 3)
    log = RaftLog([(entry.term, entry.hash) for entry in entries], 100)

    assert (log.last_index, log.tail_first, log.stable_index) == (3, 4, 3)
    assert [log.hash_at(n) for n in (1, 2, 3)] == [entry.hash for entry in entries]


def test_truncation_takes_back_stability_and_hand_out() -> None:
    log = make_log(1, 1, 1)
    log.hand_out()
    log.settle()
    log.truncate(LogIndex(2))

    assert (log.last_index, log.stable_index, log.handed_index, log.unstable_bytes) == (1, 1, 1, 0)


def test_truncation_below_the_tail_leaves_an_empty_tail() -> None:
    entries = chain(1, 1, 1)
    log = RaftLog([(entry.term, entry.hash) for entry in entries], 100)
    log.truncate(LogIndex(2))
    replacement = chain(2, first=entries[:1])[1]
    log.append(replacement)

    assert (log.tail_first, log.last_index, log.last_hash) == (2, 2, replacement.hash)
    assert log.slice(2, 2, 9, 9) == [replacement]


def test_only_durable_entries_leave_memory() -> None:
    log = make_log(*[1] * 10, tail_bytes_max=1)
    assert log.tail_first == 1

    log.hand_out()
    log.settle()
    assert (log.tail_first, log.unstable_bytes) == (11, 0)


def test_entries_are_handed_out_once() -> None:
    log = make_log(1, 1)

    assert [entry.index for entry in log.hand_out()] == [1, 2]
    assert log.hand_out() == []


def test_a_slice_is_bounded_but_never_empty() -> None:
    log = make_log(1, 1, 1, 1)
    size = entry_bytes(log.slice(1, 1, 1, 1)[0])

    assert [e.index for e in log.slice(1, 4, 2, 10 * size)] == [1, 2]
    assert [e.index for e in log.slice(1, 4, 9, 3 * size)] == [1, 2, 3]
    assert [e.index for e in log.slice(2, 4, 9, 1)] == [2]


VOTERS = (NodeId(0), NodeId(1), NodeId(2))


@pytest.mark.parametrize(
    "changes",
    [
        {"node": NodeId(-1)},
        {"node": NodeId(2**32)},
        {"voters": (NodeId(0), NodeId(0))},
        {"voters": (NodeId(0), NodeId(2**32))},
        {"tick_ms": 0},
        {"heartbeat_ticks": 9},
        {"catch_up_ticks_max": 16},
        {"priority": 9},
        {"priority": -1},
        {"trailing_entries": -1},
        {"chunk_bytes": 5 << 20},
        {"chunk_bytes": 0},
        {"inbox_bytes_max": 1 << 20},
        {"window_bytes": 1_000},
        {"payload_bytes_max": 20 << 20},
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    values: dict[str, object] = {"node": NodeId(0), "voters": VOTERS} | changes
    with pytest.raises(ConfigError):
        RaftConfig(**values)  # type: ignore[arg-type]


def test_the_largest_message_fits_into_four_mebibytes() -> None:
    assert RaftConfig(node=NodeId(0), voters=VOTERS).wire_bytes_max <= 4 << 20

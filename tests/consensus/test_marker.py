"""The two-slot marker: what survives, and what is noticed."""

from __future__ import annotations

import errno
import os
import resource
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from consensus.stores.marker import (
    EXTRA_BYTES_MAX,
    SLOT_BYTES,
    Condition,
    Marker,
    MarkerError,
    MarkerFullError,
    Promises,
)
from consensus.types import HardState, LogIndex, NodeId, Term

HASH = bytes(range(32))


def record(marker: Marker, number: int, *, suspect: bool = False) -> None:
    """A write that can be told from others."""
    state = HardState(Term(number), NodeId(2))
    marker.record_log(state, LogIndex(10 * number), HASH, suspect=suspect)


def promised(number: int, extra: bytes = b"", *, suspect: bool = False) -> Promises:
    return Promises(Term(number), NodeId(2), LogIndex(10 * number), HASH, suspect, extra)


def written(path: Path, times: int) -> None:
    marker = Marker.open(path)
    for number in range(1, times + 1):
        record(marker, number)
    marker.close()


def reopened(path: Path) -> Marker:
    marker = Marker.open(path)
    marker.close()
    return marker


def test_a_new_marker_is_missing_then_ok(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    assert reopened(path).condition is Condition.MISSING
    written(path, 1)

    marker = reopened(path)
    assert (marker.condition, marker.promises) == (Condition.OK, promised(1))


@pytest.mark.parametrize("times", [1, 2, 3, 8])
def test_the_newest_write_is_found_again(tmp_path: Path, times: int) -> None:
    written(tmp_path / "marker", times)
    marker = reopened(tmp_path / "marker")

    assert (marker.condition, marker.promises) == (Condition.OK, promised(times))
    assert marker.generation == times


def test_both_writers_keep_what_the_other_wrote(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    record(marker, 4, suspect=True)
    marker.record_extra(b"first")
    marker.record_extra(b"second")
    assert marker.promises == promised(4, b"second", suspect=True)
    record(marker, 5)
    marker.close()

    assert reopened(tmp_path / "marker").promises == promised(5, b"second")


def repeat(action: Callable[[int], None]) -> None:
    for number in range(1, 51):
        action(number)


def test_two_threads_lose_nothing(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    threads = [
        threading.Thread(target=repeat, args=[lambda n: record(marker, n)]),
        threading.Thread(target=repeat, args=[lambda n: marker.record_extra(b"%d" % n)]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    marker.close()

    assert reopened(tmp_path / "marker").promises == promised(50, b"50")


@pytest.mark.parametrize("at", [0, 8, 12, 20, 24, 60, SLOT_BYTES - 1])
@pytest.mark.parametrize("times", [2, 3])
def test_a_damaged_newest_slot_is_torn_and_the_older_one_serves(
    tmp_path: Path, at: int, times: int
) -> None:
    path = tmp_path / "marker"
    written(path, times)
    data = bytearray(path.read_bytes())
    data[(times - 1) % 2 * SLOT_BYTES + at] ^= 1
    path.write_bytes(data)
    marker = Marker.open(path)

    assert (marker.condition, marker.promises) == (Condition.TORN, promised(times - 1))
    record(marker, 9)
    marker.close()
    again = reopened(path)
    assert (again.condition, again.promises) == (Condition.OK, promised(9))


@pytest.mark.parametrize("times", [2, 3])
def test_a_damaged_older_slot_is_torn_and_the_next_write_mends_it(
    tmp_path: Path, times: int
) -> None:
    path = tmp_path / "marker"
    written(path, times)
    data = bytearray(path.read_bytes())
    data[times % 2 * SLOT_BYTES + 30] ^= 1
    path.write_bytes(data)
    marker = Marker.open(path)

    assert (marker.condition, marker.promises) == (Condition.TORN, promised(times))
    record(marker, 9)
    marker.close()
    assert reopened(path).condition is Condition.OK


def test_a_cut_file_is_torn_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    written(path, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[: SLOT_BYTES + 100])
    assert reopened(path).condition is Condition.TORN

    path.write_bytes(whole[:100])
    assert reopened(path).condition is Condition.DAMAGED


def test_two_damaged_slots_are_damage_and_an_empty_file_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    path.write_bytes(bytes(2 * SLOT_BYTES))
    assert reopened(path).condition is Condition.DAMAGED

    path.write_bytes(b"")
    assert reopened(path).condition is Condition.MISSING


def test_a_slot_whose_contents_are_no_promises_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    body = struct.pack(">QI", 1, 5) + b"words"
    body = body.ljust(SLOT_BYTES - 12, b"\0")
    path.write_bytes(b"RFMARK01" + zlib.crc32(body).to_bytes(4, "big") + body)

    assert reopened(path).condition is Condition.DAMAGED


def test_after_closing_nothing_is_promised(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    record(marker, 1)
    marker.close()
    marker.close()
    with pytest.raises(MarkerError):
        record(marker, 2)

    assert marker.promises == promised(1)


def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    marker.record_extra(bytes(EXTRA_BYTES_MAX))
    with pytest.raises(ValueError, match="do not fit"):
        marker.record_extra(bytes(EXTRA_BYTES_MAX + 1))
    state = HardState(Term(2**62), NodeId(2**32 - 1))
    marker.record_log(state, LogIndex(2**62), HASH, suspect=True)
    marker.close()

    assert reopened(tmp_path / "marker").promises.extra == bytes(EXTRA_BYTES_MAX)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_without_room_nothing_is_noted_and_a_later_write_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    marker = Marker.open(tmp_path / "marker")
    record(marker, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(number))
        for _ in range(2):
            with pytest.raises(MarkerFullError):
                record(marker, 2)
    assert marker.promises == promised(1)
    assert reopened(tmp_path / "marker").promises == promised(1)
    record(marker, 3)
    assert reopened(tmp_path / "marker").promises == promised(3)
    marker.close()


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_disk_that_fails_is_trusted_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    marker = Marker.open(tmp_path / "marker")
    record(marker, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        with pytest.raises(MarkerError):
            record(marker, 2)
    with pytest.raises(MarkerError, match="failed"):
        record(marker, 3)
    assert marker.promises == promised(1)


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("size", [SLOT_BYTES, SLOT_BYTES + 100])
def test_after_a_failed_write_every_later_one_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "marker"
    marker = Marker.open(path)
    record(marker, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # slot 1 has no room, or too little
    try:
        with pytest.raises(MarkerError):
            record(marker, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(MarkerError, match="failed"):
        record(marker, 3)

    again = reopened(path)
    assert again.promises == promised(1)
    assert os.path.getsize(path) == size

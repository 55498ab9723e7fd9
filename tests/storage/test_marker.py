"""The two-slot marker: what survives, and what is noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from node.storage.marker import (
    SLOT_BYTES,
    Condition,
    Marker,
    MarkerError,
    Promises,
    SignedCheckpoint,
)

HASH = bytes(range(32))


def signed(height: int, cosignature: bytes = b"") -> SignedCheckpoint:
    return SignedCheckpoint(height, 10 * height, HASH, b"frontier", cosignature, 1_700_000_000)


def written(path: Path, times: int) -> Marker:
    marker = Marker.open(path)
    for number in range(1, times + 1):
        marker.record_log(number, 2, 10 * number, HASH, suspect=False)
    return marker


def test_a_new_marker_is_missing_then_ok(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    assert Marker.open(path).condition is Condition.MISSING
    written(path, 1).close()

    marker = Marker.open(path)
    assert (marker.condition, marker.promises) == (Condition.OK, Promises(1, 2, 10, HASH))


@pytest.mark.parametrize("times", [1, 2, 3, 8])
def test_the_newest_write_is_found_again(tmp_path: Path, times: int) -> None:
    written(tmp_path / "marker", times).close()
    marker = Marker.open(tmp_path / "marker")

    assert marker.condition is Condition.OK
    assert marker.promises.last_index == 10 * times


def test_both_writers_keep_what_the_other_wrote(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    marker.record_log(4, None, 7, HASH, suspect=True)
    marker.record_signed(signed(3))
    marker.record_signed(signed(3, b"cosignature"))
    marker.record_log(5, 1, 8, HASH, suspect=False)
    marker.close()

    assert Marker.open(tmp_path / "marker").promises == Promises(
        5, 1, 8, HASH, False, signed(3, b"cosignature")
    )


def repeat(action: Callable[[int], None]) -> None:
    for number in range(1, 51):
        action(number)


def test_two_threads_lose_nothing(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    threads = [
        threading.Thread(
            target=repeat, args=[lambda n: marker.record_log(1, 0, n, HASH, suspect=False)]
        ),
        threading.Thread(target=repeat, args=[lambda n: marker.record_signed(signed(n))]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    marker.close()
    promises = Marker.open(tmp_path / "marker").promises

    assert (promises.last_index, promises.signed) == (50, signed(50))


@pytest.mark.parametrize("height", [1, 2])
def test_a_signed_height_never_goes_back(tmp_path: Path, height: int) -> None:
    marker = Marker.open(tmp_path / "marker")
    marker.record_signed(signed(3))
    with pytest.raises(ValueError, match="below"):
        marker.record_signed(signed(height))

    assert marker.promises.signed == signed(3)


@pytest.mark.parametrize("at", [0, 8, 12, 20, 24, 60, SLOT_BYTES - 1])
@pytest.mark.parametrize("times", [2, 3])
def test_a_damaged_newest_slot_is_torn_and_the_older_one_serves(
    tmp_path: Path, at: int, times: int
) -> None:
    path = tmp_path / "marker"
    written(path, times).close()
    data = bytearray(path.read_bytes())
    data[(times - 1) % 2 * SLOT_BYTES + at] ^= 1
    path.write_bytes(data)
    marker = Marker.open(path)

    assert (marker.condition, marker.promises.term) == (Condition.TORN, times - 1)
    marker.record_log(9, None, 99, HASH, suspect=False)
    marker.close()
    again = Marker.open(path)
    assert (again.condition, again.promises.term) == (Condition.OK, 9)


def test_a_cut_file_is_torn_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    written(path, 2).close()
    whole = path.read_bytes()
    path.write_bytes(whole[: SLOT_BYTES + 100])
    assert Marker.open(path).condition is Condition.TORN

    path.write_bytes(whole[:100])
    assert Marker.open(path).condition is Condition.DAMAGED


def test_two_damaged_slots_are_damage_and_an_empty_file_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "marker"
    path.write_bytes(bytes(2 * SLOT_BYTES))
    assert Marker.open(path).condition is Condition.DAMAGED

    path.write_bytes(b"")
    assert Marker.open(path).condition is Condition.MISSING


def test_after_closing_nothing_is_promised(tmp_path: Path) -> None:
    marker = written(tmp_path / "marker", 1)
    marker.close()
    with pytest.raises(MarkerError):
        marker.record_log(2, None, 2, HASH, suspect=False)

    assert marker.promises.term == 1


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    huge = SignedCheckpoint(1, 1, HASH, bytes(5_000), b"", 0)
    with pytest.raises(MarkerError):
        marker.record_signed(huge)

    assert marker.promises.signed is None

"""The node's promises in the marker of consensus: what it remembers of its signatures."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.types import HardState, LogIndex, NodeId, Term
from node.chain.certified import CertifiedHead
from node.storage.marker import Condition, Marker, MarkerError, SignedCheckpoint, SigningMemory

HASH = bytes(range(32))
STATE = HardState(Term(5), NodeId(1))


def signed(height: int, cosignature: bytes = b"") -> SignedCheckpoint:
    return SignedCheckpoint(height, 10 * height, HASH, b"frontier", cosignature, 1_700_000_000)


def test_a_signed_checkpoint_is_found_again_beside_the_logs_promises(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    assert marker.memory == SigningMemory()
    marker.record_memory(SigningMemory(signed(3)))
    marker.record_log(STATE, LogIndex(8), HASH, suspect=False)
    marker.record_memory(SigningMemory(signed(3, b"cosignature")))
    marker.close()
    again = Marker.open(tmp_path / "marker")
    again.close()

    assert (again.condition, again.memory.signed) == (Condition.OK, signed(3, b"cosignature"))
    assert (again.promises.hard_state, again.promises.last_index) == (STATE, 8)


@pytest.mark.parametrize("height", [1, 2])
def test_a_signed_height_never_goes_back(tmp_path: Path, height: int) -> None:
    marker = Marker.open(tmp_path / "marker")
    marker.record_memory(SigningMemory(signed(3)))
    with pytest.raises(ValueError, match="below"):
        marker.record_memory(SigningMemory(signed(height)))
    with pytest.raises(ValueError, match="below"):
        marker.record_memory(SigningMemory(rejoining=True))
    marker.close()

    assert marker.memory.signed == signed(3)


def test_the_largest_checkpoint_fits_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    checkpoint = SignedCheckpoint(2**62, 2**62, HASH, bytes(2_560), bytes(76), 2**62)
    lines = tuple((number, bytes(76)) for number in range(7))
    largest = SigningMemory(checkpoint, CertifiedHead(2**62, 2**62, HASH, lines), True, 2**62)
    marker.record_memory(largest)
    with pytest.raises(ValueError, match="do not fit"):
        marker.record_memory(
            SigningMemory(SignedCheckpoint(2**63, 2**62, HASH, bytes(3_584), b"", 0))
        )
    marker.close()

    assert marker.memory == largest


def test_a_marker_is_made_once_and_remembers_that_nothing_was_signed(tmp_path: Path) -> None:
    Marker.make(tmp_path / "marker")
    with pytest.raises(FileExistsError):
        Marker.make(tmp_path / "marker")
    marker = Marker.open(tmp_path / "marker")
    marker.close()

    assert (marker.condition, marker.memory) == (Condition.OK, SigningMemory())


def test_what_another_program_noted_is_no_checkpoint(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "marker")
    marker.record_extra(b"something else")
    with pytest.raises(MarkerError):
        _ = marker.memory
    with pytest.raises(MarkerError):
        marker.record_memory(SigningMemory(signed(1)))
    marker.close()

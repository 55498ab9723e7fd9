"""The node's Raft log: the store of consensus and the node's own promises in one marker."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.ports import AppendBatch
from consensus.types import HardState, LogIndex, NodeId, Term
from node.storage.damage import DamagedFileError
from node.storage.marker import Marker, SignedCheckpoint, SigningMemory
from node.storage.raft_log import ENTRY_FORMAT, open_raft_log
from tests.consensus.lab import chain

STATE = HardState(Term(3), NodeId(1))


async def test_log_and_signed_checkpoint_are_found_again(tmp_path: Path) -> None:
    log = chain(1, 1, 3, entry_type=ENTRY_FORMAT.entry_type)
    signed = SignedCheckpoint(2, 20, bytes(32), b"frontier", b"cosignature", 1_700_000_000)
    marker = Marker.open(tmp_path / "marker")
    store = await open_raft_log(tmp_path / "raft.db", marker)
    await store.load()
    await store.append(AppendBatch(STATE, log[:2]))
    marker.record_memory(SigningMemory(signed))
    await store.append(AppendBatch(None, log[2:]))
    await store.close()
    marker.close()

    marker = Marker.open(tmp_path / "marker")
    store = await open_raft_log(tmp_path / "raft.db", marker)
    recovered = await store.load()
    assert (recovered.hard_state, recovered.suspect) == (STATE, False)
    assert await store.read(LogIndex(1), LogIndex(3), 1 << 20) == log
    assert marker.memory.signed == signed
    await store.close()
    marker.close()


async def test_a_file_that_cannot_be_read_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "raft.db").write_bytes(b"not a database" * 1_000)
    marker = Marker.open(tmp_path / "marker")
    with pytest.raises(DamagedFileError, match=r"raft\.db is damaged: .*cannot be read"):
        await open_raft_log(tmp_path / "raft.db", marker)
    marker.close()

"""What the README says of upgrades: another format's name, and the way of one member at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from consensus import (
    AppendBatch,
    Committed,
    Entry,
    HardState,
    LogIndex,
    NodeId,
    RaftConfig,
    RaftNode,
    Role,
    SqliteStore,
    Term,
    WrongFileError,
    open_sqlite_store,
)
from consensus.stores.marker import SLOT_BYTES

VOTERS = (NodeId(1), NodeId(2), NodeId(3))


async def written(path: Path) -> None:
    """A store's files, as a member leaves them."""
    store = await open_sqlite_store(path)
    await store.load()
    await store.append(AppendBatch(HardState(Term(7)), ()))
    await store.append(AppendBatch(HardState(Term(8)), ()))
    await store.close()


async def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raft.db"
    await written(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id={0x52465432}")
    connection.close()

    with pytest.raises(WrongFileError, match="not a log of this version"):
        await open_sqlite_store(path)


async def test_a_marker_of_another_version_makes_a_suspect_and_is_written_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "raft.db"
    await written(path)
    marker = path.with_name("raft.db.marker")
    ours = marker.read_bytes()
    assert ours.count(b"RFMARK01") == 2
    marker.write_bytes(ours.replace(b"RFMARK01", b"RFMARK02"))

    store = await open_sqlite_store(path)
    recovered = await store.load()
    await store.close()

    assert recovered.suspect
    assert recovered.hard_state.term == 8, "what the file itself says is not lost"
    held = marker.read_bytes()
    assert (held[:8], held[SLOT_BYTES : SLOT_BYTES + 8]) == (b"RFMARK01", b"RFMARK01")


class Group:
    """Three members in one process, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[NodeId, RaftNode] = {}
        self.stores: dict[NodeId, SqliteStore] = {}
        self.applied: dict[NodeId, list[bytes]] = {}

    async def start(self, number: NodeId, *, rejoin: bool = False) -> None:
        group, applied = self, list[bytes]()

        class Machine:
            applied_index = LogIndex(0)

            async def apply(self, entries: Sequence[Entry]) -> None:
                for entry in entries:  # a payload is its own request number: see `put`
                    if entry.payload and entry.payload not in applied:
                        applied.append(entry.payload)
                self.applied_index = entries[-1].index

        class Wire:
            def send(self, to: NodeId, message: bytes) -> None:
                asyncio.get_running_loop().call_soon(group.deliver, number, to, message)

        store = await open_sqlite_store(self.path(number), rejoin=rejoin)
        config = RaftConfig(node=number, voters=VOTERS, tick_ms=10)
        self.nodes[number] = RaftNode(config, store, Wire(), Machine())
        self.stores[number], self.applied[number] = store, applied
        await self.nodes[number].start()

    def path(self, number: NodeId) -> Path:
        return self.folder / f"{number}.db"

    def deliver(self, sender: NodeId, to: NodeId, message: bytes) -> None:
        if to in self.nodes:
            self.nodes[to].receive(sender, message)

    async def stop(self, number: NodeId) -> None:
        await self.nodes.pop(number).stop()
        await self.stores.pop(number).close()

    async def put(self, payload: bytes) -> None:
        async with asyncio.timeout(20):
            while True:
                for node in self.nodes.values():
                    leads = node.status.role is Role.LEADER
                    if leads and isinstance(await node.execute(payload, 5.0), Committed):
                        return
                await asyncio.sleep(0.02)

    async def agreed(self, payloads: Sequence[bytes]) -> None:
        async with asyncio.timeout(20):
            while any(self.applied[number] != payloads for number in self.nodes) or any(
                node.status.suspect for node in self.nodes.values()
            ):
                await asyncio.sleep(0.02)


async def test_each_member_in_turn_gets_new_files_and_votes_again(tmp_path: Path) -> None:
    group = Group(tmp_path)
    for number in VOTERS:
        await group.start(number)
    payloads = [b"before"]
    await group.put(payloads[0])
    for number in VOTERS:
        await group.agreed(payloads)
        await group.stop(number)
        old = group.path(number)
        for file in (old, old.with_name(f"{old.name}-wal")):
            if file.exists():
                file.rename(file.with_name(f"old-{file.name}"))
        await group.start(number, rejoin=True)
        assert group.nodes[number].status.suspect
        payloads.append(b"after %d" % number)
        await group.put(payloads[-1])
    await group.agreed(payloads)

    for number in VOTERS:
        await group.stop(number)
        store = await open_sqlite_store(group.path(number))
        assert not (await store.load()).suspect
        await store.close()

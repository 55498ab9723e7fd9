"""A program that embeds `consensus` and imports nothing else: every port is its own.

`test_installed.py` runs it, and checks its types, where only `consensus` is installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from consensus import (
    BEGINNING,
    Admission,
    AppendBatch,
    Applier,
    Authority,
    Committed,
    Entry,
    EntryFormat,
    EntryKind,
    HardState,
    Life,
    LogIndex,
    LogStore,
    MemoryStore,
    NodeId,
    Outcome,
    RaftConfig,
    RaftNode,
    RaftStatus,
    Recovered,
    Rejected,
    Rng,
    Role,
    Sender,
    Snapshot,
    SnapshotApplier,
    SnapshotStore,
    Term,
    Unknown,
    decode_membership,
)

ME = NodeId(1)
FORMAT = EntryFormat(b"words/v1\n")


class Log:
    """Records as bytes, as a store on a disk has them."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self.records: list[bytes] = []

    async def load(self) -> Recovered:
        entries = [FORMAT.decode(record) for record in self.records]
        memberships = [
            (entry.index, decode_membership(entry.payload))
            for entry in entries
            if entry.kind is EntryKind.MEMBERSHIP
        ]
        positions: list[tuple[Term, bytes]] = [(entry.term, entry.hash) for entry in entries]
        return Recovered(
            self.hard_state, positions, suspect=False, base=BEGINNING, memberships=memberships
        )

    async def append(self, batch: AppendBatch) -> None:
        if batch.entries:
            del self.records[batch.entries[0].index - 1 :]
            self.records += [entry.encoded for entry in batch.entries]
        if batch.hard_state is not None:
            self.hard_state = batch.hard_state

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        return [FORMAT.decode(record) for record in self.records[first - 1 : last]]


class Nobody:
    def send(self, to: NodeId, message: bytes) -> None:
        raise AssertionError(f"there is no member {to}")


class Words:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.applied_index = LogIndex(0)
        self.captured_index = LogIndex(0)

    async def apply(self, entries: Sequence[Entry]) -> Sequence[object]:
        self.words += [entry.payload.decode() for entry in entries if entry.payload]
        self.applied_index = self.captured_index = entries[-1].index
        return [len(self.words)] * len(entries)

    async def capture(self) -> AsyncIterator[bytes]:
        async def parts(text: str) -> AsyncIterator[bytes]:
            yield text.encode()

        return parts(" ".join(self.words))

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        self.words = b"".join([part async for part in data]).decode().split()
        self.applied_index = self.captured_index = snapshot.index


class Signer:
    def attest(self, header: bytes) -> bytes:
        return header[:8]

    def admit(self, sender: NodeId, entry: Entry) -> Admission:
        return Admission.ACCEPT if entry.attestation else Admission.FORGED

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None: ...

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None: ...


class Shortest:
    def randrange(self, start: int, stop: int) -> int:
        return start


def spoken(outcome: Outcome) -> str:
    match outcome:
        case Committed(index, term, result):
            return f"committed {index} of term {term}: {result}"
        case Rejected(reason):
            return f"rejected: {reason.value}"
        case Unknown(reason):
            return f"unknown: {reason.value}"


async def main() -> None:
    log: LogStore = Log()
    sender: Sender = Nobody()
    words = Words()
    machine: Applier = words
    capturing: SnapshotApplier = words
    snapshots: SnapshotStore = MemoryStore()
    authority: Authority = Signer()
    rng: Rng = Shortest()
    roles: list[Role] = []

    def observe(status: RaftStatus) -> None:
        roles.append(status.role)

    config = RaftConfig(node=ME, entries=FORMAT, voters=(ME,), tick_ms=5)
    node = RaftNode(config, log, sender, capturing, authority, observe, snapshots, Life(rng=rng))
    await node.start()
    while node.status.role is not Role.LEADER:
        await asyncio.sleep(0.005)
    for word in (b"one", b"two"):
        print(spoken(await node.execute(word, timeout_s=5.0)))
    assert await node.read_index() == machine.applied_index == LogIndex(3)
    snapshot = await node.take_snapshot()
    assert snapshot is not None
    print(f"a snapshot of {snapshot.size} bytes after {snapshot.index}")
    await node.stop()
    print(spoken(await node.execute(b"three", timeout_s=5.0)))
    assert roles[-1] is Role.LEADER


if __name__ == "__main__":
    asyncio.run(main())

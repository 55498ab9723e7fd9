"""Keys and values on three members in one process, over loopback: `python -m` runs it.

Owns a state machine, and how a member is put together and asked; connections are `streams`'. All
is in memory. What lasts needs `open_sqlite_store` in place of `MemoryStore`, and snapshots:
README.md has both in an example of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from consensus import (
    Committed,
    Entry,
    EntryKind,
    LogIndex,
    MemoryStore,
    NodeId,
    Outcome,
    RaftConfig,
    RaftNode,
    ReadError,
    Rejected,
    Role,
)
from consensus.examples.streams import Address, StreamTransport

VOTERS = (NodeId(1), NodeId(2), NodeId(3))


class Put(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A payload. To repeat it when its outcome is unknown it would need a request number."""

    key: str
    value: str


class KeyValues:
    """An `Applier`: equal entries make equal values on every member."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.applied_index = LogIndex(0)

    async def apply(self, entries: Sequence[Entry]) -> list[object]:
        """Results: what a put replaced; None of what leaders and members say among themselves."""
        results: list[object] = []
        for entry in entries:
            replaced = None
            if entry.kind is EntryKind.DATA:
                put = msgspec.msgpack.decode(entry.payload, type=Put)
                replaced = self.values.get(put.key)
                self.values[put.key] = put.value
            results.append(replaced)
        self.applied_index = entries[-1].index
        return results


class Member:
    """One member, with its connections and its state."""

    def __init__(self, number: NodeId) -> None:
        config = RaftConfig(node=number, voters=VOTERS)
        self.machine = KeyValues()
        self.transport = StreamTransport(number, config.wire_bytes_max)
        self.node = RaftNode(config, MemoryStore(), self.transport, self.machine)

    async def listen(self) -> Address:
        """Be reachable."""
        return await self.transport.listen("127.0.0.1", self.node.receive)

    async def put(self, key: str, value: str) -> Outcome:
        """Write, on the leader."""
        return await self.node.execute(msgspec.msgpack.encode(Put(key, value)), timeout_s=5.0)

    async def get(self, key: str) -> str | None:
        """Read, on any member, what was acknowledged before the call."""
        async with asyncio.timeout(5.0):
            while True:
                try:
                    await self.node.read_index()
                except ReadError:  # this member knows no leader yet, or it changed
                    await asyncio.sleep(0.02)
                else:
                    return self.machine.values.get(key)

    async def stop(self) -> None:
        """Leave; a leader hands over first."""
        await self.node.stop()
        await self.transport.close()


async def start() -> list[Member]:
    """Three members that reach each other."""
    members = {number: Member(number) for number in VOTERS}
    addresses = {number: await member.listen() for number, member in members.items()}
    for number, member in members.items():
        member.transport.dial({to: where for to, where in addresses.items() if to != number})
    for member in members.values():
        await member.node.start()
    return list(members.values())


async def leader_of(members: Sequence[Member]) -> Member:
    """Who leads, as soon as somebody does."""
    while True:
        for member in members:
            if member.node.status.role is Role.LEADER:
                return member
        await asyncio.sleep(0.02)


async def write(members: Sequence[Member], key: str, value: str) -> Committed:
    """Put by whoever leads; a rejected one may always be put again.

    Raises:
        TimeoutError: nobody knows whether it was put.
    """
    while True:
        outcome = await (await leader_of(members)).put(key, value)
        if isinstance(outcome, Committed):
            return outcome
        if not isinstance(outcome, Rejected):
            raise TimeoutError(str(outcome))
        await asyncio.sleep(0.02)


async def main() -> None:
    """Write, read everywhere, let the leader leave, and do both again."""
    members = await start()
    try:
        for value in ("red", "green"):
            outcome = await write(members, "colour", value)
            print(f"colour = {value}, in place of {outcome.result}")
            print("read:", *[await member.get("colour") for member in members])
            if value == "red":
                leader = await leader_of(members)
                await leader.stop()
                members.remove(leader)
                print("the leader has left")
    finally:
        for member in members:
            await member.stop()


if __name__ == "__main__":
    asyncio.run(main())

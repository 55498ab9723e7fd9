"""Small in-memory ends of the ports, and a network between nodes of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from consensus.driver.node import RaftNode
from consensus.ports import Admission, AppendBatch
from consensus.stores import memory
from consensus.types import Entry, LogIndex, NodeId


class MemoryStore(memory.MemoryStore):
    """The store in memory, in the hands of a test."""

    def __init__(self, *, suspect: bool = False) -> None:
        super().__init__(suspect=suspect)
        self.batches = 0
        self.error: Exception | None = None
        """Raised by the next append."""
        self.gate = asyncio.Event()
        """Appends wait while it is clear."""
        self.gate.set()

    @override
    async def append(self, batch: AppendBatch) -> None:
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.batches += 1
        await super().append(batch)

    @override
    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        await asyncio.sleep(0)
        return await super().read(first, last, bytes_max)


class ListApplier:
    """Keeps what it is given; wakes who waits for an index."""

    def __init__(self, applied_index: int = 0) -> None:
        self.entries: list[Entry] = []
        self.error: Exception | None = None
        self._applied = LogIndex(applied_index)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def applied_index(self) -> LogIndex:
        return self._applied

    async def apply(self, entries: Sequence[Entry]) -> None:
        if self.error is not None:
            raise self.error
        assert entries[0].index == self._applied + 1
        self.entries.extend(entries)
        self._applied = entries[-1].index
        for index, future in self._waiting:
            if index <= self._applied and not future.done():
                future.set_result(None)
        self._waiting = [waiting for waiting in self._waiting if not waiting[1].done()]

    async def wait(self, index: int) -> None:
        """Return when everything up to `index` is applied."""
        if self._applied >= index:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((index, future))
        await future


class OpenAuthority:
    """Signs with nothing and admits everything."""

    def __init__(self) -> None:
        self.verdict = Admission.ACCEPT

    def attest(self, header: bytes) -> bytes:
        return header[-8:]

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Nothing: no member lies."""

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """No member lies."""

    def admit(self, sender: NodeId, entry: Entry) -> Admission:
        return self.verdict


class Network:
    """Delivers between the nodes of one loop, in the next turn, in order."""

    def __init__(self) -> None:
        self.nodes: dict[NodeId, RaftNode] = {}
        self.cut: set[NodeId] = set()
        self.messages = 0

    def sender(self, source: NodeId) -> NetworkSender:
        return NetworkSender(self, source)

    def deliver(self, source: NodeId, to: NodeId, message: bytes) -> None:
        if to in self.nodes and not {source, to} & self.cut:
            self.nodes[to].receive(source, message)


class NetworkSender:
    """One node's end of the network."""

    def __init__(self, network: Network, source: NodeId) -> None:
        self._network = network
        self._source = source

    def send(self, to: NodeId, message: bytes) -> None:
        self._network.messages += 1
        loop = asyncio.get_running_loop()
        loop.call_soon(self._network.deliver, self._source, to, message)

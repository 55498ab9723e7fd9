"""The state machine: keys and values, who asked last, and where members listen. Pure but for waits.

Owns the meaning of payloads and the bytes of its snapshots. It lives in memory: at start the newest
snapshot is restored and the log after it applied again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind, LogIndex
from tests.raftkv.messages import COMMAND_TAG, LOAD_TAG, Address, Cas, Put, decode_command

SESSIONS_MAX = 10_000
"""Clients whose last command is remembered; who was silent longest is forgotten first."""
_PART_ITEMS = 1_024
_LOAD = LOAD_TAG[0]
_DATA = EntryKind.DATA
T = TypeVar("T")


class _Part(msgspec.Struct, array_like=True):
    """A piece of a snapshot."""

    values: list[tuple[str, str]] = []
    blobs: list[tuple[bytes, bytes]] = []
    sessions: list[tuple[int, int, str | None]] = []
    addresses: list[tuple[int, str, int]] = []


class StaleError(Exception):
    """The client has asked for something newer since; the result is forgotten."""


class Machine:
    """A `SnapshotApplier`."""

    def __init__(self, on_address: Callable[[int, str, int], None] = lambda *_: None) -> None:
        self._applied = LogIndex(0)
        self._on_address = on_address
        self.values: dict[str, str] = {}
        self.blobs: dict[bytes, bytes] = {}
        """Values of the load."""
        self._sessions: dict[int, tuple[int, str | None]] = {}
        self._addresses: dict[int, tuple[str, int]] = {}
        self.restored = 0

    @property
    def applied_index(self) -> LogIndex:
        """Nothing is durable here: the log brings it all back."""
        return self._applied

    async def apply(self, entries: Sequence[Entry]) -> Sequence[object]:
        """Results: None of the load, of a put; what a cas found; `StaleError`."""
        results: list[object] = []
        blobs = self.blobs
        for entry in entries:
            payload = entry.payload
            if payload and payload[0] == _LOAD:
                blobs[payload[1:9]] = payload[9:]
                results.append(None)
            elif entry.kind is _DATA and payload[:1] == COMMAND_TAG:
                results.append(self._execute(payload))
            else:
                results.append(None)
        self._applied = entries[-1].index
        return results

    def _execute(self, payload: bytes) -> object:
        command = decode_command(memoryview(payload)[1:])
        if isinstance(command, Address):
            self._addresses[command.node] = (command.host, command.port)
            self._on_address(command.node, command.host, command.port)
            return None
        number, result = self._sessions.pop(command.client, (0, None))
        if command.number > number:
            number, result = command.number, self._write(command)
        elif command.number < number:
            self._sessions[command.client] = (number, result)
            return StaleError()
        self._sessions[command.client] = (number, result)  # now the youngest
        if len(self._sessions) > SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        return result

    def _write(self, command: Put | Cas) -> str | None:
        held = self.values.get(command.key)
        if isinstance(command, Put):
            self.values[command.key] = command.value
            return None
        if held == command.expected:
            self.values[command.key] = command.value
        return held

    # --- Snapshots -------------------------------------------------------------------------------

    @property
    def captured_index(self) -> LogIndex:
        """Every entry may have changed the state."""
        return self.applied_index

    async def capture(self) -> AsyncIterator[bytes]:
        """Shallow copies show this moment whatever is applied later; values never change."""
        values, blobs = self.values.copy(), self.blobs.copy()
        sessions, addresses = self._sessions.copy(), self._addresses.copy()

        def parts() -> Iterator[_Part]:
            yield _Part(
                sessions=[(client, *last) for client, last in sessions.items()],
                addresses=[(node, *address) for node, address in addresses.items()],
            )
            for some in _pieces(values.items()):
                yield _Part(values=some)
            for pieces in _pieces(blobs.items()):
                yield _Part(blobs=pieces)

        return _encoded(parts())

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        """Build the new state beside the old one, then replace it."""
        values: dict[str, str] = {}
        blobs: dict[bytes, bytes] = {}
        sessions: dict[int, tuple[int, str | None]] = {}
        addresses: dict[int, tuple[str, int]] = {}
        async for part in _decoded(data):
            values.update(part.values)
            blobs.update(part.blobs)
            sessions.update((client, (number, result)) for client, number, result in part.sessions)
            addresses.update((node, (host, port)) for node, host, port in part.addresses)
        self.values, self.blobs, self._sessions = values, blobs, sessions
        self._addresses = addresses
        self._applied = snapshot.index
        self.restored += 1
        for node, (host, port) in addresses.items():
            self._on_address(node, host, port)


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while piece := list(islice(iterator, _PART_ITEMS)):
        yield piece


async def _encoded(parts: Iterator[_Part]) -> AsyncIterator[bytes]:
    for part in parts:
        body = msgspec.msgpack.encode(part)
        yield len(body).to_bytes(4, "big") + body
        await asyncio.sleep(0)


async def _decoded(data: AsyncIterator[bytes]) -> AsyncIterator[_Part]:
    held = bytearray()
    async for chunk in data:
        held += chunk
        while len(held) >= 4 and len(held) >= (end := 4 + int.from_bytes(held[:4], "big")):
            yield msgspec.msgpack.decode(memoryview(held)[4:end].tobytes(), type=_Part)
            del held[:end]
            await asyncio.sleep(0)
    if held:
        raise ValueError("a snapshot ends within a part")

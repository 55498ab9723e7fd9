"""The state machine under test: registers, one growing set, and a session for each client.

Requests are numbered by their client; a request that comes again gets the answer of the first time
and changes nothing, also after a snapshot. Elements are kept as a list, so that a request that did
take effect twice shows. Owns the encoding of requests and of snapshots.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from consensus.types import Entry, EntryKind, LogIndex
from tests.sim.linearizability import Action

Value: TypeAlias = int | None
_SET = "set"


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What a client asks for."""

    client: int
    number: int
    action: Annotated[str, msgspec.Meta(max_length=8)]
    key: str
    value: Value
    expected: Value
    filler: bytes = b""
    """Makes entries differ in size."""

    def encode(self) -> bytes:
        """The payload of an entry."""
        return _encoder.encode(self)


class _Image(msgspec.Struct, array_like=True):
    registers: list[tuple[str, Value]]
    elements: list[int]
    sessions: list[tuple[int, int, Value]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Request)
_image_decoder = msgspec.msgpack.Decoder(_Image)


class Machine:
    """One copy of the state."""

    __slots__ = ("applied", "elements", "registers", "sessions")

    def __init__(self) -> None:
        self.applied = LogIndex(0)
        """Index of the last entry in the state."""
        self.registers: dict[str, Value] = {}
        self.elements: list[int] = []
        self.sessions: dict[int, tuple[int, Value]] = {}

    def apply(self, entry: Entry) -> Value:
        """Carry out one entry; the result is the client's answer."""
        assert entry.index == self.applied + 1, "entries are applied in order"
        self.applied = entry.index
        if entry.kind is not EntryKind.DATA:
            return None
        request = _decoder.decode(entry.payload)
        number, result = self.sessions.get(request.client, (0, None))
        if request.number > number:
            result = self._carry_out(request)
            self.sessions[request.client] = (request.number, result)
        return result

    def read(self, key: str) -> Value | tuple[int, ...]:
        """What a client sees; of the set, all elements."""
        return tuple(self.elements) if key == _SET else self.registers.get(key)

    def copy(self) -> Machine:
        """An independent copy."""
        twin = Machine()
        twin.applied = self.applied
        twin.registers = self.registers.copy()
        twin.elements = self.elements.copy()
        twin.sessions = self.sessions.copy()
        return twin

    def encode(self) -> bytes:
        """A snapshot; equal states give equal bytes."""
        sessions = [(client, *session) for client, session in sorted(self.sessions.items())]
        return _encoder.encode(_Image(sorted(self.registers.items()), self.elements, sessions))

    @classmethod
    def decode(cls, data: bytes, applied: LogIndex) -> Machine:
        """The state of a snapshot taken after the entry at `applied`."""
        image = _image_decoder.decode(data)
        machine = cls()
        machine.applied = applied
        machine.registers = dict(image.registers)
        machine.elements = image.elements
        machine.sessions = {client: (number, result) for client, number, result in image.sessions}
        return machine

    def _carry_out(self, request: Request) -> Value:
        held = self.registers.get(request.key)
        match Action(request.action):
            case Action.WRITE:
                self.registers[request.key] = request.value
            case Action.CAS:
                if held == request.expected:
                    self.registers[request.key] = request.value
                return held
            case Action.ADD:
                assert request.value is not None
                self.elements.append(request.value)
            case Action.READ:
                raise AssertionError("reads are not in the log")
        return None

"""Wild values: bodies, transactions and messages that are nearly right. Everything is seeded."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import types
from collections.abc import Sequence
from typing import Any, Union

import msgspec
from msgspec import inspect

from node.ledger.operations import Operation
from node.ledger.signing import secret_key, sign
from node.ledger.transaction import TransactionBody, encode_body, encode_wire, signed_bytes

DIGITS = "0123456789"
CODE18 = DIGITS + "ABCDEFGHJKLMNPQRTUWXY"
TEXTS = ("", "x", "凭证", "Café", "👩\u200d💻", "😀" * 20, "'; DROP TABLE state; --", "../../etc")
"""Words that may be signed; those that may not are in `tests.ledger.awkward`."""
DATES = ("2026-11-23", "2026-11-24", "0000-00-00", "9999-12-31", "2026-02-30", "1900-01-01")


class Wild:
    """Draws values of given types; now and then ones that exist in the ledger."""

    def __init__(self, rng: random.Random, numbers: Sequence[str], parties: Sequence[str]) -> None:
        self.rng = rng
        self._numbers = numbers
        self._parties = parties
        self.operations = [inspect.type_info(kind) for kind in _members(Operation)]

    def operation(self) -> Any:
        """Any operation with wild fields that its type allows."""
        return self.value(self.rng.choice(self.operations))

    def value(self, kind: Any) -> Any:
        """A value that msgspec's description of a type allows."""
        match kind:
            case inspect.StructType():
                fields = {field.name: self.value(field.type) for field in kind.fields}
                return kind.cls(**fields)
            case inspect.IntType():
                return self._integer(kind.ge or 0, kind.le if kind.le is not None else 2**53)
            case inspect.StrType():
                return self._text(kind)
            case inspect.BytesType():
                size = self.rng.randint(kind.min_length or 0, min(kind.max_length or 80, 80))
                return self.rng.randbytes(size)
            case inspect.BoolType():
                return self.rng.random() < 0.5
            case inspect.NoneType():
                return None
            case inspect.EnumType():
                return self.rng.choice(list(kind.cls))
            case inspect.UnionType():
                return self.value(self.rng.choice(kind.types))
            case inspect.VarTupleType():
                size = self.rng.randint(kind.min_length or 0, min(kind.max_length or 4, 4))
                return tuple(self.value(kind.item_type) for _ in range(size))
            case _:
                raise AssertionError(f"no wild value of {kind}")

    def _integer(self, low: int, high: int) -> int:
        near = (low, low + 1, high, high - 1, 1, 100, 11_300, 10**9)
        drawn = self.rng.choice((*near, self.rng.randint(low, high)))
        return max(low, min(high, drawn))

    def _text(self, kind: inspect.StrType) -> str:
        rng, pattern = self.rng, kind.pattern or ""
        if "{20}" in pattern:
            return rng.choice((*self._numbers, "".join(rng.choices(DIGITS, k=20))))
        if "{18}" in pattern:
            key = rng.randbytes(32).hex()
            party = rng.choice((*self._parties, "".join(rng.choices(CODE18, k=18))))
            return key if "{64}" in pattern and rng.random() < 0.3 else party
        if "{3}" in pattern:
            return rng.choice(("CNY", "USD", "ZZZ"))
        if "{4}-" in pattern:
            return rng.choice(DATES)
        size = min(kind.max_length or 64, 64)
        return (rng.choice(TEXTS) or "x" * (kind.min_length or 0))[:size]

    def json(self, value: Any, key: str = "") -> Any:
        """`value` of a valid body with other values of the same shape."""
        rng = self.rng
        if isinstance(value, dict):
            return {name: self.json(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, bool) or rng.random() < 0.3:
            return value
        if isinstance(value, int):
            return rng.choice((1, 2, 100, 11_300, 10**9, 10**15, rng.randint(1, 10**12)))
        if isinstance(value, str) and len(value) == 18:
            return rng.choice(self._parties)
        if isinstance(value, str) and len(value) == 20 and value.isdigit():
            return rng.choice(self._numbers)
        if isinstance(value, str) and key in {"order_id", "reference", "booking", "payment"}:
            return f"wild-{rng.randrange(10**9)}"
        return value


def _members(union: Any) -> list[type]:
    if isinstance(union, types.UnionType) or getattr(union, "__origin__", None) is Union:
        return [member for part in union.__args__ for member in _members(part)]
    return [union]


class WildTransactions:
    """Transactions of one participant: well-formed but never to be applied, and broken ones."""

    def __init__(
        self, wild: Wild, network_id: bytes, author: str, seed: bytes, parties: Sequence[str]
    ) -> None:
        self._wild = wild
        self._network_id = network_id
        self._author = author
        self._key = secret_key(seed)
        self._parties = parties
        self._nonce = 0

    def decodable(self, height: int, *, honest: bool = False) -> bytes:
        """Canonical bytes. Most are signed rightly and meet the rules; others fail earlier.

        With `honest` the envelope is right, so that an honest node may have passed it on.
        """
        rng = self._wild.rng
        self._nonce += 1
        network, author, key, until = self._network_id, self._author, self._key, height + 5_000
        match 11 if honest else rng.randrange(12):
            case 0:
                network = rng.randbytes(32)
            case 1:
                author = rng.choice([p for p in self._parties if p != self._author])
            case 2:
                key = secret_key(rng.randbytes(32))
            case 3:
                until = rng.choice((1, height + 200_000, 2**53))
            case _:
                pass  # an honest envelope
        count = rng.choice((1, 1, 1, 2, 5))
        operations = tuple(self._wild.operation() for _ in range(count))
        body = encode_body(
            TransactionBody(network, author, key[32:], self._nonce, until, operations)
        )
        signature = sign(key, signed_bytes(body))
        if not honest and rng.random() < 0.1:
            signature = rng.randbytes(64)
        blobs = (rng.randbytes(rng.randrange(200)),) if not honest and rng.random() < 0.1 else ()
        return encode_wire(body, signature, blobs)

    def broken(self, height: int) -> bytes:
        """Bytes that no decoder may take: wrong structure, type, length, or not canonical."""
        rng = self._wild.rng
        wire = self.decodable(height)
        body, signature, blobs = msgspec.msgpack.decode(wire)
        fields = msgspec.msgpack.decode(body)
        match rng.randrange(9):
            case 0:
                return wire[: rng.randrange(len(wire))]
            case 1:
                return wire + rng.randbytes(rng.randint(1, 9))
            case 2:
                return rng.randbytes(rng.randrange(400))
            case 3:  # the same array with a longer header: decodes, but is not canonical
                return b"\xdc\x00\x03" + wire[1:]
            case 4:
                fields[rng.randrange(len(fields))] = rng.choice((None, -1, 0.5, [], {}, "x", b"y"))
            case 5:
                fields = [*fields, 0] if rng.random() < 0.5 else fields[:-1]
            case 6:
                fields[5] = [[rng.choice((0, 99, 255, -1, "a")), *fields[5][0][1:]]]
            case 7:
                fields[5][0] = [*fields[5][0], *([[]] * rng.randint(1, 3))]
            case _:
                return b"\x91" * rng.choice((10, 5_000)) + wire
        return msgspec.msgpack.encode([msgspec.msgpack.encode(fields), signature, blobs])


def damaged(rng: random.Random, data: bytes) -> bytes:
    """`data` with a few bytes changed, cut or added."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(4) if changed else 2:
            case 0:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[place : place + rng.randint(1, 8)]
            case 2:
                changed[place:place] = rng.randbytes(rng.randint(1, 8))
            case _:
                changed[place % len(changed)] = rng.choice((0x00, 0x7F, 0x80, 0xC1, 0xDF, 0xFF))
    return bytes(changed)

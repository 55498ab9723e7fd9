"""The envelope of a transaction has one encoding, found by its size."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger.transaction import (
    MalformedTransactionError,
    decode_transaction,
    encode_wire,
    open_wire,
    shortest_bytes,
)
from tests.node.transactions import make_transaction

TRANSACTION = make_transaction(1)
BODY, SIGNATURE = TRANSACTION.body_bytes, TRANSACTION.signature
BLOBS = (b"a" * 3, b"b" * 255, b"c" * 256, b"d" * 65_535, b"e" * 65_536)


@given(
    st.lists(st.sampled_from((0, 1, 255, 256, 257)), max_size=40),
    st.sampled_from((0, 65_535, 65_536)),
)
def test_the_shortest_array_is_the_one_that_is_written(sizes: list[int], large: int) -> None:
    strings = [bytes(size) for size in (*sizes, large)]
    assert shortest_bytes(strings) == len(msgspec.msgpack.encode(strings))


def test_an_envelope_with_blobs_of_every_size_is_read() -> None:
    wire = encode_wire(BODY, SIGNATURE, BLOBS)
    assert decode_transaction(wire).blobs == BLOBS


def header(size: int, width: int) -> bytes:
    """Header of a byte string whose length takes 1, 2 or 4 bytes."""
    return {1: b"\xc4", 2: b"\xc5", 4: b"\xc6"}[width] + size.to_bytes(width, "big")


BODY_WIDTH = 1 if len(BODY) < 256 else 2
SHORT = header(len(BODY), BODY_WIDTH) + BODY
LONGER = header(len(BODY), 2 * BODY_WIDTH) + BODY
SIGNED = header(64, 1) + SIGNATURE
OTHERS = {
    "the envelope's length in two bytes": b"\xdc\x00\x03" + SHORT + SIGNED + b"\x90",
    "a longer length of the body": b"\x93" + LONGER + SIGNED + b"\x90",
    "a longer length of the signature": b"\x93" + SHORT + header(64, 2) + SIGNATURE + b"\x90",
    "a longer length of the blobs' list": b"\x93" + SHORT + SIGNED + b"\xdc\x00\x00",
    "a longer length of a blob": b"\x93" + SHORT + SIGNED + b"\x91" + header(1, 2) + b"b",
    "no blobs' list": b"\x92" + SHORT + SIGNED,
    "no blobs' list, and as many bytes": b"\x92" + SHORT + header(64, 2) + SIGNATURE,
    "a fourth field": b"\x94" + SHORT + SIGNED + b"\x90\xc0",
    "bytes behind": b"\x93" + SHORT + SIGNED + b"\x90\x00",
}


@pytest.mark.parametrize("wire", OTHERS.values(), ids=OTHERS.keys())
def test_another_encoding_of_the_same_envelope_is_refused(wire: bytes) -> None:
    with pytest.raises(MalformedTransactionError):
        decode_transaction(wire)


@given(st.integers(0, len(TRANSACTION.wire) - 1), st.integers(1, 255))
def test_what_is_accepted_encodes_to_itself(at: int, change: int) -> None:
    wire = bytearray(TRANSACTION.wire)
    wire[at] ^= change
    with contextlib.suppress(MalformedTransactionError):
        decode_transaction(bytes(wire))
        envelope, _ = open_wire(bytes(wire))
        assert encode_wire(envelope.body, envelope.signature, envelope.blobs) == wire

"""Canonical bytes of blocks, leaves and entry statements; the shared signing helper."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.types import EntryKind, LogIndex, NodeId, Term
from node.chain.block import (
    BLOCK_BYTES_MAX,
    BLOCK_TRANSACTIONS_MAX,
    Block,
    MalformedBlockError,
    decode_block,
    encode_block,
)
from node.chain.entry import (
    HEADER_BYTES,
    MalformedHeaderError,
    attest,
    decode_header,
    verify_attestation,
)
from node.chain.leaf import (
    LEAF_BYTES_MAX,
    MalformedLeafError,
    SealLeaf,
    TransactionLeaf,
    decode_leaf,
    encode_leaf,
)
from node.chain.voters import VoterSet
from node.ledger import signing
from node.ledger.transaction import TRANSACTION_BYTES_MAX
from node.storage.raft_log import ENTRY_FORMAT
from tests.chain.network import make_genesis, seed

HASH = st.binary(min_size=32, max_size=32)
BLOCKS = st.builds(
    Block,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**53),
    st.lists(st.binary(max_size=80), max_size=6).map(tuple),
)
TRANSACTION_LEAVES = st.builds(
    TransactionLeaf,
    st.integers(0, 65_535),
    st.integers(1, 2**53),
    st.binary(max_size=400),
    st.binary(min_size=64, max_size=64),
)
INDEX = st.integers(0, 2**53)
SEAL_LEAVES = st.builds(
    SealLeaf,
    st.integers(1, 2**53),
    INDEX,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**32 - 1),
    INDEX,
    INDEX,
    HASH,
    HASH,
    st.integers(1, 65_535),
    st.integers(1, 2**62),
    HASH,
)


@given(BLOCKS)
def test_blocks_round_trip(block: Block) -> None:
    assert decode_block(encode_block(block)) == block


@given(TRANSACTION_LEAVES | SEAL_LEAVES)
def test_leaves_round_trip(leaf: TransactionLeaf | SealLeaf) -> None:
    assert decode_leaf(encode_leaf(leaf)) == leaf


def test_the_payload_is_the_array_that_the_format_names() -> None:
    payload = encode_block(Block(3, 1_700_000_000_000, (b"one", b"two")))
    assert msgspec.msgpack.decode(payload) == [3, 1_700_000_000_000, [b"one", b"two"]]


def test_the_leaves_are_the_arrays_that_the_format_names() -> None:
    leaf = TransactionLeaf(7, 9, b"body", bytes(64))
    assert msgspec.msgpack.decode(encode_leaf(leaf)) == [1, 7, 9, b"body", bytes(64)]
    seal = SealLeaf(9, 8, 7, 6, 5, 4, b"d" * 32, b"v" * 32, 1, 3, b"e" * 32)
    assert msgspec.msgpack.decode(encode_leaf(seal)) == [
        2, 9, 8, 7, 6, 5, 4, b"d" * 32, b"v" * 32, 1, 3, b"e" * 32,
    ]  # fmt: skip
    assert seal.index == 9


def test_the_largest_transaction_fits_a_tile_entry() -> None:
    body = bytes(TRANSACTION_BYTES_MAX - 64)
    assert len(encode_leaf(TransactionLeaf(65_535, 2**53, body, bytes(64)))) < LEAF_BYTES_MAX


def test_a_leaf_that_no_tile_entry_holds_is_refused() -> None:
    leaf = TransactionLeaf(0, 1, bytes(LEAF_BYTES_MAX), bytes(64))
    with pytest.raises(MalformedLeafError):
        encode_leaf(leaf)
    with pytest.raises(MalformedLeafError):
        decode_leaf(msgspec.msgpack.encode(leaf))


@pytest.mark.parametrize(
    "block",
    [
        Block(0, 0, (bytes(BLOCK_BYTES_MAX),)),
        Block(0, 0, (b"",) * (BLOCK_TRANSACTIONS_MAX + 1)),
    ],
)
def test_blocks_beyond_the_limits_are_refused_both_ways(block: Block) -> None:
    with pytest.raises(MalformedBlockError):
        encode_block(block)
    with pytest.raises(MalformedBlockError):
        decode_block(msgspec.msgpack.encode(block))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_block_a_leaf_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(MalformedBlockError):
        assert encode_block(decode_block(data)) == data
    with contextlib.suppress(MalformedLeafError):
        assert encode_leaf(decode_leaf(data)) == data


@given(BLOCKS, TRANSACTION_LEAVES | SEAL_LEAVES, st.data())
def test_any_changed_byte_is_another_value_or_a_typed_error(
    block: Block, leaf: TransactionLeaf | SealLeaf, data: st.DataObject
) -> None:
    """Nothing decodes to the same value from two encodings."""
    for encoded in (encode_block(block), encode_leaf(leaf)):
        at = data.draw(st.integers(0, len(encoded) - 1))
        changed = bytearray(encoded)
        changed[at] ^= data.draw(st.integers(1, 255))
        with contextlib.suppress(MalformedBlockError):
            assert decode_block(bytes(changed)) != block
        with contextlib.suppress(MalformedLeafError):
            assert decode_leaf(bytes(changed)) != leaf


@pytest.mark.parametrize(
    "data",
    [
        b"\x93\x00\xcc\x01\x90",  # 1 in two bytes
        b"\x93\x00\x01\xdc\x00\x00",  # an empty array in three bytes
        b"\xdc\x00\x03\x00\x01\x90",
        b"\x94\x00\x01\x90\xc0",  # a fourth field
        b"\x93\x00\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x90",  # 1.0
        b"\x93\x00\x01\x90\x00",  # bytes behind
        b"\x93\x00\x01\x91\xa1a",  # text instead of bytes
        b"\x91" * 100_000,
    ],
)
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedBlockError):
        decode_block(data)
    with pytest.raises(MalformedLeafError):
        decode_leaf(data)


@pytest.mark.parametrize(
    ("canonical", "other"),
    [
        (b"\x95\x01\x00\x01", b"\xdc\x00\x05\x01\x00\x01"),  # the array's length in two bytes
        (b"\x95\x01\x00\x01", b"\x95\xcc\x01\x00\x01"),  # the tag in two bytes
        (b"\x95\x01\x00\x01", b"\x95\x01\xcc\x00\x01"),  # the code in two bytes
        (b"\xc4\x04body", b"\xc5\x00\x04body"),
        (b"\xc4\x04body", b"\xc6\x00\x00\x00\x04body"),
        (b"\x95\x01\x00\x01", b"\x95\x03\x00\x01"),  # no such kind
        (b"\x95\x01\x00\x01", b"\x95\x01\x00\x00"),  # no such height
    ],
)
def test_a_leaf_has_one_encoding(canonical: bytes, other: bytes) -> None:
    data = encode_leaf(TransactionLeaf(0, 1, b"body", bytes(64)))
    changed = data.replace(canonical, other, 1)
    assert changed != data
    with pytest.raises(MalformedLeafError):
        decode_leaf(changed)


# --- Entry headers -----------------------------------------------------------------------------

U64 = st.integers(0, 2**64 - 1)


@given(U64, U64, st.integers(0, 255), st.integers(0, 2**32 - 1), HASH, HASH)
def test_the_layout_is_that_of_consensus(
    term: int, index: int, kind: int, leader: int, prev_hash: bytes, payload_hash: bytes
) -> None:
    header = ENTRY_FORMAT.header(term, index, kind, leader, prev_hash, payload_hash)
    assert len(header) == HEADER_BYTES
    decoded = decode_header(header)
    assert msgspec.structs.astuple(decoded) == (
        term,
        index,
        kind,
        leader,
        prev_hash,
        payload_hash,
    )


@pytest.mark.parametrize("header", [b"", bytes(HEADER_BYTES), bytes(1_000)])
def test_other_bytes_are_no_header(header: bytes) -> None:
    with pytest.raises(MalformedHeaderError):
        decode_header(header)
    assert not verify_attestation(VoterSet.from_genesis(make_genesis()), header, bytes(64))


def test_an_attestation_holds_for_one_header_leader_and_network() -> None:
    voters = VoterSet.from_genesis(make_genesis())
    other = VoterSet.from_genesis(make_genesis(name="other"))
    entry = ENTRY_FORMAT.entry_type(
        Term(3), LogIndex(7), EntryKind.DATA, NodeId(1), bytes(32), b"payload", attestation=b""
    )
    key = seed("issuer/identity")
    attestation = attest(voters.network_id, entry.header, key)
    assert verify_attestation(voters, entry.header, attestation)
    assert attest(voters.network_id, entry.header, signing.secret_key(key)) == attestation
    assert not verify_attestation(other, entry.header, attestation)
    for leader in (0, 2, 3, 4, 2**32 - 1):
        moved = ENTRY_FORMAT.header(3, 7, 1, leader, bytes(32), entry.payload_hash)
        assert not verify_attestation(voters, moved, attestation)
    for at in range(HEADER_BYTES):
        changed = bytearray(entry.header)
        changed[at] ^= 1
        assert not verify_attestation(voters, bytes(changed), attestation)
    by_other = attest(voters.network_id, entry.header, seed("payer/identity"))
    assert not verify_attestation(voters, entry.header, by_other)


# --- Signing -----------------------------------------------------------------------------------


def test_rfc_8032_vector_comes_out() -> None:
    """RFC 8032, section 7.1, test 3."""
    key = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    message = bytes.fromhex("af82")
    assert signing.public_key(key) == signing.public_key(signing.secret_key(key)) == public
    assert signing.sign(key, message) == signing.sign(signing.secret_key(key), message) == signature
    assert signing.verify(public, message, signature)
    assert not signing.verify(public, message + b"\0", signature)


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_keys_and_signatures_of_other_lengths_are_refused(length: int) -> None:
    key = seed("key")
    public, signature = signing.public_key(key), signing.sign(key, b"")
    with pytest.raises(ValueError, match="32 bytes"):
        signing.sign(bytes(length), b"")
    with pytest.raises(ValueError, match="32 bytes"):
        signing.public_key(bytes(length))
    assert not signing.verify(bytes(length), b"", signature)
    assert not signing.verify(public, b"", bytes(length))


def test_a_signature_has_no_second_form() -> None:
    """S + L verifies under a lax verifier (RFC 8032, section 5.1.7); the zero key does too."""
    key = seed("key")
    public, signature = signing.public_key(key), signing.sign(key, b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    forged = signature[:32] + scalar.to_bytes(32, "little")
    assert not signing.verify(public, b"message", forged)
    identity = b"\x01" + bytes(31)
    assert not signing.verify(identity, b"message", identity + bytes(32))

"""Leaves of the ledger's tree: an applied transaction, and the seal that ends a block.

    transaction leaf    canonical MessagePack array [1, code, height, body, signature]
    seal leaf           canonical MessagePack array [2, height, time, term, proposer, first index,
                        count, state digest, voters hash, rules version, entry index, entry hash]

Owns the encoding; knows no rule and verifies no signature.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.types import Hash, Signature, TimeMs

LEAF_BYTES_MAX = 65_535
"""A C2SP entry bundle gives each entry a length of 16 bits (tlog-tiles, "Log entries")."""

Height = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
LeafIndex = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class MalformedLeafError(ValueError):
    """The bytes are not the canonical encoding of a leaf."""


class TransactionLeaf(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1, gc=False
):
    """A transaction in its place, with what became of it."""

    code: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    """`node.ledger.codes.Code`: 0 is applied, everything else changed nothing."""
    height: Height
    body: bytes
    """Canonical bytes of the body; the author signed `TRANSACTION_TAG ‖ body`."""
    signature: Signature


class Origin(msgspec.Struct, frozen=True):
    """The Raft entry that a block comes from."""

    term: int
    proposer: int
    index: int
    hash: bytes


class SealLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """The last leaf of a block. Time, term and proposer come from the entry's bytes."""

    height: Height
    time_ms: TimeMs
    """Block time: the later of the entry's time and the previous seal's."""
    term: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    proposer: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    """The number of the voter that signed the entry."""
    first_index: LeafIndex
    """Index of the block's first leaf."""
    count: LeafIndex
    """Transaction leaves in the block; the seal's own index is first index + count."""
    state_digest: Hash
    voters_hash: Hash
    """`VoterSet.hash` of the voters in force."""
    rules_version: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    entry_index: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    """Of the Raft entry. Certified with the seal, so that no leader can say that the state after
    this block stands anywhere else in the log."""
    entry_hash: Hash

    @property
    def origin(self) -> Origin:
        """The entry that the block comes from."""
        return Origin(self.term, self.proposer, self.entry_index, self.entry_hash)

    @property
    def index(self) -> int:
        """The index of this leaf itself; the tree's size under its checkpoint is one more."""
        return self.first_index + self.count


Leaf = TransactionLeaf | SealLeaf

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Leaf] = msgspec.msgpack.Decoder(Leaf)


def encode_leaf(leaf: Leaf) -> bytes:
    """Canonical bytes of `leaf`: what the tree hashes.

    Raises:
        MalformedLeafError: when they are longer than a tile entry can hold.
    """
    data = _encoder.encode(leaf)
    if len(data) > LEAF_BYTES_MAX:
        raise MalformedLeafError("leaf is too large")
    return data


def decode_leaf(data: bytes) -> Leaf:
    """The leaf of canonical bytes.

    Raises:
        MalformedLeafError: with a reason; never another error, whatever the bytes.
    """
    if len(data) > LEAF_BYTES_MAX:
        raise MalformedLeafError("leaf is too large")
    try:
        leaf = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise MalformedLeafError(f"not a leaf: {error}") from error
    if _encoder.encode(leaf) != data:
        raise MalformedLeafError("leaf encoding is not canonical")
    return leaf

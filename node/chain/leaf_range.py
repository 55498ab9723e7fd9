"""A range: consecutive leaves from a peer, with proof that every voter's history holds them there.

    range     array [first index, leaves, blobs, certificates, path]

The last certificate is of a tree that holds the whole range; `path` shows that the tree which ends
with the range is a beginning of it (RFC 6962, 2.1.2). The other certificates are of blocks that end
within the range. A range needs no whole block, so that no block is too large for a message.

Owns the judgement whether a range continues a tree; executes nothing and verifies no transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from node.chain.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certificate,
    CertificateError,
    parse_certificate,
)
from node.chain.leaf import (
    LEAF_BYTES_MAX,
    LeafIndex,
    MalformedLeafError,
    SealLeaf,
    TransactionLeaf,
    decode_leaf,
)
from node.chain.merkle import Frontier, leaf_hashes, verify_consistency
from node.chain.voters import VoterSet
from node.ledger.codes import Code
from node.ledger.execution.execute import named_blobs
from node.ledger.transaction import BLOBS_BYTES_MAX, TransactionBody
from node.ledger.types import Hash

RANGE_BYTES = 1_048_576
"""Leaves, blobs and certificates in one range, unless its first leaf alone is more."""
RANGE_LEAVES_MAX = 16_384
RANGE_CERTIFICATES_MAX = 1_024
PATH_HASHES_MAX = 128
RANGE_BYTES_MAX = RANGE_BYTES + LEAF_BYTES_MAX + BLOBS_BYTES_MAX + 2 * CERTIFICATE_BYTES_MAX
"""The longest range in bytes, encoded: one leaf with its blobs may come on top of all others."""


class FalseRangeError(ValueError):
    """No honest node sends this range; says why."""


class OtherHistoryError(FalseRangeError):
    """A certified tree, but not one that this range makes of ours.

    It does not tell who is wrong: the peer, or the ledger that the range should continue.
    """

    def __init__(self, reason: str, certificates: Sequence[Certificate]) -> None:
        super().__init__(reason)
        self.certificates = certificates
        """Those of the range, verified."""


class LeafRange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A range as it travels."""

    first: LeafIndex
    """Tree index of the first leaf."""
    leaves: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES_MAX)], ...],
        msgspec.Meta(min_length=1, max_length=RANGE_LEAVES_MAX),
    ]
    blobs: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=BLOBS_BYTES_MAX)], ...],
        msgspec.Meta(max_length=RANGE_LEAVES_MAX),
    ]
    """Sealed blobs that applied transactions name, in no order; one that is missing here was
    erased there."""
    certificates: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)], ...],
        msgspec.Meta(min_length=1, max_length=RANGE_CERTIFICATES_MAX),
    ]
    """By tree size, ascending."""
    path: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_HASHES_MAX)]


class CertifiedBlock(msgspec.Struct, frozen=True):
    """A block as peers hold it, whose leaves are proven to stand in a certified tree."""

    leaves: list[bytes]
    transactions: Sequence[TransactionLeaf]
    """All leaves but the last, decoded."""
    seal: SealLeaf
    blobs: Mapping[bytes, bytes]
    """By hash; more than this block's, and perhaps not all of them."""
    certificate: Certificate | None
    """Of the tree that ends with this block."""


class Assembler:
    """Makes blocks of ranges, from a tree on. A block may be in several ranges."""

    def __init__(self, frontier: Frontier, voters: VoterSet) -> None:
        self._frontier = frontier
        self._voters = voters
        self._leaves: list[bytes] = []
        self._transactions: list[TransactionLeaf] = []
        self._blobs: dict[bytes, bytes] = {}

    @property
    def size(self) -> int:
        """Leaves that were taken in, and in the tree before them: where the next range begins."""
        return self._frontier.size

    def prove(self, leaf_range: LeafRange) -> ProvenRange:
        """Judge what may be the next range; changes nothing.

        Raises:
            FalseRangeError: it does not continue the tree, or not as certified.
        """
        return _prove(self._frontier, leaf_range, self._voters)

    def add(self, proven: ProvenRange) -> list[CertifiedBlock]:
        """Take in the next range, which was proven since the last one; the blocks it completes."""
        self._frontier = proven.frontier
        self._blobs |= proven.blobs
        blocks = []
        for data, leaf in proven.leaves:
            self._leaves.append(data)
            if isinstance(leaf, TransactionLeaf):
                self._transactions.append(leaf)
                continue
            certificate = proven.certificates.get(leaf.index + 1)
            blocks.append(
                CertifiedBlock(
                    leaves=self._leaves,
                    transactions=self._transactions,
                    seal=leaf,
                    blobs=self._blobs,
                    certificate=certificate,
                )
            )
            self._leaves, self._transactions = [], []
        if not self._leaves:
            self._blobs = {}
        return blocks


class ProvenRange(msgspec.Struct, frozen=True):
    """What a range was found to be."""

    frontier: Frontier
    """The tree with the range."""
    leaves: Sequence[tuple[bytes, TransactionLeaf | SealLeaf]]
    blobs: dict[bytes, bytes]
    """By hash."""
    certificates: dict[int, Certificate]
    """By tree size: of blocks that end within the range."""
    lacking: int
    """Blobs that applied transactions name, and that the peer did not give."""


def _prove(frontier: Frontier, leaf_range: LeafRange, voters: VoterSet) -> ProvenRange:
    if leaf_range.first != frontier.size:
        raise FalseRangeError(f"run begins at leaf {leaf_range.first}, not {frontier.size}")
    try:
        leaves = [(data, decode_leaf(data)) for data in leaf_range.leaves]
        certificates = {
            certificate.checkpoint.size: certificate
            for certificate in map(parse_certificate, leaf_range.certificates)
        }
    except (MalformedLeafError, CertificateError) as error:
        raise FalseRangeError(str(error)) from error
    sizes = list(certificates)
    end = leaf_range.first + len(leaves)
    if sizes != sorted(sizes) or len(sizes) != len(leaf_range.certificates):
        raise FalseRangeError("certificates are not in the order of their trees")
    if sizes[-1] < end or any(not leaf_range.first < size <= end for size in sizes[:-1]):
        raise FalseRangeError("certificates are not of this run")
    _verify(certificates, voters)
    frontier = _grow(frontier, leaf_range.leaves, certificates)
    covering = certificates[sizes[-1]].checkpoint
    if not verify_consistency(end, covering.size, frontier.root(), covering.root, leaf_range.path):
        raise OtherHistoryError("run is no part of the certified tree", [*certificates.values()])
    within = {size: found for size, found in certificates.items() if size <= end}
    if any(not isinstance(leaves[size - leaf_range.first - 1][1], SealLeaf) for size in within):
        raise FalseRangeError("certificate of a tree that ends within a block")
    blobs, lacking = _blobs_by_hash(leaf_range, leaves)
    return ProvenRange(
        frontier=frontier, leaves=leaves, blobs=blobs, certificates=within, lacking=lacking
    )


def _verify(certificates: dict[int, Certificate], voters: VoterSet) -> None:
    for certificate in certificates.values():
        if certificate.origin_signature is None:
            raise FalseRangeError("certificate was never published")
        try:
            certificate.verify(voters)
        except CertificateError as error:
            raise FalseRangeError(str(error)) from error


def _grow(
    frontier: Frontier, leaves: Sequence[bytes], certificates: dict[int, Certificate]
) -> Frontier:
    """The tree with the leaves; certificates within are compared on the way."""
    first, hashes, done = frontier.size, leaf_hashes(leaves), 0
    for size, certificate in certificates.items():
        if size > first + len(hashes):
            break
        frontier = frontier.append_hashes(hashes[done : size - first])
        done = size - first
        if frontier.root() != certificate.checkpoint.root:
            reason = f"the tree of {size} leaves is certified with another root"
            raise OtherHistoryError(reason, [*certificates.values()])
    return frontier.append_hashes(hashes[done:])


def _blobs_by_hash(
    leaf_range: LeafRange, leaves: Sequence[tuple[bytes, TransactionLeaf | SealLeaf]]
) -> tuple[dict[bytes, bytes], int]:
    """The blobs, and how many are lacking.

    The range's own leaves must name each: nobody fills this node with others.
    """
    blobs = {hashlib.sha256(blob).digest(): blob for blob in leaf_range.blobs}
    if len(blobs) != len(leaf_range.blobs):
        raise FalseRangeError("a blob is there twice")
    named: set[bytes] = set()
    for _, leaf in leaves:
        if isinstance(leaf, TransactionLeaf) and leaf.code == Code.OK:
            try:
                body = msgspec.msgpack.decode(leaf.body, type=TransactionBody)
            except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
                raise FalseRangeError(f"an applied transaction is none: {error}") from error
            named.update(named_blobs(body))
    if not blobs.keys() <= named:
        raise FalseRangeError("a blob that no transaction of the run names")
    return blobs, len(named) - len(blobs)

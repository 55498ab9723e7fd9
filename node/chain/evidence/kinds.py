"""Evidence: signed statements of one voter that an honest voter never makes, or not together.

Seven kinds, each judged from the statements and the voter list alone
(`node.chain.evidence.judgement`):

    entries     two entry headers for one (term, index), attested by the leader they name
    roots       two roots for one tree size: both cosigned, or one cosigned and the other proven
                (RFC 6962, 2.1.2) to be the root which a larger cosigned tree had at that size
    leaves      two leaves proven at one index under checkpoints that one voter cosigned
    seals       two seals of one height proven under checkpoints that one voter cosigned
    header      one entry header that breaks a rule alone (`node.chain.evidence.breaches`)
    payload     one entry whose payload does
    size        a cosigned tree of a size that no tree has

An honest voter signs one append-only tree with one seal a height, and attests one entry a place;
so whoever made the two statements lies, whatever else is true. The times inside cosignatures play
no part. Bytes are canonical MessagePack; statements stand in ascending order, and the id depends
on voter, kind and place only, so all evidence of one offence has one id.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.chain.block import BLOCK_TRANSACTIONS_MAX
from node.chain.checkpoint import COSIGNATURE_BYTES
from node.chain.entry import HEADER_BYTES
from node.chain.merkle import TREE_SIZE_MAX
from node.chain.proof import PATH_HASHES_MAX
from node.ledger.types import Hash, Signature

PAYLOAD_BYTES_MAX = 65_536
"""Of an entry that is evidence: a transaction or a small batch. A larger one is only refused."""
EVIDENCE_BYTES_MAX = PAYLOAD_BYTES_MAX + 16_384
"""Two seals or hashes with two paths of 64 hashes and two cosignatures need less than 6 KiB."""

VoterNumber = Annotated[int, msgspec.Meta(ge=0, le=255)]
TreeSize = Annotated[int, msgspec.Meta(ge=0, le=TREE_SIZE_MAX)]
Path = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_HASHES_MAX)]
PrefixPath = Annotated[tuple[Hash, ...], msgspec.Meta(max_length=2 * PATH_HASHES_MAX)]
SealBytes = Annotated[bytes, msgspec.Meta(max_length=512)]


class EvidenceError(ValueError):
    """Not evidence: malformed, or it shows no lie. Says why and blames nobody."""


class _Statement(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, order=True
):
    """Common shape: canonical arrays that sort."""


class EntryStatement(_Statement, frozen=True, order=True):
    """A leader's attestation of an entry."""

    header: Annotated[bytes, msgspec.Meta(min_length=HEADER_BYTES, max_length=HEADER_BYTES)]
    attestation: Signature


class RootStatement(_Statement, frozen=True, order=True):
    """A voter's cosignature of a tree head; the origin is the network's."""

    size: TreeSize
    root: Hash
    cosignature: Annotated[
        bytes, msgspec.Meta(min_length=COSIGNATURE_BYTES, max_length=COSIGNATURE_BYTES)
    ]


class PrefixStatement(_Statement, frozen=True, order=True):
    """The root that a cosigned tree had at a smaller size."""

    root: Hash
    path: PrefixPath
    """Consistency proof from the smaller size to the cosigned tree."""
    under: RootStatement


class LeafStatement(_Statement, frozen=True, order=True):
    """A leaf hash proven at an index under a cosigned tree head."""

    leaf: Hash
    path: Path
    under: RootStatement


class SealStatement(_Statement, frozen=True, order=True):
    """A seal proven at the index it names under a cosigned tree head."""

    seal: SealBytes
    path: Path
    under: RootStatement


class _Evidence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Common shape of evidence: tagged canonical arrays."""


class EntryEvidence(_Evidence, frozen=True, tag=1):
    """Two entries in one place, by one leader (which the headers name)."""

    first: EntryStatement
    second: EntryStatement


class RootEvidence(_Evidence, frozen=True, tag=2):
    """Two roots for one size, by one cosigner."""

    voter: VoterNumber
    first: RootStatement
    second: RootStatement


class LeafEvidence(_Evidence, frozen=True, tag=3):
    """Two leaves at one index, under tree heads of one cosigner."""

    voter: VoterNumber
    index: TreeSize
    first: LeafStatement
    second: LeafStatement


class SealEvidence(_Evidence, frozen=True, tag=4):
    """Two seals of one height, under tree heads of one cosigner."""

    voter: VoterNumber
    first: SealStatement
    second: SealStatement


class PrefixEvidence(_Evidence, frozen=True, tag=5):
    """Two roots for one size, one of them within a larger tree, by one cosigner.

    So a fork is proven with the tree of one side alone, whatever sizes the sides have.
    """

    voter: VoterNumber
    first: RootStatement
    """Its size is the one in question."""
    second: PrefixStatement


class HeaderEvidence(_Evidence, frozen=True, tag=6):
    """An entry header that breaks a rule alone."""

    statement: EntryStatement


class PayloadEvidence(_Evidence, frozen=True, tag=7):
    """An entry whose payload breaks a rule alone."""

    statement: EntryStatement
    payload: Annotated[bytes, msgspec.Meta(max_length=PAYLOAD_BYTES_MAX)]
    at: Annotated[int, msgspec.Meta(ge=0, le=BLOCK_TRANSACTIONS_MAX)]
    """Which transaction; 0 for a fault of the whole. So judging costs two signature checks."""


class SizeEvidence(_Evidence, frozen=True, tag=8):
    """A cosigned tree of a size that no tree has."""

    voter: VoterNumber
    statement: RootStatement


Evidence = (
    EntryEvidence
    | RootEvidence
    | LeafEvidence
    | SealEvidence
    | PrefixEvidence
    | HeaderEvidence
    | PayloadEvidence
    | SizeEvidence
)


class Finding(msgspec.Struct, frozen=True):
    """The judgement of true evidence."""

    voter: str
    """Node name of the voter that lied."""
    kind: str
    """`entries`, `roots`, `leaves`, `seals`, `header`, `payload` or `size`."""
    place: tuple[int, ...]
    """(term, index), (size,), (index,) or (height,)."""
    sentence: str
    """For people."""
    id: bytes
    """32 bytes: SHA-256(tag ‖ canonical [network id, voter, kind, place])."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Evidence] = msgspec.msgpack.Decoder(Evidence)


def encode_evidence(evidence: Evidence) -> bytes:
    """Canonical bytes of `evidence`."""
    return _encoder.encode(evidence)


def decode_evidence(data: bytes) -> Evidence:
    """Read evidence; judges nothing.

    Raises:
        EvidenceError: when the bytes are not canonical evidence; never another error.
    """
    if len(data) > EVIDENCE_BYTES_MAX:
        raise EvidenceError("evidence is too large")
    try:
        evidence = _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        raise EvidenceError(f"not evidence: {error}") from error
    if _encoder.encode(evidence) != data:
        raise EvidenceError("evidence is not canonical")
    return evidence

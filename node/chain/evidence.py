"""Evidence: two signed statements of one voter that an honest voter never makes together.

Four kinds, each judged from the statements and the voter list alone:

    entries     two entry headers for one (term, index), attested by the leader they name
    roots       two roots for one tree size: both cosigned, or one cosigned and the other proven
                (RFC 6962, 2.1.2) to be the root which a larger cosigned tree had at that size
    leaves      two leaves proven at one index under checkpoints that one voter cosigned
    seals       two seals of one height proven under checkpoints that one voter cosigned

An honest voter signs one append-only tree with one seal a height, and attests one entry a place;
so whoever made the two statements lies, whatever else is true. The times inside cosignatures play
no part. Bytes are canonical MessagePack; statements stand in ascending order, and the id depends
on voter, kind and place only, so all evidence of one offence has one id.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from node.chain.checkpoint import COSIGNATURE_BYTES, Checkpoint, verify_cosignature
from node.chain.entry import (
    HEADER_BYTES,
    MalformedHeaderError,
    decode_header,
    verify_attestation,
)
from node.chain.leaf import MalformedLeafError, SealLeaf, decode_leaf
from node.chain.merkle import TREE_SIZE_MAX, leaf_hash, verify_consistency, verify_inclusion
from node.chain.proof import PATH_HASHES_MAX
from node.chain.voters import Voter, VoterSet
from node.ledger.types import Hash, Signature

EVIDENCE_BYTES_MAX = 16_384
"""Two seals or hashes with two paths of 64 hashes and two cosignatures need less than 6 KiB."""
_ID_TAG = b"piaolian/evidence/v1\n"

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


Evidence = EntryEvidence | RootEvidence | LeafEvidence | SealEvidence | PrefixEvidence


class Finding(msgspec.Struct, frozen=True):
    """The judgement of true evidence."""

    voter: str
    """Node name of the voter that lied."""
    kind: str
    """`entries`, `roots`, `leaves` or `seals`."""
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


def judge(evidence: Evidence, voters: VoterSet) -> Finding:
    """Verify every signature and path of `evidence` and name who lied.

    Raises:
        EvidenceError: when it does not show a lie of one of `voters`.
    """
    match evidence:
        case PrefixEvidence():
            return _judge_prefix(evidence, voters)
        case EntryEvidence() | RootEvidence() | LeafEvidence() | SealEvidence():
            if not evidence.first < evidence.second:  # type: ignore[operator]  # equal kinds
                raise EvidenceError("statements are equal or out of order")
            return _judge_pair(evidence, voters)


def _judge_pair(
    evidence: EntryEvidence | RootEvidence | LeafEvidence | SealEvidence, voters: VoterSet
) -> Finding:
    match evidence:
        case EntryEvidence():
            return _judge_entries(evidence, voters)
        case RootEvidence():
            return _judge_roots(evidence, voters)
        case LeafEvidence():
            return _judge_leaves(evidence, voters)
        case SealEvidence():
            return _judge_seals(evidence, voters)


def _judge_entries(evidence: EntryEvidence, voters: VoterSet) -> Finding:
    statements = (evidence.first, evidence.second)
    try:
        a, b = (decode_header(statement.header) for statement in statements)
    except MalformedHeaderError as error:
        raise EvidenceError(str(error)) from error
    if (a.leader, a.term, a.index) != (b.leader, b.term, b.index):
        raise EvidenceError("entries have different leaders or places")
    if evidence.first.header == evidence.second.header:
        raise EvidenceError("both statements are the same entry")
    if not all(verify_attestation(voters, s.header, s.attestation) for s in statements):
        raise EvidenceError("an attestation does not verify")
    sentence = f"signed two different entries for term {a.term}, index {a.index}"
    return _finding(voters, a.leader, "entries", (a.term, a.index), sentence)


def _judge_roots(evidence: RootEvidence, voters: VoterSet) -> Finding:
    if evidence.first.size != evidence.second.size:
        raise EvidenceError("checkpoints have different sizes")
    if evidence.first.root == evidence.second.root:
        raise EvidenceError("both statements are the same checkpoint")
    _check_cosigned(voters, evidence.voter, evidence.first, evidence.second)
    size = evidence.first.size
    sentence = f"cosigned two different roots for tree size {size}"
    return _finding(voters, evidence.voter, "roots", (size,), sentence)


def _judge_prefix(evidence: PrefixEvidence, voters: VoterSet) -> Finding:
    said, prefix = evidence.first, evidence.second
    under = prefix.under
    if said.root == prefix.root:
        raise EvidenceError("the larger tree continues the smaller one")
    if not said.size < under.size:
        raise EvidenceError("the tree of the second statement is not larger")
    if not verify_consistency(said.size, under.size, prefix.root, under.root, prefix.path):
        raise EvidenceError("root is not one that the larger tree had")
    _check_cosigned(voters, evidence.voter, said, under)
    sentence = (
        f"cosigned a tree of size {under.size} that does not continue"
        f" the one it cosigned for tree size {said.size}"
    )
    return _finding(voters, evidence.voter, "roots", (said.size,), sentence)


def _judge_leaves(evidence: LeafEvidence, voters: VoterSet) -> Finding:
    if evidence.first.leaf == evidence.second.leaf:
        raise EvidenceError("both statements are the same leaf")
    for statement in (evidence.first, evidence.second):
        _check_included(evidence.index, statement.leaf, statement.path, statement.under)
    _check_cosigned(voters, evidence.voter, evidence.first.under, evidence.second.under)
    sentence = f"cosigned trees with two different leaves at index {evidence.index}"
    return _finding(voters, evidence.voter, "leaves", (evidence.index,), sentence)


def _judge_seals(evidence: SealEvidence, voters: VoterSet) -> Finding:
    first, second = _decode_seal(evidence.first.seal), _decode_seal(evidence.second.seal)
    if first.height != second.height:
        raise EvidenceError("seals have different heights")
    if first == second:
        raise EvidenceError("both statements are the same seal")
    for seal, statement in ((first, evidence.first), (second, evidence.second)):
        _check_included(seal.index, leaf_hash(statement.seal), statement.path, statement.under)
    _check_cosigned(voters, evidence.voter, evidence.first.under, evidence.second.under)
    sentence = f"cosigned trees with two different seals of height {first.height}"
    return _finding(voters, evidence.voter, "seals", (first.height,), sentence)


def _decode_seal(data: bytes) -> SealLeaf:
    try:
        leaf = decode_leaf(data)
    except MalformedLeafError as error:
        raise EvidenceError(str(error)) from error
    if not isinstance(leaf, SealLeaf):
        raise EvidenceError("leaf is no seal")
    return leaf


def _check_included(index: int, leaf: bytes, path: Path, under: RootStatement) -> None:
    if not verify_inclusion(index, under.size, leaf, path, under.root):
        raise EvidenceError("leaf is not at this index of the cosigned tree")


def _check_cosigned(voters: VoterSet, number: int, *statements: RootStatement) -> None:
    voter = _voter(voters, number)
    for statement in statements:
        checkpoint = Checkpoint(voters.origin, statement.size, statement.root)
        if not verify_cosignature(
            checkpoint, voter.cosigner, voter.cosign_key, statement.cosignature
        ):
            raise EvidenceError("a cosignature does not verify")


def _voter(voters: VoterSet, number: int) -> Voter:
    voter = voters.get(number)
    if voter is None:
        raise EvidenceError("the accused is no voter")
    return voter


def _finding(
    voters: VoterSet, number: int, kind: str, place: tuple[int, ...], sentence: str
) -> Finding:
    node = _voter(voters, number).node
    named = _encoder.encode((voters.network_id, number, kind, place))
    identifier = hashlib.sha256(_ID_TAG + named).digest()
    return Finding(node, kind, place, f"{node} {sentence}", identifier)

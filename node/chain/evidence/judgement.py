"""Judging evidence: verifies every signature and path, and names who lied. Owns the verdict.

The shapes, and what each kind means, are `node.chain.evidence.kinds`; the rules that one statement
breaks alone are `node.chain.evidence.breaches`. Knows no log and no node: the voter list is enough.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from node.chain.checkpoint import Checkpoint, verify_cosignature
from node.chain.entry import (
    EntryHeader,
    MalformedHeaderError,
    decode_header,
    verify_attestation,
)
from node.chain.evidence.breaches import header_breach, payload_breach, size_breach
from node.chain.evidence.kinds import (
    EntryEvidence,
    EntryStatement,
    Evidence,
    EvidenceError,
    Finding,
    HeaderEvidence,
    LeafEvidence,
    Path,
    PayloadEvidence,
    PrefixEvidence,
    RootEvidence,
    RootStatement,
    SealEvidence,
    SizeEvidence,
)
from node.chain.leaf import MalformedLeafError, SealLeaf, decode_leaf
from node.chain.merkle import leaf_hash, verify_consistency, verify_inclusion
from node.chain.voters import Voter, VoterSet

_ID_TAG = b"piaolian/evidence/v1\n"
PAYLOAD = "payload"
"""The kind of findings about what leaders proposed."""


class Accusation(NamedTuple):
    """What evidence says, true or not: it costs no signature check to read."""

    voter: int
    kind: str
    place: tuple[int, ...]


def accuse(evidence: Evidence) -> Accusation:
    """Whom `evidence` accuses, and of what. Two with one accusation tell of one lie.

    Raises:
        EvidenceError: when what it holds is none of its kind.
    """
    match evidence:
        case EntryEvidence():
            header = _header(evidence.first)
            return Accusation(header.leader, "entries", (header.term, header.index))
        case HeaderEvidence():
            header = _header(evidence.statement)
            return Accusation(header.leader, "header", (header.term, header.index))
        case PayloadEvidence():
            header = _header(evidence.statement)
            return Accusation(header.leader, PAYLOAD, (header.term, header.index))
        case RootEvidence() | PrefixEvidence():
            return Accusation(evidence.voter, "roots", (evidence.first.size,))
        case LeafEvidence():
            return Accusation(evidence.voter, "leaves", (evidence.index,))
        case SealEvidence():
            height = _decode_seal(evidence.first.seal).height
            return Accusation(evidence.voter, "seals", (height,))
        case SizeEvidence():
            return Accusation(evidence.voter, "size", (evidence.statement.size,))


def identify(accusation: Accusation, voters: VoterSet) -> bytes:
    """The id of a finding that says this."""
    named = msgspec.msgpack.encode((voters.network_id, *accusation))
    return hashlib.sha256(_ID_TAG + named).digest()


def judge(evidence: Evidence, voters: VoterSet) -> Finding:
    """Verify every signature and path of `evidence` and name who lied.

    Raises:
        EvidenceError: when it does not show a lie of one of `voters`.
    """
    accusation = accuse(evidence)
    deed = _verify(evidence, voters)
    node = _voter(voters, accusation.voter).node
    return Finding(
        voter=node,
        kind=accusation.kind,
        place=accusation.place,
        sentence=f"{node} {deed}",
        id=identify(accusation, voters),
    )


def _verify(evidence: Evidence, voters: VoterSet) -> str:
    """What was done, as a sentence's end."""
    match evidence:
        case PrefixEvidence():
            return _judge_prefix(evidence, voters)
        case HeaderEvidence():
            return _judge_header(evidence, voters)
        case PayloadEvidence():
            return _judge_payload(evidence, voters)
        case SizeEvidence():
            return _judge_size(evidence, voters)
        case EntryEvidence() | RootEvidence() | LeafEvidence() | SealEvidence():
            if not evidence.first < evidence.second:  # type: ignore[operator]  # equal kinds
                raise EvidenceError("statements are equal or out of order")
            return _judge_pair(evidence, voters)


def _judge_pair(
    evidence: EntryEvidence | RootEvidence | LeafEvidence | SealEvidence, voters: VoterSet
) -> str:
    match evidence:
        case EntryEvidence():
            return _judge_entries(evidence, voters)
        case RootEvidence():
            return _judge_roots(evidence, voters)
        case LeafEvidence():
            return _judge_leaves(evidence, voters)
        case SealEvidence():
            return _judge_seals(evidence, voters)


def _judge_header(evidence: HeaderEvidence, voters: VoterSet) -> str:
    breach = header_breach(_attested(evidence.statement, voters))
    if breach is None:
        raise EvidenceError("the entry breaks no rule")
    return f"signed an entry {breach}"


def _judge_payload(evidence: PayloadEvidence, voters: VoterSet) -> str:
    header = _attested(evidence.statement, voters)
    if hashlib.sha256(evidence.payload).digest() != header.payload_hash:
        raise EvidenceError("the payload is not that of the entry")
    breach = payload_breach(header, evidence.payload, evidence.at, voters.network_id)
    if breach is None:
        raise EvidenceError("the payload breaks no rule there")
    return f"signed an entry {breach}"


def _judge_size(evidence: SizeEvidence, voters: VoterSet) -> str:
    breach = size_breach(evidence.statement.size)
    if breach is None:
        raise EvidenceError("a tree may have this size")
    _check_cosigned(voters, evidence.voter, evidence.statement)
    return f"cosigned a tree {breach}"


def _attested(statement: EntryStatement, voters: VoterSet) -> EntryHeader:
    header = _header(statement)
    if not verify_attestation(voters, statement.header, statement.attestation):
        raise EvidenceError("an attestation does not verify")
    return header


def _header(statement: EntryStatement) -> EntryHeader:
    try:
        return decode_header(statement.header)
    except MalformedHeaderError as error:
        raise EvidenceError(str(error)) from error


def _judge_entries(evidence: EntryEvidence, voters: VoterSet) -> str:
    if evidence.first.header == evidence.second.header:
        raise EvidenceError("both statements are the same entry")
    a, b = (_attested(statement, voters) for statement in (evidence.first, evidence.second))
    if (a.leader, a.term, a.index) != (b.leader, b.term, b.index):
        raise EvidenceError("entries have different leaders or places")
    return f"signed two different entries for term {a.term}, index {a.index}"


def _judge_roots(evidence: RootEvidence, voters: VoterSet) -> str:
    if evidence.first.size != evidence.second.size:
        raise EvidenceError("checkpoints have different sizes")
    if evidence.first.root == evidence.second.root:
        raise EvidenceError("both statements are the same checkpoint")
    _check_cosigned(voters, evidence.voter, evidence.first, evidence.second)
    return f"cosigned two different roots for tree size {evidence.first.size}"


def _judge_prefix(evidence: PrefixEvidence, voters: VoterSet) -> str:
    said, prefix = evidence.first, evidence.second
    under = prefix.under
    if said.root == prefix.root:
        raise EvidenceError("the larger tree continues the smaller one")
    if not said.size < under.size:
        raise EvidenceError("the tree of the second statement is not larger")
    if not verify_consistency(said.size, under.size, prefix.root, under.root, prefix.path):
        raise EvidenceError("root is not one that the larger tree had")
    _check_cosigned(voters, evidence.voter, said, under)
    return (
        f"cosigned a tree of size {under.size} that does not continue"
        f" the one it cosigned for tree size {said.size}"
    )


def _judge_leaves(evidence: LeafEvidence, voters: VoterSet) -> str:
    if evidence.first.leaf == evidence.second.leaf:
        raise EvidenceError("both statements are the same leaf")
    for statement in (evidence.first, evidence.second):
        _check_included(evidence.index, statement.leaf, statement.path, statement.under)
    _check_cosigned(voters, evidence.voter, evidence.first.under, evidence.second.under)
    return f"cosigned trees with two different leaves at index {evidence.index}"


def _judge_seals(evidence: SealEvidence, voters: VoterSet) -> str:
    first, second = _decode_seal(evidence.first.seal), _decode_seal(evidence.second.seal)
    if first.height != second.height:
        raise EvidenceError("seals have different heights")
    if first == second:
        raise EvidenceError("both statements are the same seal")
    for seal, statement in ((first, evidence.first), (second, evidence.second)):
        _check_included(seal.index, leaf_hash(statement.seal), statement.path, statement.under)
    _check_cosigned(voters, evidence.voter, evidence.first.under, evidence.second.under)
    return f"cosigned trees with two different seals of height {first.height}"


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

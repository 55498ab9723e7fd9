"""Noticing lies: compares what each voter signs with what it signed before. Owns that memory.

Feed it only statements whose signature was verified: it remembers the first of each place and
would else compare against a forgery. It judges nothing: who keeps what it reports does, once.
Memory is bounded; the oldest places are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

from node.chain.certificate import Certificate
from node.chain.checkpoint import Checkpoint
from node.chain.entry import MalformedHeaderError, decode_header
from node.chain.evidence.breaches import header_breach, size_breach
from node.chain.evidence.kinds import (
    EntryEvidence,
    EntryStatement,
    Evidence,
    HeaderEvidence,
    LeafEvidence,
    LeafStatement,
    RootEvidence,
    RootStatement,
    SealEvidence,
    SealStatement,
    SizeEvidence,
)
from node.chain.evidence.pending_statements import PendingStatements
from node.chain.leaf import SealLeaf, decode_leaf
from node.chain.merkle import leaf_hash
from node.chain.proof import Proof
from node.chain.voters import VoterSet

PLACES_MAX = 4_096
"""Places remembered for each voter and kind: 40 s of blocks at the fastest pace."""

HEARD_MAX = 256
"""Of headers that peers tell of, for each signer: apart, so that a leader which signs many cannot
make this node forget what it was sent itself."""

_Place = TypeVar("_Place")
_Said = TypeVar("_Said")
_Entries: TypeAlias = OrderedDict[tuple[int, int], EntryStatement]


class EvidenceWatch:
    """Remembers, for each voter, which entry and which root it signed at each place."""

    def __init__(self, voters: VoterSet, places_max: int = PLACES_MAX) -> None:
        self._voters = voters
        self._places_max = places_max
        self._roots: list[OrderedDict[int, RootStatement]] = [OrderedDict() for _ in voters.voters]
        self._entries: list[_Entries] = [OrderedDict() for _ in voters.voters]
        self._heard: list[_Entries] = [OrderedDict() for _ in voters.voters]
        self.pending = PendingStatements(voters)
        """Statements that no other of the same size contradicts, and that may still be false."""

    def observe_cosignature(
        self, voter: int, checkpoint: Checkpoint, cosignature: bytes
    ) -> Evidence | None:
        """Take note of a verified cosignature.

        Returns:
            Evidence when this voter cosigned another root for this size before, or never could.
        """
        said = RootStatement(checkpoint.size, checkpoint.root, cosignature)
        if size_breach(said.size) is not None:
            return SizeEvidence(voter, said)
        before = _remember(self._roots[voter], checkpoint.size, said, self._places_max)
        if before.root == said.root:
            # Of a tree that ours has not reached, the first statement outlives its place here.
            before = self.pending.at(voter, said.size) or before
        if before.root == said.root:
            return None
        return RootEvidence(voter, *sorted((before, said)))

    def contradicts(self, voter: int, checkpoint: Checkpoint) -> bool:
        """Whether this voter is remembered to have cosigned another root for this size."""
        before = self._roots[voter].get(checkpoint.size)
        return before is not None and before.root != checkpoint.root

    def knows_entry(self, said: EntryStatement) -> bool:
        """Whether these very bytes are remembered, so that nothing in them needs verifying."""
        try:
            fields = decode_header(said.header)
        except MalformedHeaderError:
            return False
        if self._voters.get(fields.leader) is None:
            return False
        place = (fields.term, fields.index)
        return self._entries[fields.leader].get(place) == said

    def observe_entry(self, header: bytes, attestation: bytes) -> Evidence | None:
        """Take note of an entry header whose attestation was verified.

        Returns:
            Evidence when it breaks a rule, or its leader signed another entry for this place.
        """
        return self._compare_entry(EntryStatement(header, attestation), self._entries)

    def hear_entry(self, header: bytes, attestation: bytes) -> Evidence | None:
        """As `observe_entry`, of a header that a peer tells of."""
        return self._compare_entry(EntryStatement(header, attestation), self._heard)

    def _compare_entry(self, said: EntryStatement, memory: list[_Entries]) -> Evidence | None:
        fields = decode_header(said.header)
        if header_breach(fields) is not None:
            return HeaderEvidence(said)
        place = (fields.term, fields.index)
        kept_max = self._places_max if memory is self._entries else HEARD_MAX
        _remember(memory[fields.leader], place, said, kept_max)
        for known in (self._entries, self._heard):
            before = known[fields.leader].get(place)
            if before is not None and before.header != said.header:
                return EntryEvidence(*sorted((before, said)))
        return None


def compare_proofs(a: Proof, b: Proof, voters: VoterSet) -> list[Evidence]:
    """What two verified proofs, perhaps shown to two clients, tell about those who cosigned both.

    Returns:
        Evidence against each common cosigner, in voter order; empty when the proofs agree.
    """
    evidence: list[Evidence] = []
    for number, under_a, under_b in _common_cosigners(a.certificate, b.certificate, voters):
        if under_a.size == under_b.size and under_a.root != under_b.root:
            evidence.append(RootEvidence(number, *sorted((under_a, under_b))))
        elif a.index == b.index and a.leaf != b.leaf:
            leaves = sorted(
                LeafStatement(leaf_hash(proof.leaf), proof.path, under)
                for proof, under in ((a, under_a), (b, under_b))
            )
            evidence.append(LeafEvidence(number, a.index, *leaves))
        elif a.leaf != b.leaf and _seal_height(a.leaf) == _seal_height(b.leaf) is not None:
            seals = sorted(
                SealStatement(proof.leaf, proof.path, under)
                for proof, under in ((a, under_a), (b, under_b))
            )
            evidence.append(SealEvidence(number, *seals))
    return evidence


def _remember(
    memory: OrderedDict[_Place, _Said], place: _Place, said: _Said, places_max: int
) -> _Said:
    """What was said first at this place; now, if nothing was."""
    before = memory.setdefault(place, said)
    if len(memory) > places_max:
        memory.popitem(last=False)
    return before


def _common_cosigners(
    a: Certificate, b: Certificate, voters: VoterSet
) -> Iterator[tuple[int, RootStatement, RootStatement]]:
    others = {c.cosigner: c.blob for c in b.cosignatures}
    for cosignature in a.cosignatures:
        blob = others.get(cosignature.cosigner)
        if blob is not None:
            yield (
                voters.by_cosigner[cosignature.cosigner].number,
                RootStatement(a.checkpoint.size, a.checkpoint.root, cosignature.blob),
                RootStatement(b.checkpoint.size, b.checkpoint.root, blob),
            )


def _seal_height(data: bytes) -> int | None:
    leaf = decode_leaf(data)
    return leaf.height if isinstance(leaf, SealLeaf) else None

"""Comparing what two verifiers hold of one log. Owns the search for a fork and for who signed both.

Each side is a cosigned checkpoint, with the tiles of its tree or a proof where there are any. Two
trees fork when the larger does not continue the smaller. That is seen, and proven against everyone
who cosigned both, with the tiles of the larger tree alone, so the sizes need never coincide; with
the tiles of both, the first leaf that differs is found by descending the trees, one tile for each
256-fold of size. Tiles are hearsay until they are bound to their side's root: those that do not
make it are called false, and blame no voter.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.chain.certificate import Certificate
from node.chain.checkpoint import verify_cosignature
from node.chain.evidence.excuse import (
    Excuse,
    ExcuseError,
    Resumption,
    contradiction,
    excuses,
    may_excuse,
    verify_resumption,
)
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    Evidence,
    EvidenceError,
    LeafEvidence,
    LeafStatement,
    PrefixEvidence,
    PrefixStatement,
    RootEvidence,
    RootStatement,
)
from node.chain.evidence.watch import compare_proofs
from node.chain.merkle import (
    SubtreeLookup,
    complete_subtrees,
    consistency_path,
    frontier_of,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from node.chain.proof import Proof
from node.chain.voters import VoterSet

_Both = Sequence[tuple[int, RootStatement, RootStatement]]
"""Who cosigned both: number, and the statements of the smaller and of the larger tree."""


class ForgedError(ValueError):
    """What a side shows is not of its voters: another network, a false signature or false tiles."""


class UndecidedError(ValueError):
    """The sides do not hold enough to tell; says what is lacking."""


class Side(msgspec.Struct, frozen=True):
    """What one verifier holds."""

    name: str
    """For messages."""
    certificate: Certificate
    """A checkpoint with any number of cosignatures; a liar's fork has perhaps its own only."""
    subtrees: SubtreeLookup | None = None
    """Over the tiles of the checkpoint's tree. Its errors pass through."""
    proof: Proof | None = None
    """A leaf under this certificate."""


class Comparison(msgspec.Struct, frozen=True):
    """The result."""

    consistent: bool
    """The larger tree continues the smaller one."""
    evidence: tuple[Evidence, ...] = ()
    """One against each voter that cosigned both trees of a fork, in voter order."""
    first_difference: int | None = None
    """Index of the first leaf that differs, where the tiles of both sides are there."""


def compare(a: Side, b: Side, voters: VoterSet) -> Comparison:
    """Compare two sides. All evidence was judged.

    Raises:
        ForgedError: a side is not what it claims to be.
        UndecidedError: only the smaller tree is there.
    """
    small, large = sorted((a, b), key=lambda side: side.certificate.checkpoint.size)
    said, under = (_cosigned(side, voters) for side in (small, large))
    both = [(number, said[number], under[number]) for number in said if number in under]
    result = _compare(small, large, both, voters)
    try:
        for evidence in result.evidence:
            judge(evidence, voters)
    except EvidenceError as error:  # a proof whose parts do not belong together
        raise ForgedError(str(error)) from error
    return result


def find_excuse(
    evidence: Evidence, resumptions: Sequence[Resumption], sides: Sequence[Side], voters: VoterSet
) -> Excuse | None:
    """What excuses evidence of a comparison, if one of these resumptions does."""
    pair = contradiction(evidence)
    for resumption in resumptions:
        try:
            base = verify_resumption(resumption, voters).checkpoint
        except ExcuseError:
            continue  # a source may show what it likes
        if pair is None or not may_excuse(evidence, resumption.voter, base.size):
            continue
        large = pair[2]
        for side in sides:
            told = side.certificate.checkpoint
            if (told.size, told.root) != (large.size, large.root) or side.subtrees is None:
                continue
            path = tuple(consistency_path(base.size, large.size, side.subtrees))
            excuse = Excuse(resumption, path)
            if excuses(excuse, evidence, voters):
                return excuse
    return None


def _compare(small: Side, large: Side, both: _Both, voters: VoterSet) -> Comparison:
    old, new = small.certificate.checkpoint, large.certificate.checkpoint
    if old.size == new.size:
        if old.root == new.root:
            return Comparison(consistent=True)
        roots = (RootEvidence(number, *sorted(pair)) for number, *pair in both)
        return Comparison(False, tuple(roots), _first_difference(small, large))
    if large.subtrees is None:
        return Comparison(False, _leaf_evidence(small, large, both, voters))
    root, path = _prefix(large, old.size, large.subtrees)
    if root == old.root:
        return Comparison(consistent=True)
    index = _first_difference(small, large)
    if index is not None:
        return Comparison(False, _first_leaves(small, large, index, both), index)
    prefixes = (
        PrefixEvidence(number, said, PrefixStatement(root, path, under))
        for number, said, under in both
    )
    return Comparison(False, tuple(prefixes))


def _prefix(side: Side, size: int, lookup: SubtreeLookup) -> tuple[bytes, tuple[bytes, ...]]:
    """The root that a side's tree had at a smaller size, and its consistency proof."""
    checkpoint = side.certificate.checkpoint
    root = frontier_of(size, lookup).root()
    path = consistency_path(size, checkpoint.size, lookup)
    if not verify_consistency(size, checkpoint.size, root, checkpoint.root, path):
        raise _false_tiles(side)
    return root, tuple(path)


def first_difference(size: int, a: SubtreeLookup, b: SubtreeLookup) -> int | None:
    """Index of the first leaf in which two trees differ, below `size`; None if there is none.

    Compares subtrees from the left and goes down into the first that differs: about two look-ups
    a level. The result is as true as the look-ups.
    """
    for level, number in complete_subtrees(0, size):
        if a(level, number) != b(level, number):
            at = number
            for below in reversed(range(level)):
                at *= 2
                at += a(below, at) == b(below, at)
            return at
    return None


def _first_difference(a: Side, b: Side) -> int | None:
    """As `first_difference`, where both sides have tiles that make their roots."""
    if a.subtrees is None or b.subtrees is None:
        return None
    size = min(side.certificate.checkpoint.size for side in (a, b))
    for side, lookup in ((a, a.subtrees), (b, b.subtrees)):
        _prefix(side, size, lookup)
    return first_difference(size, _Checked(a, a.subtrees), _Checked(b, b.subtrees))


class _Checked:
    """A look-up that compares each subtree with its halves: tiles of two levels may disagree."""

    def __init__(self, side: Side, lookup: SubtreeLookup) -> None:
        self._side = side
        self._lookup = lookup

    def __call__(self, level: int, number: int) -> bytes:
        found = self._lookup(level, number)
        if level:
            halves = (self._lookup(level - 1, 2 * number + side) for side in range(2))
            if node_hash(*halves) != found:
                raise _false_tiles(self._side)
        return found


def _first_leaves(small: Side, large: Side, index: int, both: _Both) -> tuple[Evidence, ...]:
    """Evidence of the first leaf that differs."""
    (ours, our_path), (theirs, their_path) = (_leaf(side, index) for side in (small, large))
    return tuple(
        LeafEvidence(
            number,
            index,
            *sorted(
                (LeafStatement(ours, our_path, said), LeafStatement(theirs, their_path, under))
            ),
        )
        for number, said, under in both
    )


def _leaf_evidence(small: Side, large: Side, both: _Both, voters: VoterSet) -> tuple[Evidence, ...]:
    """Without the larger tree, one proven leaf of it may still contradict the smaller.

    Raises:
        UndecidedError: it does not.
    """
    found: Sequence[Evidence] = ()
    proof = large.proof
    if proof is not None and small.proof is not None:
        found = compare_proofs(small.proof, proof, voters)
    elif (
        proof is not None
        and small.subtrees is not None
        and proof.index < small.certificate.checkpoint.size
        and _leaf(small, proof.index)[0] != leaf_hash(proof.leaf)
    ):
        found = _first_leaves(small, large, proof.index, both)
    if not found:
        raise UndecidedError(
            f"{large.name} has the larger tree, but neither its tiles nor a leaf that tells"
        )
    return tuple(found)


def _leaf(side: Side, index: int) -> tuple[bytes, tuple[bytes, ...]]:
    """A leaf hash and its path."""
    checkpoint = side.certificate.checkpoint
    if side.subtrees is None:
        assert side.proof is not None
        return leaf_hash(side.proof.leaf), side.proof.path
    leaf = side.subtrees(0, index)
    path = tuple(inclusion_path(index, checkpoint.size, side.subtrees))
    if not verify_inclusion(index, checkpoint.size, leaf, path, checkpoint.root):
        raise _false_tiles(side)
    return leaf, path


def _false_tiles(side: Side) -> ForgedError:
    return ForgedError(f"{side.name}: the tiles do not make the root of the checkpoint")


def _cosigned(side: Side, voters: VoterSet) -> dict[int, RootStatement]:
    """Who cosigned the checkpoint, every voter's line verified; those of others count for nothing.

    Raises:
        ForgedError: a voter's line does not verify, or there is none.
    """
    checkpoint = side.certificate.checkpoint
    if checkpoint.origin != voters.origin:
        raise ForgedError(f"{side.name}: checkpoint belongs to another network")
    found: dict[int, RootStatement] = {}
    for line in side.certificate.cosignatures:
        voter = voters.by_cosigner.get(line.cosigner)
        if voter is None or voter.cosign_id != line.blob[:4]:
            continue
        if not verify_cosignature(checkpoint, voter.cosigner, voter.cosign_key, line.blob):
            raise ForgedError(f"{side.name}: a cosignature does not verify")
        found[voter.number] = RootStatement(checkpoint.size, checkpoint.root, line.blob)
    if not found:
        raise ForgedError(f"{side.name}: no voter cosigned the checkpoint")
    return dict(sorted(found.items()))

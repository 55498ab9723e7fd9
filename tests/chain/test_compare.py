"""Two verifiers compare what they were shown: a fork is found and proven, whatever its sizes."""

from __future__ import annotations

import itertools
import random  # noqa: TID251  # seeded

import msgspec
import pytest

from node.chain.certificate import Certificate
from node.chain.evidence.compare import (
    Comparison,
    ForgedError,
    Side,
    UndecidedError,
    compare,
    first_difference,
)
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import decode_evidence, encode_evidence
from node.chain.merkle import SubtreeLookup, leaf_hashes
from node.chain.tiles import TileBuilder, TileSubtrees
from tests.chain.network import Network, make_genesis

LIAR = 1


def history(*blocks: int, state: int = 0, common: int = 2) -> Network:
    """Blocks of these many transactions; the first `common` blocks are the same everywhere."""
    network = Network()
    for number, count in enumerate(blocks):
        network.add_block(count, state=bytes((state if number >= common else 0,)) * 32)
    return network


def subtrees(network: Network) -> SubtreeLookup:
    return TileSubtrees(lambda level, number: network.tiles.get((level, number)))


def signed_by(network: Network, *numbers: int) -> Certificate:
    """The head under any number of cosignatures."""
    whole = network.certify()
    return msgspec.structs.replace(
        whole, cosignatures=tuple(whole.cosignatures[n] for n in numbers)
    )


def side(network: Network, *signers: int, tiles: bool = True, proof: int | None = None) -> Side:
    return Side(
        name=f"side of {len(network.leaves)}",
        certificate=signed_by(network, *signers),
        subtrees=subtrees(network) if tiles else None,
        proof=None if proof is None else network.prove(proof, *range(network.voters.q)),
    )


TRUE = history(3, 3, 3, 4)
"""Sizes 4, 8, 12, 17."""
FORKS = {
    "smaller": history(3, 3, 5, state=1),
    "larger": history(3, 3, 9, 6, state=1),
    "far larger": history(3, 3, 700, state=1),
    "equal": history(3, 3, 4, 3, state=1),
}
"""No two heads of a fork and of the true history have one size, but for the last."""
VOTERS = TRUE.voters


def findings(comparison: Comparison) -> list[tuple[str, str]]:
    found = []
    for evidence in comparison.evidence:
        finding = judge(decode_evidence(encode_evidence(evidence)), VOTERS)
        found.append((finding.voter, finding.kind))
    return found


@pytest.mark.parametrize("name", FORKS)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_liar_with_one_cosignature_in_each_history_is_named(name: str, swapped: bool) -> None:
    """The fork is not even final: the liar is alone with it."""
    fork = FORKS[name]
    sides = (side(TRUE, 0, 1, 2, 3), side(fork, LIAR))
    result = compare(*(sides[::-1] if swapped else sides), VOTERS)
    assert not result.consistent
    assert findings(result) == [("issuer", "roots" if name == "equal" else "leaves")]
    assert result.first_difference is not None
    same = result.first_difference
    assert TRUE.leaves[:same] == fork.leaves[:same]
    assert TRUE.leaves[same] != fork.leaves[same]


def test_two_final_forks_of_colluding_voters_name_all_who_signed_both() -> None:
    """Sizes never coincide: each verifier holds checkpoints of its own side only."""
    heads = [history(*([3] * n)) for n in range(3, 9)]
    forks = [history(3, 3, *([6] * n), state=1) for n in range(1, 5)]
    assert not {len(n.leaves) for n in heads} & {len(n.leaves) for n in forks}
    for head, fork in itertools.product(heads, forks):
        sides = (side(head, 0, 1, 2), side(fork, 1, 2, 3))
        for one in sides:
            one.certificate.verify(VOTERS)
        result = compare(*sides, VOTERS)
        assert findings(result) == [("issuer", "leaves"), ("payer", "leaves")]
        assert result.first_difference == 11  # a seal here, one more transaction there


@pytest.mark.parametrize("name", FORKS)
def test_the_tiles_of_the_larger_tree_alone_are_enough(name: str) -> None:
    fork = FORKS[name]
    true_is_larger = len(TRUE.leaves) > len(fork.leaves)
    result = compare(
        side(TRUE, 0, 1, 2, tiles=true_is_larger),
        side(fork, 1, tiles=not true_is_larger),
        VOTERS,
    )
    assert findings(result) == [("issuer", "roots")]
    assert result.first_difference is None


def test_without_the_larger_tree_only_a_leaf_can_tell() -> None:
    larger = FORKS["larger"]
    bare = side(larger, LIAR, tiles=False)
    with pytest.raises(UndecidedError, match="larger tree"):
        compare(side(TRUE, 0, 1, 2), bare, VOTERS)
    told = {
        index: side(larger, 0, 1, 2, tiles=False, proof=index)
        for index in range(len(larger.leaves))
    }
    decided = set()
    for index, shown in told.items():
        try:
            result = compare(side(TRUE, LIAR), shown, VOTERS)
        except UndecidedError:
            continue
        decided.add(index)
        assert findings(result) == [("issuer", "leaves")]
    assert decided == {
        n for n, (a, b) in enumerate(zip(TRUE.leaves, larger.leaves, strict=False)) if a != b
    }
    assert decided


def test_two_proof_files_are_enough_when_they_show_one_place() -> None:
    fork = FORKS["larger"]
    result = compare(
        side(TRUE, 0, 1, 2, tiles=False, proof=12),
        side(fork, 0, 1, 2, tiles=False, proof=12),
        VOTERS,
    )
    assert findings(result) == [(node, "leaves") for node in ("bureau", "issuer", "payer")]


def test_honest_heads_are_consistent_and_blame_nobody() -> None:
    growing = [history(*([70] * n), common=99) for n in range(1, 9)]
    for a, b in itertools.product(growing, growing):
        larger_tiles = len(b.leaves) >= len(a.leaves)
        result = compare(
            side(a, 0, 1, 2, tiles=not larger_tiles), side(b, 1, 2, 3, tiles=larger_tiles), VOTERS
        )
        assert result == Comparison(consistent=True)


def test_an_inconsistency_that_nobody_signed_twice_is_told_without_evidence() -> None:
    result = compare(side(TRUE, 0), side(FORKS["larger"], 1), VOTERS)
    assert (result.consistent, result.evidence) == (False, ())
    assert result.first_difference is not None


# --- Nobody is blamed by what is false --------------------------------------------------------


def test_false_tiles_are_called_false_and_blame_no_voter() -> None:
    """A server may serve any tile; each bit of them is bound to a root, or not used."""
    rng = random.Random(7)
    large = history(3, 3, 700, common=9)
    grown = history(3, 3, 700, 500, common=9)
    refused = 0
    for _ in range(200):
        tiles = {place: bytearray(data) for place, data in grown.tiles.items()}
        data = tiles[rng.choice(list(tiles))]
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        lookup = TileSubtrees(lambda *place, tiles=tiles: bytes(tiles[place]))
        false = Side("false", grown.certify(), lookup)
        try:
            result = compare(side(large, 0, 1, 2), false, VOTERS)
        except ForgedError:
            refused += 1
        else:
            assert result == Comparison(consistent=True)
    assert refused > 50


def test_false_tiles_of_a_fork_never_change_whom_it_names() -> None:
    rng = random.Random(8)
    fork = FORKS["far larger"]
    for _ in range(200):
        tiles = {place: bytearray(data) for place, data in fork.tiles.items()}
        data = tiles[rng.choice(list(tiles))]
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        lookup = TileSubtrees(lambda *place, tiles=tiles: bytes(tiles[place]))
        try:
            result = compare(
                side(TRUE, 0, 1, 2, 3), Side("f", signed_by(fork, LIAR), lookup), VOTERS
            )
        except ForgedError:
            continue
        assert findings(result) == [("issuer", "leaves")]


@pytest.mark.parametrize(
    ("complaint", "certificate"),
    [
        ("another network", Network(make_genesis(name="other"))),
        ("no voter cosigned", ()),
        ("does not verify", "mixed"),
        ("no voter cosigned", "stranger"),
    ],
)
def test_forged_checkpoints_are_refused(complaint: str, certificate: object) -> None:
    replace = msgspec.structs.replace
    whole = TRUE.certify()
    if isinstance(certificate, Network):
        certificate.add_block()
        forged = certificate.certify()
    elif certificate == ():
        forged = replace(whole, cosignatures=())
    elif certificate == "mixed":
        forged = replace(whole, cosignatures=FORKS["larger"].certify().cosignatures)
    else:
        line = replace(whole.cosignatures[0], cosigner="piaolian/demo/nobody")
        forged = replace(whole, cosignatures=(line,))
    for a, b in itertools.permutations((Side("forged", forged), side(TRUE, 0))):
        with pytest.raises(ForgedError, match=f"forged: .*{complaint}"):
            compare(a, b, VOTERS)


def test_a_proof_whose_parts_do_not_belong_together_blames_nobody() -> None:
    shown = side(FORKS["larger"], 0, 1, 2, tiles=False, proof=12)
    assert shown.proof is not None
    false = msgspec.structs.replace(shown.proof, path=shown.proof.path[::-1])
    with pytest.raises(ForgedError):
        compare(side(TRUE, LIAR), msgspec.structs.replace(shown, proof=false), VOTERS)


# --- The search ----------------------------------------------------------------------------------


def test_the_first_difference_is_found_with_few_tiles() -> None:
    rng = random.Random(5)
    size = 70_000
    hashes = leaf_hashes(n.to_bytes(4, "big") for n in range(size))
    tree, read = tiled(hashes)
    for at in (0, 255, 256, 65_535, 65_536, size - 1, *(rng.randrange(size) for _ in range(5))):
        other, _ = tiled(hashes[:at] + leaf_hashes([b"fork"] * (size - at)))
        read.clear()
        assert first_difference(size, tree, other) == at
        assert len(read) <= 5
        assert first_difference(at, tree, other) is None


def tiled(hashes: list[bytes]) -> tuple[SubtreeLookup, set[tuple[int, int]]]:
    """A tree with a note of the tiles that are read."""
    read: set[tuple[int, int]] = set()
    tiles = {(t.level, t.number): t.data for t in TileBuilder().append(hashes)}

    def lookup(level: int, number: int) -> bytes:
        read.add((level, number))
        return tiles[level, number]

    def fresh(level: int, number: int) -> bytes:
        return TileSubtrees(lookup)(level, number)

    return fresh, read

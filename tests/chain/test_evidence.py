"""Evidence names liars, and forged evidence never names an honest voter."""

from __future__ import annotations

import contextlib
import hashlib
import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain.block import Block, decode_block, encode_block
from node.chain.checkpoint import Checkpoint
from node.chain.entry import attest, decode_header
from node.chain.evidence.breaches import first_payload_breach
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    EVIDENCE_BYTES_MAX,
    EntryEvidence,
    EntryStatement,
    Evidence,
    EvidenceError,
    HeaderEvidence,
    LeafEvidence,
    LeafStatement,
    PayloadEvidence,
    RootEvidence,
    RootStatement,
    SealEvidence,
    SealStatement,
    SizeEvidence,
    decode_evidence,
    encode_evidence,
)
from node.chain.evidence.watch import HEARD_MAX, EvidenceWatch, compare_proofs
from node.chain.merkle import leaf_hash
from node.ledger.transaction import encode_wire
from node.storage.raft_log import ENTRY_FORMAT
from tests.chain.network import Network, make_genesis, make_leaf, seed

LIAR = 1


def forked() -> tuple[Network, Network]:
    """Two histories that agree on the first block and no further; voter 1 signs both."""
    networks = (Network(), Network())
    for number, network in enumerate(networks):
        network.add_block()
        network.add_block(3, state=bytes((number,)) * 32)
        network.add_block(3, state=bytes((number,)) * 32)
    return networks


TRUE, FALSE = forked()
VOTERS = TRUE.voters


def entry(leader: int, term: int, index: int, payload: bytes) -> EntryStatement:
    before = bytes(32) if index == 1 else leaf_hash(b"before")
    header = ENTRY_FORMAT.header(term, index, 1, leader, before, leaf_hash(payload))
    return attested(leader, header)


def attested(leader: int, header: bytes) -> EntryStatement:
    node = VOTERS.voters[leader].node
    return EntryStatement(header, attest(VOTERS.network_id, header, seed(f"{node}/identity")))


def under(network: Network, voter: int = LIAR, time_s: int = 1) -> RootStatement:
    checkpoint = network.checkpoint
    cosignature = network.cosign(voter, checkpoint, time_s)
    return RootStatement(checkpoint.size, checkpoint.root, cosignature)


def entries(voter: int = LIAR) -> EntryEvidence:
    return EntryEvidence(*sorted(entry(voter, 4, 9, payload) for payload in (b"a", b"b")))


def roots(voter: int = LIAR) -> RootEvidence:
    return RootEvidence(voter, *sorted((under(TRUE, voter), under(FALSE, voter, time_s=2))))


def leaves(voter: int = LIAR, index: int = 7) -> LeafEvidence:
    statements = [
        LeafStatement(leaf_hash(n.leaves[index]), tuple(n.path(index)), under(n, voter))
        for n in (TRUE, FALSE)
    ]
    return LeafEvidence(voter, index, *sorted(statements))


def seals(voter: int = LIAR) -> SealEvidence:
    statements = [
        SealStatement(n.leaves[7], tuple(n.path(7)), under(n, voter)) for n in (TRUE, FALSE)
    ]
    return SealEvidence(voter, *sorted(statements))


KINDS: list[Evidence] = [entries(), roots(), leaves(), seals()]


@pytest.mark.parametrize(
    ("evidence", "kind", "place", "sentence"),
    [
        (entries(), "entries", (4, 9), "issuer signed two different entries for term 4, index 9"),
        (roots(), "roots", (12,), "issuer cosigned two different roots for tree size 12"),
        (leaves(), "leaves", (7,), "issuer cosigned trees with two different leaves at index 7"),
        (seals(), "seals", (2,), "issuer cosigned trees with two different seals of height 2"),
    ],
)
def test_each_kind_names_the_liar(
    evidence: Evidence, kind: str, place: tuple[int, ...], sentence: str
) -> None:
    finding = judge(evidence, VOTERS)
    assert (finding.voter, finding.kind, finding.place) == ("issuer", kind, place)
    assert finding.sentence == sentence
    assert len(finding.id) == 32


@pytest.mark.parametrize("evidence", KINDS)
def test_evidence_travels_as_canonical_bytes(evidence: Evidence) -> None:
    data = encode_evidence(evidence)
    assert decode_evidence(data) == evidence
    assert judge(decode_evidence(data), VOTERS) == judge(evidence, VOTERS)


def test_offences_have_their_own_ids_and_each_only_one() -> None:
    found = [
        judge(evidence, VOTERS)
        for voter in range(4)
        for evidence in (entries(voter), roots(voter), leaves(voter), seals(voter))
    ]
    found.append(judge(leaves(index=11), VOTERS))
    assert len({finding.id for finding in found}) == len(found)
    again = RootEvidence(LIAR, *sorted((under(TRUE, time_s=77), under(FALSE, time_s=78))))
    assert judge(again, VOTERS).id == judge(roots(), VOTERS).id


def test_trees_of_different_sizes_give_evidence_too() -> None:
    """Same height, other size; then a shorter tree against a longer one."""
    network = Network()
    network.add_block()
    network.add_block(9)
    statements = sorted(
        SealStatement(n.leaves[index], tuple(n.path(index)), under(n))
        for n, index in ((TRUE, 7), (network, 13))
    )
    assert judge(SealEvidence(LIAR, *statements), VOTERS).place == (2,)
    pair = sorted(
        LeafStatement(leaf_hash(n.leaves[7]), tuple(n.path(7)), under(n)) for n in (TRUE, network)
    )
    assert judge(LeafEvidence(LIAR, 7, *pair), VOTERS).voter == "issuer"


def exchanged(evidence: Evidence) -> Evidence:
    assert isinstance(evidence, EntryEvidence | RootEvidence | LeafEvidence | SealEvidence)
    first, second = evidence.first, evidence.second
    return msgspec.structs.replace(evidence, first=second, second=first)


def refusals() -> list[tuple[str, Evidence]]:
    replace = msgspec.structs.replace
    entry_a, entry_b = entry(LIAR, 4, 9, b"a"), entry(LIAR, 4, 9, b"b")
    root_a, root_b = under(TRUE), under(FALSE)
    leaf_pair, seal_pair = leaves(), seals()
    other_header = ENTRY_FORMAT.header(4, 9, 1, 0, bytes(32), leaf_hash(b"a"))

    def entry_pair(*pair: EntryStatement) -> EntryEvidence:
        return EntryEvidence(*sorted(pair))

    def root_pair(voter: int, *pair: RootStatement) -> RootEvidence:
        return RootEvidence(voter, *sorted(pair))

    earlier = Network()
    earlier.add_block()
    return [
        *(("out of order", exchanged(evidence)) for evidence in KINDS),
        ("out of order", EntryEvidence(entry_a, entry_a)),
        ("same entry", entry_pair(entry_a, replace(entry_a, attestation=bytes(64)))),
        ("leaders or places", entry_pair(entry_a, entry(LIAR, 4, 10, b"a"))),
        ("leaders or places", entry_pair(entry_a, entry(LIAR, 5, 9, b"a"))),
        ("leaders or places", entry_pair(entry_a, entry(0, 4, 9, b"b"))),
        ("attestation", entry_pair(entry_a, replace(entry_b, attestation=entry_a.attestation))),
        (
            "attestation",  # the liar signs headers that name another leader
            entry_pair(
                entry(0, 4, 9, b"b"),
                EntryStatement(
                    other_header,
                    attest(VOTERS.network_id, other_header, seed("issuer/identity")),
                ),
            ),
        ),
        ("not an entry header", entry_pair(entry_a, replace(entry_b, header=bytes(108)))),
        ("same checkpoint", root_pair(LIAR, root_a, under(TRUE, time_s=5))),
        ("different sizes", root_pair(LIAR, root_a, under(earlier))),
        ("cosignature does not", root_pair(0, root_a, root_b)),
        ("cosignature does not", root_pair(LIAR, root_a, under(FALSE, voter=2))),
        ("cosignature does not", root_pair(LIAR, root_a, replace(root_b, root=bytes(32)))),
        ("no voter", root_pair(4, root_a, root_b)),
        ("no voter", root_pair(255, root_a, root_b)),
        ("not at this index", replace(leaf_pair, index=6)),
        ("not at this index", replace(leaf_pair, first=replace(leaf_pair.first, path=()))),
        ("cosignature does not", replace(leaf_pair, voter=2)),
        ("same leaf", _same_leaf()),
        ("same seal", _same_seal()),
        ("different heights", _other_height()),
        ("cosignature does not", replace(seal_pair, voter=2)),
        ("no seal", _no_seal()),
        ("not a leaf", replace(seal_pair, first=replace(seal_pair.first, seal=b""))),
    ]


def _seal_pair(*places: tuple[Network, int]) -> SealEvidence:
    return SealEvidence(
        LIAR, *sorted(SealStatement(n.leaves[i], tuple(n.path(i)), under(n)) for n, i in places)
    )


def _same_seal() -> SealEvidence:
    return _seal_pair((TRUE, 3), (FALSE, 3))


def _other_height() -> SealEvidence:
    return _seal_pair((TRUE, 7), (FALSE, 11))


def _no_seal() -> SealEvidence:
    return _seal_pair((TRUE, 6), (FALSE, 7))


def _same_leaf() -> LeafEvidence:
    statements = (
        LeafStatement(leaf_hash(n.leaves[2]), tuple(n.path(2)), under(n)) for n in (TRUE, FALSE)
    )
    return LeafEvidence(LIAR, 2, *sorted(statements))


@pytest.mark.parametrize(("expected", "evidence"), refusals())
def test_what_shows_no_lie_is_refused(expected: str, evidence: Evidence) -> None:
    with pytest.raises(EvidenceError, match=expected):
        judge(evidence, VOTERS)


def test_evidence_of_one_network_is_none_in_another() -> None:
    other = Network(make_genesis(name="other")).voters
    for evidence in KINDS:
        with pytest.raises(EvidenceError, match="does not verify"):
            judge(evidence, other)


# --- One statement alone -------------------------------------------------------------------------

NOBODYS = 2**62 + 1
EMPTY, SOME, BEFORE = (hashlib.sha256(text).digest() for text in (b"", b"some", b"before"))


def header(
    term: int = 4,
    index: int = 9,
    kind: int = 1,
    before: bytes = BEFORE,
    payload: bytes = SOME,
) -> HeaderEvidence:
    return HeaderEvidence(
        attested(LIAR, ENTRY_FORMAT.header(term, index, kind, LIAR, before, payload))
    )


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        (header(term=0), "at a place that no log has"),
        (header(index=0), "at a place that no log has"),
        (header(term=NOBODYS), "at a place that no log has"),
        (header(index=NOBODYS), "at a place that no log has"),
        (header(kind=2), "that names voters, whom the genesis names"),
        (header(kind=77), "of kind 77, which does not exist"),
        (header(kind=0), "that opens a term and has a payload"),
        (header(index=1), "that does not follow any entry before it"),
        (header(before=bytes(32)), "that does not follow any entry before it"),
    ],
)
def test_a_header_that_breaks_a_rule_alone_convicts(
    evidence: HeaderEvidence, sentence: str
) -> None:
    assert decode_evidence(encode_evidence(evidence)) == evidence
    finding = judge(evidence, VOTERS)
    assert (finding.voter, finding.kind) == ("issuer", "header")
    assert finding.sentence == f"issuer signed an entry {sentence}"
    statement = evidence.statement
    watch = EvidenceWatch(VOTERS)
    assert watch.observe_entry(statement.header, statement.attestation) == evidence
    forged = msgspec.structs.replace(statement, attestation=bytes(64))
    with pytest.raises(EvidenceError, match="does not verify"):
        judge(HeaderEvidence(forged), VOTERS)


@pytest.mark.parametrize(
    "evidence",
    [
        header(),
        header(index=1, before=bytes(32)),
        header(kind=0, payload=EMPTY),
        header(term=2**62, index=2**62),
    ],
)
def test_a_header_of_an_honest_leader_convicts_nobody(evidence: HeaderEvidence) -> None:
    with pytest.raises(EvidenceError, match="breaks no rule"):
        judge(evidence, VOTERS)
    statement = evidence.statement
    assert EvidenceWatch(VOTERS).observe_entry(statement.header, statement.attestation) is None


NETWORK_ID = VOTERS.network_id


def _wire(*, bad: bool = False, network: bytes | None = None) -> bytes:
    leaf = make_leaf(network or VOTERS.network_id, 1, 1)
    signature = bytes(64) if bad else leaf.signature
    return encode_wire(leaf.body, signature)


def payload(data: bytes, at: int = 0) -> PayloadEvidence:
    name = hashlib.sha256(data).digest()
    return PayloadEvidence(
        attested(LIAR, ENTRY_FORMAT.header(4, 9, 1, LIAR, BEFORE, name)), data, at
    )


def block(*wires: bytes, term: int = 4) -> bytes:
    return encode_block(Block(term, 1_700_000_000_000, wires))


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        (payload(b"no block"), "that is no block"),
        (payload(block(term=3)), "whose block is of another term"),
        (payload(block(_wire(), b"\x90"), 1), "with a transaction that is none"),
        (payload(block(_wire(), _wire(bad=True)), 1), "with a badly signed transaction"),
        (payload(block(_wire(network=bytes(32)))), "with a transaction of another network"),
    ],
)
def test_a_payload_that_breaks_a_rule_alone_convicts(
    evidence: PayloadEvidence, sentence: str
) -> None:
    assert decode_evidence(encode_evidence(evidence)) == evidence
    finding = judge(evidence, VOTERS)
    assert (finding.voter, finding.kind, finding.place) == ("issuer", "payload", (4, 9))
    assert finding.sentence == f"issuer signed an entry {sentence}"
    with pytest.raises(EvidenceError, match="not that of the entry"):
        judge(msgspec.structs.replace(evidence, payload=block()), VOTERS)


@pytest.mark.parametrize(
    "evidence",
    [
        payload(block(_wire())),
        payload(block(_wire(), _wire(bad=True))),  # the named one is good
        payload(block(_wire()), 1),
        payload(b"no block", 1),
        payload(block()),
    ],
)
def test_an_honest_payload_convicts_nobody(evidence: PayloadEvidence) -> None:
    with pytest.raises(EvidenceError, match="breaks no rule"):
        judge(evidence, VOTERS)


def test_a_cosigned_tree_without_leaves_convicts() -> None:
    checkpoint = Checkpoint(VOTERS.origin, 0, bytes(32))
    said = RootStatement(0, bytes(32), TRUE.cosign(LIAR, checkpoint))
    assert judge(SizeEvidence(LIAR, said), VOTERS).sentence == (
        "issuer cosigned a tree that has no leaf"
    )
    watch = EvidenceWatch(VOTERS)
    assert watch.observe_cosignature(LIAR, checkpoint, said.cosignature) is not None
    with pytest.raises(EvidenceError, match="does not verify"):
        judge(SizeEvidence(2, said), VOTERS)
    with pytest.raises(EvidenceError, match="may have this size"):
        judge(SizeEvidence(LIAR, under(TRUE)), VOTERS)


def test_headers_that_peers_tell_of_push_out_nothing_that_was_received() -> None:
    watch = EvidenceWatch(VOTERS)
    shown = entry(LIAR, 1, 1, b"a")
    watch.observe_entry(shown.header, shown.attestation)
    for index in range(2, 2 * HEARD_MAX):
        told = entry(LIAR, 1, index, b"a")
        assert watch.hear_entry(told.header, told.attestation) is None
    assert watch.knows_entry(shown)
    other = entry(LIAR, 1, 1, b"b")
    assert not watch.knows_entry(other)
    assert watch.hear_entry(other.header, other.attestation) == EntryEvidence(
        *sorted((shown, other))
    )


# --- No forgery blames the honest ---------------------------------------------------------------

# What honest voters sign in their whole life, here: every head of the true history, and one entry
# at each place. The liar signs the fork too, and two entries in one place.
HEADS = [Network() for _ in range(3)]
for _blocks, _network in enumerate(HEADS, start=1):
    for _ in range(_blocks):
        _network.add_block(3, state=bytes(32))
SIGNED = [(n, voter) for n in HEADS for voter in range(4)] + [(FALSE, LIAR)]
ROOTS = st.sampled_from([under(n, voter, time_s=t) for n, voter in SIGNED for t in (1, 2)])
ENTRIES = st.sampled_from(
    [entry(voter, term, at, b"a") for voter in range(4) for term in (1, 2) for at in (1, 2)]
    + [entry(LIAR, 1, 1, b"b")]
)
PROVEN = [(n, i, under(n, voter)) for n, voter in SIGNED for i in range(len(n.leaves))]
LEAVES = st.sampled_from([n.leaves[i] for n, i, _ in PROVEN])
PATHS = st.sampled_from([tuple(n.path(i)) for n, i, _ in PROVEN])
TRUE_SEALS = [SealStatement(n.leaves[i], tuple(n.path(i)), root) for n, i, root in PROVEN]
TRUE_LEAVES = [LeafStatement(leaf_hash(s.seal), s.path, s.under) for s in TRUE_SEALS]
SEAL_STATEMENTS = st.sampled_from(TRUE_SEALS) | st.builds(SealStatement, LEAVES, PATHS, ROOTS)
LEAF_STATEMENTS = st.sampled_from(TRUE_LEAVES) | st.builds(
    LeafStatement, LEAVES.map(leaf_hash), PATHS, ROOTS
)
VOTER = st.integers(0, 4)


@st.composite
def forgeries(draw: st.DrawFn) -> Evidence:
    """Evidence put together from statements that were really made, and from wrong parts."""
    match draw(st.integers(1, 4)):
        case 1:
            return EntryEvidence(*sorted((draw(ENTRIES), draw(ENTRIES))))
        case 2:
            return RootEvidence(draw(VOTER), *sorted((draw(ROOTS), draw(ROOTS))))
        case 3:
            pair = sorted((draw(LEAF_STATEMENTS), draw(LEAF_STATEMENTS)))
            return LeafEvidence(draw(VOTER), draw(st.integers(0, 12)), *pair)
        case _:
            seal_pair = sorted((draw(SEAL_STATEMENTS), draw(SEAL_STATEMENTS)))
            return SealEvidence(draw(VOTER), *seal_pair)


@settings(max_examples=1_500, deadline=None)
@given(forgeries())
def test_any_mixture_of_true_statements_blames_the_liar_or_nobody(evidence: Evidence) -> None:
    with contextlib.suppress(EvidenceError):
        assert judge(evidence, VOTERS).voter == "issuer"


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(KINDS), st.data())
def test_a_changed_byte_never_moves_the_blame(evidence: Evidence, data: st.DataObject) -> None:
    encoded = bytearray(encode_evidence(evidence))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(EvidenceError):
        assert judge(decode_evidence(bytes(encoded)), VOTERS).voter == "issuer"


def test_consistent_heads_of_every_size_blame_nobody() -> None:
    """The same leaf and seal under an older and a newer head are no contradiction."""
    for a, b in itertools.combinations(HEADS, 2):
        for i, j in itertools.product(range(len(a.leaves)), range(len(b.leaves))):
            statements = [
                SealStatement(n.leaves[at], tuple(n.path(at)), under(n, voter=0))
                for n, at in ((a, i), (b, j))
            ]
            with pytest.raises(EvidenceError):
                judge(SealEvidence(0, *sorted(statements)), VOTERS)


@given(st.binary(max_size=200))
def test_any_bytes_are_evidence_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(EvidenceError):
        assert encode_evidence(decode_evidence(data)) == data


def test_evidence_beyond_the_limits_is_refused() -> None:
    with pytest.raises(EvidenceError, match="too large"):
        decode_evidence(bytes(EVIDENCE_BYTES_MAX + 1))
    root = under(TRUE)
    long = LeafEvidence(
        LIAR,
        0,
        LeafStatement(bytes(32), (bytes(32),) * 65, root),
        LeafStatement(b"x" * 32, (), root),
    )
    with pytest.raises(EvidenceError, match="not evidence"):
        decode_evidence(encode_evidence(long))
    full = msgspec.structs.replace(long, first=LeafStatement(bytes(32), (bytes(32),) * 64, root))
    assert decode_evidence(encode_evidence(full)) == full


# --- Noticing ------------------------------------------------------------------------------------


def test_the_watch_notices_a_second_root_for_a_size() -> None:
    watch = EvidenceWatch(VOTERS)
    for voter in range(4):
        blob = TRUE.cosign(voter, TRUE.checkpoint, 1)
        assert watch.observe_cosignature(voter, TRUE.checkpoint, blob) is None
        again = TRUE.cosign(voter, TRUE.checkpoint, 2)
        assert watch.observe_cosignature(voter, TRUE.checkpoint, again) is None
    assert watch.contradicts(LIAR, FALSE.checkpoint)
    assert not watch.contradicts(LIAR, TRUE.checkpoint)
    assert not watch.contradicts(LIAR, HEADS[0].checkpoint)
    blob = FALSE.cosign(LIAR, FALSE.checkpoint, 1)
    evidence = watch.observe_cosignature(LIAR, FALSE.checkpoint, blob)
    assert evidence is not None
    finding = judge(evidence, VOTERS)
    assert (finding.voter, finding.kind, finding.place) == ("issuer", "roots", (12,))


def test_a_second_root_for_a_tree_to_come_is_noticed_however_much_was_signed_between() -> None:
    watch = EvidenceWatch(VOTERS, places_max=2)
    first = RootStatement(12, TRUE.checkpoint.root, TRUE.cosign(LIAR, TRUE.checkpoint))
    assert watch.observe_cosignature(LIAR, TRUE.checkpoint, first.cosignature) is None
    watch.pending.add(LIAR, first)
    for size in (20, 21, 22):
        between = Checkpoint(TRUE.checkpoint.origin, size, bytes(32))
        assert watch.observe_cosignature(LIAR, between, TRUE.cosign(LIAR, between)) is None
    assert not watch.contradicts(LIAR, FALSE.checkpoint), "its place is another's by now"

    evidence = watch.observe_cosignature(
        LIAR, FALSE.checkpoint, FALSE.cosign(LIAR, FALSE.checkpoint)
    )
    assert evidence is not None
    finding = judge(evidence, VOTERS)
    assert (finding.voter, finding.kind, finding.place) == ("issuer", "roots", (12,))


def test_the_watch_notices_a_second_entry_for_a_place() -> None:
    watch = EvidenceWatch(VOTERS)
    for statement in (
        entry(LIAR, 4, 9, b"a"),
        entry(LIAR, 4, 9, b"a"),
        entry(LIAR, 4, 10, b"b"),
        entry(LIAR, 5, 9, b"b"),
        entry(2, 4, 9, b"b"),
    ):
        assert watch.observe_entry(statement.header, statement.attestation) is None
    lie = entry(LIAR, 4, 9, b"b")
    evidence = watch.observe_entry(lie.header, lie.attestation)
    assert evidence is not None
    assert judge(evidence, VOTERS).sentence.startswith("issuer signed two different entries")


@pytest.mark.parametrize("bad", [True, False])
def test_the_first_transaction_that_breaks_a_rule_is_found_in_one_reading(
    monkeypatch: pytest.MonkeyPatch, *, bad: bool
) -> None:
    """Each place judged on its own read and hashed all of it again: 0.16 s for a small block."""
    data = block(*[_wire()] * 100, _wire(bad=bad))
    decoded = []

    def counted(read: bytes) -> Block:
        decoded.append(read)
        return decode_block(read)

    monkeypatch.setattr("node.chain.evidence.breaches.decode_block", counted)
    at = first_payload_breach(decode_header(payload(data).statement.header), data, NETWORK_ID)
    assert at == (100 if bad else None)
    assert decoded == [data]


def test_the_watch_forgets_the_oldest_places_of_the_same_voter_only() -> None:
    watch = EvidenceWatch(VOTERS, places_max=3)
    first = entry(LIAR, 1, 1, b"a")
    kept = entry(2, 1, 1, b"a")
    for statement in (first, kept, *(entry(LIAR, 1, index, b"a") for index in (2, 3, 4))):
        watch.observe_entry(statement.header, statement.attestation)
    forgotten, seen = entry(LIAR, 1, 1, b"b"), entry(2, 1, 1, b"b")
    assert watch.observe_entry(forgotten.header, forgotten.attestation) is None
    assert watch.observe_entry(seen.header, seen.attestation) is not None


def test_two_proofs_shown_to_two_clients_name_every_common_cosigner() -> None:
    for index in (7, 11):  # the seals of heights 2 and 3, which differ
        found = compare_proofs(TRUE.prove(index, 0, 1, 2), FALSE.prove(index, 1, 2, 3), VOTERS)
        findings = [judge(evidence, VOTERS) for evidence in found]
        assert [(f.voter, f.kind) for f in findings] == [("issuer", "roots"), ("payer", "roots")]
    longer = Network()
    longer.add_block()
    longer.add_block(5)
    kinds = {
        (4, 4): [],  # the same transaction in both
        (7, 7): ["leaves", "leaves"],
        (7, 9): ["seals", "seals"],
        (3, 3): [],
        (3, 9): [],
    }
    for (a, b), kind in kinds.items():
        found = compare_proofs(TRUE.prove(a, 0, 1, 2), longer.prove(b, 1, 2, 3), VOTERS)
        assert [judge(evidence, VOTERS).kind for evidence in found] == kind


def test_of_all_pairs_of_true_statements_only_those_of_the_liar_are_evidence() -> None:
    sealed = [TRUE_SEALS[at] for at, (_, index, _) in enumerate(PROVEN) if index % 4 == 3]
    blamed = set()
    for voter, (a, b) in itertools.product(range(4), itertools.combinations(sealed, 2)):
        with contextlib.suppress(EvidenceError):
            blamed.add(judge(SealEvidence(voter, *sorted((a, b))), VOTERS).voter)
    assert blamed == {"issuer"}


def test_honest_proofs_give_no_evidence() -> None:
    for a, b in itertools.product(HEADS, HEADS):
        for i, j in itertools.product(range(0, len(a.leaves), 3), range(0, len(b.leaves), 3)):
            assert compare_proofs(a.prove(i), b.prove(j), VOTERS) == []


def test_statements_hold_no_origin_so_the_judge_supplies_it() -> None:
    """A cosignature over a like-named log with the same key would else count here."""
    checkpoint = Checkpoint("piaolian/elsewhere", TRUE.checkpoint.size, b"r" * 32)
    elsewhere = RootStatement(checkpoint.size, checkpoint.root, TRUE.cosign(LIAR, checkpoint))
    with pytest.raises(EvidenceError, match="does not verify"):
        judge(RootEvidence(LIAR, *sorted((under(TRUE), elsewhere))), VOTERS)

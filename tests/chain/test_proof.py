"""The proof file: what verifies, and that nothing else does."""

from __future__ import annotations

import base64
import contextlib
import json
import random  # noqa: TID251  # seeded
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.certificate import Certificate
from node.chain.checkpoint import sign_origin
from node.chain.disclosure import Disclosure, commit, disclose, items_of
from node.chain.leaf import TransactionLeaf, encode_leaf
from node.chain.merkle import leaf_hash
from node.chain.note import encode_base64
from node.chain.proof import (
    DISCLOSURES_MAX,
    MalformedProofError,
    Proof,
    TooMuchDisclosedError,
    build_proof,
    parse_proof,
)
from node.chain.verify import verify_proof_file
from node.ledger.codes import Code
from node.ledger.execution.bykey import encode_operation
from node.ledger.invoices.operations import (
    ActForRetired,
    IssueInvoice,
    IssueRedLetter,
    RateGroup,
    RequestRedLetter,
    WithdrawOffer,
)
from node.ledger.operations import ByKey, Operation
from node.ledger.transaction import transaction_id
from tests.chain.network import AUTHOR, Network, make_genesis, make_leaf, seed


def grown(blocks: int = 5, voters: int = 4) -> Network:
    network = Network(make_genesis(voters))
    for _ in range(blocks):
        network.add_block()
    return network


NETWORK = grown()
GENESIS = NETWORK.genesis
PROOF = NETWORK.prove(9)
FILE = PROOF.encode().encode()


def reason(data: bytes | str) -> str:
    """Why the file is invalid; fails when it is not."""
    verdict = verify_proof_file(data, GENESIS)
    assert not verdict.valid
    assert verdict.reason
    assert (verdict.transaction, verdict.height, verdict.code) == (None, None, None)
    assert verdict.cosigners == ()
    return verdict.reason


def test_a_proof_shows_the_transaction_its_height_and_who_cosigned() -> None:
    verdict = verify_proof_file(FILE, GENESIS)
    assert verdict.valid
    assert verdict.reason == ""
    leaf = make_leaf(GENESIS.network_id, 9, 3)
    assert verdict.transaction == transaction_id(leaf.body).hex()
    assert (verdict.height, verdict.code, verdict.author) == (3, 0, AUTHOR)
    assert (verdict.index, verdict.size) == (9, 20)
    assert verdict.cosigners == ("bureau", "issuer", "payer")
    assert verify_proof_file(FILE.decode(), GENESIS) == verdict


@pytest.mark.parametrize("voters", [1, 3, 4, 5, 7])
def test_every_leaf_of_a_tree_has_a_proof(voters: int) -> None:
    network = grown(3, voters)
    for index in range(len(network.leaves)):
        proof = network.prove(index)
        assert len(proof.certificate.cosignatures) == network.voters.q
        assert parse_proof(proof.encode(), network.voters) == proof
        verdict = verify_proof_file(proof.encode(), network.genesis)
        assert verdict.valid
        assert (verdict.transaction is None) == (index % 4 == 3), "the seal is no transaction"


def test_a_tree_of_one_leaf_has_a_proof_without_hashes() -> None:
    network = Network()
    network.add_block(0)
    proof = network.prove(0)
    assert proof.path == ()
    assert verify_proof_file(proof.encode(), network.genesis).valid


def test_the_file_has_the_lines_of_the_specification() -> None:
    lines = FILE.decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 9"
    assert [len(line) for line in lines[3:8]] == [44] * len(PROOF.path) == [44] * 5
    assert lines[8] == ""
    assert "\n".join(lines[9:]) == PROOF.certificate.encode()
    assert lines[9:13] == [*NETWORK.checkpoint.body.split("\n")[:3], ""]
    assert lines[13].startswith(f"— {NETWORK.voters.origin} ")
    assert len(lines) == 13 + 1 + 3 + 1
    extra = msgspec.msgpack.decode(base64.b64decode(lines[1].removeprefix("extra ")))
    assert extra == [PROOF.leaf, [], []]


def test_a_proof_of_a_refusal_is_valid_and_says_so() -> None:
    network = Network()
    refused = make_leaf(network.voters.network_id, 0, 1, Code.INSUFFICIENT_AVAILABLE)
    network.append([encode_leaf(refused)])
    verdict = verify_proof_file(network.prove(0).encode(), network.genesis)
    assert verdict.valid
    assert verdict.code == 160


# --- Every change of the file ------------------------------------------------------------------


def test_every_flipped_bit_and_several_other_values_of_every_byte_are_refused() -> None:
    rng = random.Random(1)
    reasons = set()
    for at, byte in enumerate(FILE):
        values = {byte ^ 1 << bit for bit in range(8)} | {10, 13, 32, 61, rng.randrange(256)}
        for value in values - {byte}:
            reasons.add(reason(FILE[:at] + bytes((value,)) + FILE[at + 1 :]))
    assert len(reasons) > 10, "different changes have different reasons"


def test_every_deleted_byte_is_refused() -> None:
    for at in range(len(FILE)):
        reason(FILE[:at] + FILE[at + 1 :])


def test_every_inserted_byte_is_refused() -> None:
    rng = random.Random(2)
    for at in range(len(FILE) + 1):
        for value in (10, 32, rng.randrange(256)):
            reason(FILE[:at] + bytes((value,)) + FILE[at:])


def test_every_truncation_is_refused() -> None:
    for end in range(len(FILE)):
        reason(FILE[:end])


def test_every_pair_of_exchanged_lines_is_refused() -> None:
    lines = FILE.split(b"\n")
    for a in range(len(lines)):
        for b in range(a):
            swapped = list(lines)
            swapped[a], swapped[b] = lines[b], lines[a]
            if swapped != lines:
                reason(b"\n".join(swapped))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        FILE + FILE,
        FILE + b"\n",
        b"\xef\xbb\xbf" + FILE,
        FILE.replace(b"\n", b"\r\n"),
        FILE.replace(b"index 9", b"index 09"),
        FILE.replace(b"index 9", b"index +9"),
        FILE.replace(b"index 9", b"index -9"),
        FILE.replace(b"index 9", b"index " + b"9" * 5_000),
        FILE.replace(b"index 9", "index ٩".encode()),
        FILE.replace(b"@v1", b"@v2"),
        FILE + bytes(200_000),
    ],
)
def test_other_spellings_are_refused(data: bytes) -> None:
    reason(data)


def test_padding_bits_count() -> None:
    """A lax base64 decoder ignores the last bits of the character before the padding."""
    lines = FILE.decode().split("\n")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    padded = [number for number, line in enumerate(lines) if line.endswith("=")]
    assert len(padded) >= 6
    for number in padded:
        bare = lines[number].rstrip("=")
        twin = bare[:-1] + alphabet[alphabet.index(bare[-1]) ^ 1]
        changed = list(lines)
        changed[number] = twin + "=" * (len(lines[number]) - len(bare))
        assert "canonical" in reason("\n".join(changed))


# --- Lies --------------------------------------------------------------------------------------


def lies() -> Iterator[tuple[str, Proof]]:
    """Well-formed proofs that a lying server could build, with the reason they must meet."""
    replace = msgspec.structs.replace
    certificate = PROOF.certificate
    other = grown(5)
    other.leaves[9] = encode_leaf(make_leaf(GENESIS.network_id, 99, 3))
    fork = Network()
    fork.append(other.leaves)
    yield "not at this index", replace(PROOF, index=8)
    yield "not at this index", replace(PROOF, index=20)
    yield "not at this index", replace(PROOF, index=2**60)
    yield "not at this index", replace(PROOF, leaf=NETWORK.leaves[8])
    yield "not at this index", replace(PROOF, path=PROOF.path[:-1])
    yield "not at this index", replace(PROOF, path=(*PROOF.path, bytes(32)))
    yield "not at this index", replace(fork.prove(9), certificate=certificate)
    yield (
        "does not verify",
        replace(PROOF, certificate=replace(certificate, checkpoint=fork.checkpoint)),
    )
    yield "not a leaf", replace(PROOF, leaf=b"")
    yield "another network", other_network().prove(9)
    # Fewer than q signed the fork; nobody else's cosignature helps them.
    for signers in ((0,), (0, 1)):
        forged = fork.certify().cosignatures
        kept = tuple(forged[n] for n in signers)
        yield (
            "exactly 3",
            replace(
                fork.prove(9), certificate=replace(fork.prove(9).certificate, cosignatures=kept)
            ),
        )
        mixed = (*kept, *certificate.cosignatures[len(kept) :])
        yield (
            "does not verify",
            replace(
                fork.prove(9), certificate=replace(fork.prove(9).certificate, cosignatures=mixed)
            ),
        )
    full = NETWORK.certify().published(sign_origin(NETWORK.checkpoint, seed("bank/origin")))
    yield "exactly 3", replace(PROOF, certificate=full)
    yield "one origin", replace(PROOF, certificate=full.narrowed(NETWORK.voters))
    yield "one origin", replace(PROOF, certificate=replace(certificate, origin_signature=None))


def other_network() -> Network:
    network = Network(make_genesis(name="other"))
    for _ in range(5):
        network.add_block()
    return network


@pytest.mark.parametrize(("expected", "proof"), list(lies()))
def test_a_lie_is_refused_with_its_reason(expected: str, proof: Proof) -> None:
    assert expected in reason(proof.encode())


def certified(leaf: bytes) -> str:
    """A proof of any leaf, as if every voter had lied."""
    network = Network()
    network.append([leaf])
    return network.prove(0).encode()


def test_leaves_that_no_honest_voter_appends_are_refused_even_when_certified() -> None:
    good = make_leaf(GENESIS.network_id, 0, 1)
    assert verify_proof_file(certified(encode_leaf(good)), GENESIS).valid
    replace = msgspec.structs.replace
    for code in range(1, 20):
        assert "no leaf" in reason(certified(encode_leaf(replace(good, code=code))))
    unsigned = replace(good, signature=bytes(64))
    assert "signature of the author" in reason(certified(encode_leaf(unsigned)))
    foreign = make_leaf(make_genesis(name="other").network_id, 0, 1)
    assert "another network" in reason(certified(encode_leaf(foreign)))
    garbage = TransactionLeaf(0, 1, b"garbage", bytes(64))
    assert "not a transaction" in reason(certified(encode_leaf(garbage)))
    assert "not a leaf" in reason(certified(b"garbage"))
    seal = Network().make_seal(0, bytes(32))
    misplaced = replace(seal, height=1, first_index=5)
    assert "another place" in reason(certified(encode_leaf(misplaced)))
    strangers = replace(seal, height=1, voters_hash=bytes(32))
    assert "other voters" in reason(certified(encode_leaf(strangers)))


def test_an_empty_proof_of_an_inner_node_is_refused() -> None:
    """The two children of an inner node are 64 bytes that hash to it only with its prefix."""
    left, right = (leaf_hash(NETWORK.leaves[n]) for n in (8, 9))
    proof = Proof(4, PROOF.path[1:], left + right, PROOF.certificate)
    reason(proof.encode())


def test_extra_data_holds_nothing_but_a_leaf() -> None:
    """Disclosures and handovers are unknown to this version, which ignores nothing."""
    line = next(line for line in FILE.decode().split("\n") if line.startswith("extra "))
    for extra in (
        [PROOF.leaf],
        [PROOF.leaf, []],
        [PROOF.leaf, [b"x"], []],
        [PROOF.leaf, [], [b"x"]],
        [PROOF.leaf, [], [], []],
        [PROOF.leaf.decode("latin-1"), [], []],
        {"leaf": PROOF.leaf},
    ):
        other = f"extra {encode_base64(msgspec.msgpack.encode(extra))}"
        assert "extra data" in reason(FILE.decode().replace(line, other))


@given(st.binary(max_size=300), st.integers(0, len(FILE)), st.integers(0, 300))
def test_any_bytes_are_invalid_with_a_reason(data: bytes, at: int, removed: int) -> None:
    spliced = FILE[:at] + data + FILE[at + removed :]
    for candidate in (data, spliced):
        if candidate != FILE:
            reason(candidate)
        with contextlib.suppress(MalformedProofError):
            head = parse_proof(candidate, NETWORK.voters).encode().partition("\n\n")[0]
            assert candidate.decode().partition("\n\n")[0] == head


def test_a_proof_stays_valid_while_the_tree_grows_and_each_is_its_own() -> None:
    network = grown()
    early = network.prove(9).encode()
    network.add_block()
    late = network.prove(9).encode()
    assert early != late
    for text in (early, late):
        assert verify_proof_file(text, network.genesis).valid


def test_a_certificate_without_cosignatures_is_not_a_proof() -> None:
    bare = Certificate(NETWORK.checkpoint, (), PROOF.certificate.origin_signature)
    reason(msgspec.structs.replace(PROOF, certificate=bare).encode())


# --- Disclosures -------------------------------------------------------------------------------

SALT = bytes(range(32))
DETAILS = (
    '{"lines":[{"description":"纸","net":900},{"description":"ink","net":100}],'
    '"remarks":"r","seller":{"bank":"B","name":"卖方"}}'
).encode()
ITEMS = items_of(DETAILS)


def issuing(number: str, details: bytes | None) -> IssueInvoice:
    groups = (RateGroup(1300, 1_000, 130, 2),)
    order = number.encode().rjust(32, b"0")
    head = (number, False, AUTHOR, "CNY", "2026-11-18", groups, 1_000, 130, 1_130)
    return IssueInvoice(*head, order, None, details, ())


def disclosing(
    *disclosures: Disclosure, code: int = 0, commitment: bytes | None = None
) -> tuple[Network, Proof]:
    """A proof over a transaction of two invoices, the second with `DETAILS`."""
    network = Network()
    operations = (
        issuing("1" * 20, None),
        issuing("2" * 20, commitment or commit(ITEMS, SALT)),
        WithdrawOffer("1" * 20),
    )
    leaf = make_leaf(network.voters.network_id, 0, 1, code, operations)
    network.append([encode_leaf(leaf)])
    network.add_block()
    certificate = network.certify()
    origin = sign_origin(certificate.checkpoint, seed("bureau/origin"))
    proof = build_proof(
        0, network.path(0), network.leaves[0], certificate, origin, network.voters, disclosures
    )
    return network, proof


def shown(*places: int, operation: int = 1) -> list[Disclosure]:
    return [disclose(ITEMS, SALT, place, operation) for place in places]


def test_a_proof_shows_single_items_of_the_details() -> None:
    network, proof = disclosing(*shown(4, 0, 4))
    verdict = verify_proof_file(proof.encode(), network.genesis)
    assert verdict.valid
    assert [(item.operation, item.invoice, item.path) for item in verdict.disclosed] == [
        (1, "2" * 20, "/lines/0"),
        (1, "2" * 20, "/seller/name"),
    ]
    assert verdict.disclosed[0].value == {"description": "纸", "net": 900}
    assert "ink" not in base64.b64decode(proof.encode().split()[2]).decode("utf-8", "replace")


def test_what_is_shown_names_its_kind() -> None:
    """A buyer that asks to take lines back commits to what it likes: no line of the invoice."""
    asked = RequestRedLetter("2" * 20, 100, 2, commit(ITEMS, SALT))
    red = IssueRedLetter("2" * 20, 0, "3" * 20, *RED, commit(ITEMS, SALT), ())
    for operations, kind, number in (
        ((issuing("2" * 20, commit(ITEMS, SALT)),), "invoice", "2" * 20),
        ((asked,), "red_request", "2" * 20),
        ((red,), "red_invoice", "3" * 20),
        ((ActForRetired(AUTHOR, asked),), "red_request", "2" * 20),
        ((ByKey(bytes(32), bytes(64), encode_operation(asked)),), "red_request", "2" * 20),
    ):
        network = Network()
        network.append([encode_leaf(make_leaf(network.voters.network_id, 0, 1, 0, operations))])
        proof = msgspec.structs.replace(network.prove(0), disclosures=tuple(shown(0, operation=0)))
        (item,) = verify_proof_file(proof.encode(), network.genesis).disclosed
        assert (item.kind, item.invoice) == (kind, number)


RED = ((RateGroup(1300, 100, 13, 1),), 100, 13, 113, bytes(32))


def test_a_proof_of_every_item_is_read_back() -> None:
    network, proof = disclosing(*shown(*range(len(ITEMS))))
    assert parse_proof(proof.encode(), network.voters) == proof
    assert len(verify_proof_file(proof.encode(), network.genesis).disclosed) == len(ITEMS)


@pytest.mark.parametrize(
    ("disclosures", "why"),
    [
        (shown(0, operation=0), "not what the operation commits to"),
        (shown(0, operation=2), "commits to no details"),
        (shown(0, operation=3), "the transaction lacks"),
        ([msgspec.structs.replace(shown(0)[0], value=b'{"net":1}')], "not what the operation"),
        ([msgspec.structs.replace(shown(0)[0], value=b'{"net": 1}')], "not what the operation"),
        ([msgspec.structs.replace(shown(4)[0], path="/buyer/name")], "not what the operation"),
    ],
)
def test_a_disclosure_of_something_else_is_refused(disclosures: list[Disclosure], why: str) -> None:
    network, proof = disclosing(*disclosures)
    verdict = verify_proof_file(proof.encode(), network.genesis)
    assert not verdict.valid
    assert why in verdict.reason
    assert verdict.disclosed == ()


def test_details_of_another_invoice_or_of_a_refused_one_are_not_shown() -> None:
    network, proof = disclosing(*shown(0), commitment=commit(ITEMS, SALT[::-1]))
    assert not verify_proof_file(proof.encode(), network.genesis).valid
    network, proof = disclosing(*shown(0), code=int(Code.QUOTA_EXCEEDED))
    assert "refused" in verify_proof_file(proof.encode(), network.genesis).reason


def test_a_seal_has_nothing_to_disclose() -> None:
    proof = msgspec.structs.replace(NETWORK.prove(3), disclosures=tuple(shown(0)))
    assert "seal" in reason(proof.encode())


def test_disclosures_stand_in_one_order() -> None:
    _, proof = disclosing(*shown(0, 1))
    for wrong in (proof.disclosures[::-1], proof.disclosures[:1] * 2):
        with pytest.raises(MalformedProofError, match="order"):
            parse_proof(msgspec.structs.replace(proof, disclosures=wrong).encode(), NETWORK.voters)


def test_more_than_a_proof_may_hold_is_refused() -> None:
    items = items_of(json.dumps({"x": ["y"] * 300}, separators=(",", ":")).encode())
    many = [disclose(items, SALT, place, 1) for place in range(DISCLOSURES_MAX + 1)]
    with pytest.raises(TooMuchDisclosedError):
        disclosing(*many)
    large = msgspec.structs.replace(shown(0)[0], value=b'"' + b"x" * 300_000 + b'"')
    with pytest.raises(TooMuchDisclosedError):
        disclosing(large)
    _, proof = disclosing(*shown(0))
    with pytest.raises(MalformedProofError, match="large"):
        parse_proof(msgspec.structs.replace(proof, disclosures=(large,)).encode(), NETWORK.voters)


def test_a_thousand_mutated_disclosing_proofs_are_refused() -> None:
    """Random changes of the decoded parts, encoded well again, and of the file's characters."""
    network, proof = disclosing(*shown(0, 3))
    file = proof.encode()
    assert verify_proof_file(file, network.genesis).valid
    rng = random.Random(4)
    for _ in range(1_000):
        if rng.random() < 0.5:
            at = rng.randrange(len(file))
            mutated = file[:at] + rng.choice("AZaz09+/=\n -x") + file[at + 1 :]
        else:
            mutated = msgspec.structs.replace(proof, disclosures=_mutate(rng, proof)).encode()
        if mutated != file:
            assert not verify_proof_file(mutated, network.genesis).valid


def _mutate(rng: random.Random, proof: Proof) -> tuple[Disclosure, ...]:
    place = rng.randrange(len(proof.disclosures))
    item = proof.disclosures[place]
    field = rng.choice(["operation", "index", "count", "path", "value", "salt", "hashes"])
    old = getattr(item, field)
    new: object
    if isinstance(old, int):
        new = old + rng.choice((-1, 1)) if old else old + 1
    elif isinstance(old, bytes):
        at = rng.randrange(len(old))
        new = old[:at] + bytes([old[at] ^ 1 << rng.randrange(8)]) + old[at + 1 :]
    elif isinstance(old, str):
        new = old + rng.choice("/0a")
    else:
        at = rng.randrange(len(old))
        new = (*old[:at], bytes(32), *old[at + 1 :])
    changed = msgspec.structs.replace(item, **{field: new})
    return (*proof.disclosures[:place], changed, *proof.disclosures[place + 1 :])


# --- Lines of others, and long ones --------------------------------------------------------------


def strangers_lines() -> list[str]:
    """Of nobody in this network: others' names, voters' names with other keys, other kinds."""
    voter = NETWORK.voters.voters[1]
    blobs = {
        "witness.example.com/w1": b"\x01\x02\x03\x04" + bytes(72),
        voter.cosigner: b"\x00\x00\x00\x01" + bytes(72),
        voter.origin: b"\x00\x00\x00\x02" + bytes(64),
        "pq.example.com": b"\x05\x06\x07\x08" + bytes(4_600),
        "short.example.com": b"\x05\x06\x07\x08\x09",
    }
    lines = [f"— {name} {encode_base64(blob)}\n" for name, blob in blobs.items()]
    # A voter's key id under another name is another key.
    return [*lines, f"— else {encode_base64(voter.cosign_id + bytes(72))}\n"]


def test_lines_of_unknown_keys_are_ignored_wherever_they_stand() -> None:
    text = FILE.decode()
    start = text.index("—")
    own = text[start:].splitlines(keepends=True)
    rng = random.Random(11)
    verdict = verify_proof_file(FILE, GENESIS)
    for _ in range(20):
        lines = list(own)
        for line in strangers_lines() * 2:
            lines.insert(rng.randrange(len(lines) + 1), line)
        assert verify_proof_file(text[:start] + "".join(lines), GENESIS) == verdict
    assert not verify_proof_file(text[:start] + "".join(strangers_lines()), GENESIS).valid
    assert "signature lines" in reason(text + strangers_lines()[0] * 40)


def test_a_line_of_a_known_key_that_does_not_verify_refuses_the_proof() -> None:
    for voter in NETWORK.voters.voters:
        false = f"— {voter.cosigner} {encode_base64(voter.cosign_id + bytes(72))}\n"
        reason(FILE.decode() + false)
    reason(FILE.decode() + f"— {voter.origin} {encode_base64(voter.origin_id + bytes(64))}\n")


def large_proof(leaf_bytes: int, shown_bytes: int = 0) -> tuple[Network, Proof]:
    """A proof of a leaf of about so many bytes, and of an item of so many."""
    items = items_of(json.dumps({"remarks": "x" * shown_bytes}, separators=(",", ":")).encode())
    network = Network()
    issued = issuing("2" * 20, commit(items, SALT))
    count = leaf_bytes // 23
    others = [WithdrawOffer(f"{n:020}") for n in range(min(count, 990))]
    operations: tuple[Operation, ...] = (issued, *others)
    body = make_leaf(network.voters.network_id, 0, 1, 0, operations)
    network.append([encode_leaf(body)])
    certificate = network.certify()
    origin = sign_origin(certificate.checkpoint, seed("bureau/origin"))
    disclosures = [disclose(items, SALT, 0, 0)] if shown_bytes else []
    return network, build_proof(
        0, [], network.leaves[0], certificate, origin, network.voters, disclosures
    )


@pytest.mark.parametrize("shown_bytes", [0, 40_000, 47_000, 48_000, 100_000, 250_000])
def test_no_line_is_longer_than_other_tools_read(shown_bytes: int) -> None:
    network, proof = large_proof(900, shown_bytes)
    text = proof.encode()
    lines = text.encode().split(b"\n")
    assert max(map(len, lines)) < 64 * 1024 - 1, "Go's bufio.Scanner"
    extra = [line for line in lines if line.startswith(b"extra ")]
    assert len(extra) == 1 + shown_bytes // 47_000
    assert verify_proof_file(text, network.genesis).valid
    if len(extra) > 1:
        joined = b"extra " + b"".join(line.removeprefix(b"extra ") for line in extra)
        one_line = text.encode().replace(b"\n".join(extra), joined)
        assert not verify_proof_file(one_line, network.genesis).valid, "one spelling"

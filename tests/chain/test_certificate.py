"""Voters and certificates: the arithmetic of finality and what a certificate must hold."""

from __future__ import annotations

import contextlib
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.certificate import (
    Certificate,
    CertificateError,
    Cosignature,
    certify,
    open_checkpoint,
    parse_certificate,
    read_certificate,
)
from node.chain.checkpoint import sign_origin, verify_cosignature
from node.chain.note import Note, NoteSignature, open_note
from node.chain.voters import VoterSet
from tests.chain.network import Network, make_genesis, seed


@pytest.fixture
def network() -> Network:
    network = Network()
    network.add_block()
    return network


@pytest.mark.parametrize(
    ("n", "f", "q"), [(1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5)]
)
def test_the_arithmetic_is_that_of_the_design(n: int, f: int, q: int) -> None:
    voters = VoterSet.from_genesis(make_genesis(n))
    assert (voters.n, voters.f, voters.q) == (n, f, q)
    assert 2 * q - n > f, "two quorums share an honest voter"
    assert q <= n - f, "the honest alone are a quorum"


def test_the_voters_hash_tells_every_list_apart() -> None:
    genesis = make_genesis()
    voters = genesis.voters
    lists = [
        voters,
        voters[:3],
        (voters[1], voters[0], *voters[2:]),
        *(
            (msgspec.structs.replace(voters[0], **{name: "0" * 64}), *voters[1:])
            for name in ("identity_key", "cosign_key", "origin_key")
        ),
    ]
    sets = [
        VoterSet.from_genesis(msgspec.structs.replace(genesis, voters=voters)) for voters in lists
    ]
    assert len({voters.hash for voters in sets}) == len(lists)


def test_voters_have_distinct_names_and_keys() -> None:
    voters = VoterSet.from_genesis(make_genesis(7))
    keys = [key for voter in voters.voters for key in voter.verifier_keys]
    assert len({key.encode() for key in keys}) == 14
    assert voters.voters[2].cosigner == f"{voters.origin}/payer"
    assert voters.get(6) is voters.by_node["police"]
    assert voters.get(7) is voters.get(-1) is None


def test_a_certificate_round_trips_and_verifies(network: Network) -> None:
    for certificate in (
        network.certify(),
        network.certify(0, 2, 3),
        network.certify().published(sign_origin(network.checkpoint, seed("payer/origin"))),
    ):
        parsed = parse_certificate(certificate.encode())
        assert parsed == certificate
        parsed.verify(network.voters)


def test_a_certificate_opens_as_an_ordinary_note(network: Network) -> None:
    certificate = network.certify().published(sign_origin(network.checkpoint, seed("payer/origin")))
    log_keys = [voter.verifier_keys[1] for voter in network.voters.voters]
    assert open_note(certificate.encode(), log_keys).text == network.checkpoint.body


def test_narrowing_keeps_the_first_q_in_voter_order(network: Network) -> None:
    narrowed = network.certify().narrowed(network.voters)
    assert narrowed.cosigner_nodes(network.voters) == ("bureau", "issuer", "payer")
    narrowed.verify(network.voters)


def test_every_set_of_fewer_than_q_is_refused(network: Network) -> None:
    full = network.certify()
    for count in range(network.voters.n + 1):
        for chosen in itertools.combinations(full.cosignatures, count):
            certificate = Certificate(full.checkpoint, chosen)
            if count >= network.voters.q:
                certificate.verify(network.voters)
            else:
                with pytest.raises(CertificateError, match="are needed"):
                    certificate.verify(network.voters)
    with pytest.raises(CertificateError, match="are needed"):
        certify(full.checkpoint, {0: b"", 1: b""}, network.voters)


def test_one_voter_counts_once(network: Network) -> None:
    a, b, _, _ = network.certify().cosignatures
    again = Cosignature(a.cosigner, network.cosign(0, network.checkpoint, 1_800_000_000))
    for cosignatures in ((a, again, b), (a, a, b), (b, a, b)):
        with pytest.raises(CertificateError, match="voter order"):
            Certificate(network.checkpoint, cosignatures).verify(network.voters)


def test_one_bad_cosignature_refuses_even_when_enough_are_good(network: Network) -> None:
    full = network.certify()
    bad = Cosignature(full.cosignatures[3].cosigner, full.cosignatures[0].blob)
    with pytest.raises(CertificateError, match="reimburser does not verify"):
        Certificate(full.checkpoint, (*full.cosignatures[:3], bad)).verify(network.voters)


def test_cosigners_outside_the_voter_list_are_refused(network: Network) -> None:
    larger = Network(make_genesis(7))
    larger.add_block()
    strangers = larger.certify(0, 1, 2, 3, 4)
    with pytest.raises(CertificateError, match="another network"):
        strangers.verify(network.voters)
    stranger = Cosignature(f"{network.voters.origin}/bank", strangers.cosignatures[4].blob)
    full = network.certify()
    with pytest.raises(CertificateError, match="no voter"):
        Certificate(full.checkpoint, (*full.cosignatures, stranger)).verify(network.voters)


def test_a_cosignature_covers_one_checkpoint(network: Network) -> None:
    before, certificate = network.checkpoint, network.certify()
    network.add_block()
    moved = Certificate(network.checkpoint, certificate.cosignatures)
    with pytest.raises(CertificateError, match="does not verify"):
        moved.verify(network.voters)
    voter = network.voters.voters[0]
    assert verify_cosignature(
        before, voter.cosigner, voter.cosign_key, certificate.cosignatures[0].blob
    )


def test_the_origin_signature_must_be_of_a_voter(network: Network) -> None:
    for name in ("issuer/cosign", "issuer/identity", "stranger"):
        blob = sign_origin(network.checkpoint, seed(name))
        with pytest.raises(CertificateError, match="origin signature"):
            network.certify().published(blob).verify(network.voters)


def test_an_identity_or_origin_key_makes_no_cosignature(network: Network) -> None:
    full = network.certify()
    voter = network.voters.voters[3]
    for key in (voter.identity_key, voter.origin_key):
        assert not verify_cosignature(
            full.checkpoint, voter.cosigner, key, full.cosignatures[3].blob
        )


def test_every_single_changed_character_is_refused(network: Network) -> None:
    text = network.certify().narrowed(network.voters).encode()
    for at, character in enumerate(text):
        for changed in {chr(ord(character) ^ 1), chr(ord(character) ^ 16), "\n"} - {character}:
            with pytest.raises(CertificateError):
                parse_certificate(text[:at] + changed + text[at + 1 :]).verify(network.voters)


@given(st.text(max_size=100), st.integers(0, 600))
def test_any_text_is_a_certificate_or_a_typed_error(text: str, at: int) -> None:
    network = Network()
    network.add_block(0)
    good = network.certify(0, 1, 2).encode()
    for candidate in (text, good[:at] + text + good[at:], good * 10):
        with contextlib.suppress(CertificateError):
            parse_certificate(candidate).verify(network.voters)
            assert candidate == good


# --- Lines of others -----------------------------------------------------------------------------


def test_nodes_take_one_spelling_from_each_other_and_outsiders_ignore_strangers(
    network: Network,
) -> None:
    text = network.certify().published(sign_origin(network.checkpoint, seed("payer/origin")))
    stranger = NoteSignature("witness.example.com", bytes(76))
    body, _, own = text.encode().partition("\n\n")
    line = Note("", (stranger,)).encode().partition("\n")[2]
    for joined in (f"{body}\n\n{line}{own}", f"{body}\n\n{own}{line}"):
        assert open_checkpoint(joined, network.voters) == text
        assert read_certificate(joined, network.voters) == text
        with pytest.raises(CertificateError):
            parse_certificate(joined).verify(network.voters)


def test_a_checkpoint_counts_each_voter_once_in_any_order(network: Network) -> None:
    whole = network.certify()
    checkpoint = whole.checkpoint
    lines = [NoteSignature(c.cosigner, c.blob) for c in whole.cosignatures]
    again = network.cosign(0, checkpoint, 1_800_000_000)
    text = Note(checkpoint.body, (*lines[::-1], NoteSignature(lines[0].name, again))).encode()
    opened = open_checkpoint(text, network.voters)
    assert opened == whole
    twice = Note(checkpoint.body, (lines[0],) * 3).encode()
    alone = open_checkpoint(twice, network.voters)
    assert len(alone.cosignatures) == 1
    with pytest.raises(CertificateError, match="are needed"):
        alone.verify(network.voters)


def test_a_checkpoint_of_another_network_is_not_opened(network: Network) -> None:
    other = Network(make_genesis(name="other"))
    other.add_block()
    with pytest.raises(CertificateError, match="another network"):
        open_checkpoint(other.certify().encode(), network.voters)

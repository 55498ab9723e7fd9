"""What members choose when they assemble a network: domains, governors, threshold, terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.command import main
from node.custody.keystore import generate_keys
from node.ledger.genesis import Genesis, GenesisError
from node.ledger.genesis_file import parse_genesis
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.membership.terms import MembershipTerms
from node.setup.cards import Choices, NodeCard, card_text, make_card, network_text
from node.setup.network_files import new_participant_id
from tests.terms import EVERY_DOMAIN, make_terms

CREATED = "2026-11-23T00:00:00Z"
ROLES = ("tax_bureau", "issuer", "payer", "reimburser")


def card(role: str) -> NodeCard:
    return make_card(
        generate_keys(),
        node=role.replace("_", "-"),
        participant=new_participant_id(role),
        name=role,
        roles=(role,),
        address="node.example.org:7101",
    )


CARDS = [card(role) for role in ROLES]
IDS = [card.participant for card in sorted(CARDS, key=lambda card: card.node)]
DOMAINS = ("membership", "invoices")
"""Whatever else the program knows."""
TEXT = network_text(CARDS, name="trade", created=CREATED, choices=Choices(domains=DOMAINS))


def made(**choices: object) -> Genesis:
    text = network_text(CARDS, name="trade", created=CREATED, choices=Choices(**choices))  # type: ignore[arg-type]
    return parse_genesis(text)


def test_left_out_everything_is_as_before_and_said_in_full() -> None:
    text = network_text(CARDS, name="trade", created=CREATED)
    genesis = made()

    assert genesis == parse_genesis(text)
    assert genesis.domains == EVERY_DOMAIN
    assert genesis.governors == (CARDS[0].participant,)
    assert genesis.terms == make_terms()
    for kind in (MembershipTerms, InvoicesTerms):
        assert all(f"{name} = " in text for name in kind.__struct_fields__)
        assert kind.meanings.keys() <= set(kind.__struct_fields__)


def test_each_participant_governs() -> None:
    genesis = made(governors=("all",))

    assert (genesis.governors, genesis.threshold) == (tuple(IDS), 3)
    assert made(governors=("all",), threshold=4).threshold == 4


def test_terms_and_domains_are_chosen() -> None:
    genesis = made(terms={"invoices.cancel_ms": 5, "validity_heights": 9})
    assert genesis.terms == make_terms(invoices={"cancel_ms": 5}, validity_heights=9)
    assert genesis.network_id != parse_genesis(TEXT).network_id

    alone = made(domains=("membership",), terms={"membership.proposal_ms": 7})
    assert alone.domains == ("membership",)
    assert alone.terms.of(MembershipTerms).proposal_ms == 7
    with pytest.raises(LookupError, match="no domain 'invoices'"):
        alone.terms.of(InvoicesTerms)


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        ({"governors": ("9131000000000000XX",)}, "is none of the participants"),
        ({"governors": ("all", IDS[0])}, "governor 'all' is none"),
        ({"governors": (IDS[0], IDS[0])}, "governors must differ"),
        ({"threshold": 2}, "threshold 2: it must be 1 to 1"),
        ({"threshold": 0}, "threshold 0"),
        ({"terms": {"cancel_ms": 1}}, "no term 'cancel_ms' here; there are: validity_heights, m"),
        ({"terms": {"invoices.cancel_ms": 2**53 + 1}}, "<= 9007199254740992"),
        ({"domains": ("membership",), "terms": {"invoices.cancel_ms": 1}}, "no term 'invoices"),
        ({"domains": ("invoices",)}, "every network has membership"),
        ({"domains": ("membership", "membership")}, "domains must differ"),
        ({"domains": ("membership", "barter")}, "knows no domain 'barter'"),
        ({"domains": ()}, "every network has membership"),
    ],
)
def test_a_choice_that_cannot_be_makes_no_genesis(
    choices: dict[str, object], complaint: str
) -> None:
    with pytest.raises(GenesisError, match=complaint):
        made(**choices)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[terms.invoices]", "[terms.barter]", "no domain 'barter'"),
        ("[terms.invoices]", "[terms.invoices]\nmore = 1", "terms.invoices: unknown key 'more'"),
        ("[terms]", "[terms]\ndomains = 1", "unknown key 'domains'"),
        ("[terms]", "[terms]\nmore = 1", "terms: unknown key 'more'"),
        ("validity_heights = 100000", "[terms.validity_heights]", "no domain 'validity_heights'"),
        ('domains = ["membership", "invoices"]', "", "domains"),
        ('domains = ["membership", "invoices"]', 'domains = ["membership"]', "no domain 'invoi"),
        ("cancel_ms = 86400000", "cancel_ms = -1", "network.toml"),
        ("cancel_ms = 86400000", "cancel_ms = 1.5", "network.toml"),
        ("cancel_ms = 86400000", 'cancel_ms = "1"', "network.toml"),
        ("cancel_ms = 86400000", "cancel_ms = true", "network.toml"),
    ],
)
def test_a_file_with_other_terms_or_domains_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in TEXT

    with pytest.raises(GenesisError, match=complaint):
        parse_genesis(TEXT.replace(old, new, 1))


def test_what_a_file_leaves_out_of_the_terms_has_its_default() -> None:
    start, end = TEXT.index("[terms]"), TEXT.index("[[participant]]")
    without = parse_genesis(TEXT[:start] + TEXT[end:])

    assert without == parse_genesis(TEXT)
    assert without.network_id == parse_genesis(TEXT).network_id


def test_the_order_of_domains_is_another_network() -> None:
    turned = parse_genesis(TEXT.replace('["membership", "invoices"]', '["invoices", "membership"]'))

    assert turned.network_id != parse_genesis(TEXT).network_id


# --- The command ---


@pytest.fixture
def cards(tmp_path: Path) -> list[str]:
    paths = []
    for each in CARDS:
        paths.append(tmp_path / f"{each.node}.toml")
        paths[-1].write_text(card_text(each))
    return [str(path) for path in paths]


def test_the_command_takes_them(
    cards: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "network.toml"
    options = ["--governor", "all", "--threshold", "3", "--term", "invoices.cancel_ms=5"]
    options += ["--domain", "membership", "--domain", "invoices"]

    common = ["--created", CREATED, "-o", str(output), "--json"]
    assert main(["network", "assemble", *cards, *options, *common]) == 0
    genesis = parse_genesis(output.read_text())
    assert (len(genesis.governors), genesis.threshold) == (4, 3)
    assert genesis.terms == make_terms(DOMAINS, invoices={"cancel_ms": 5})
    printed = json.loads(capsys.readouterr().out)
    assert printed["network_id"] == genesis.network_id.hex()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--term", "invoices.cancel_ms"], "it is NAME=VALUE"),
        (["--term", "invoices.cancel_ms=1h"], "it is NAME=VALUE"),
        (["--term", "validity_heights=1", "--term", "validity_heights=2"], "given twice"),
        (["--term", "cancel_ms=1"], "no term 'cancel_ms' here"),
        (["--governor", "nobody"], "none of the participants"),
        (["--threshold", "9"], "it must be 1 to 1"),
        (["--domain", "barter"], "no domain 'barter'"),
    ],
)
def test_the_command_says_what_is_wrong_and_writes_nothing(
    options: list[str],
    complaint: str,
    cards: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "network.toml"

    assert main(["network", "assemble", *cards, *options, "-o", str(output)]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not output.exists()

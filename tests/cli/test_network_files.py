"""Folders of networks and nodes, and the cards they are assembled from."""

import os
import stat
from pathlib import Path

import pytest
from stdnum.cn import uscc

from node.command import main
from node.custody.keystore import INTERACTIVE, generate_keys, load_keys, read_passphrase
from node.ledger.genesis import GenesisError
from node.ledger.genesis_file import parse_genesis
from node.ledger.types import Role
from node.setup.cards import CardError, NodeCard, card_text, make_card, network_text, parse_card
from node.setup.network_files import (
    NetworkFilesError,
    NewNode,
    create_network,
    create_node,
    install_network,
    new_participant_id,
    role_of,
)
from node.storage.marker import Marker, SigningMemory
from node.system.config import load_config
from node.system.folder_lock import lock_folder
from node.voting.rejoin_word import read_word

NODES = ["tax-bureau", "issuer", "payer", "reimburser"]
CREATED = "2026-11-01T00:00:00Z"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    create_network(folder, NODES, base_port=20_000)
    return folder


def card(node: str, participant: str | None = None, role: str | None = None) -> NodeCard:
    return make_card(
        generate_keys(),
        node=node,
        participant=participant or new_participant_id("payer"),
        name=f"“{node}” \\ Ltd 有限公司",
        roles=(role or role_of(node),),
        address="node.example.org:7101",
    )


def test_a_new_network_is_a_valid_genesis_of_its_nodes(network: Path) -> None:
    genesis = parse_genesis((network / "network.toml").read_text())

    assert sorted(voter.node for voter in genesis.voters) == sorted(NODES)
    assert all(uscc.is_valid(participant.id) for participant in genesis.participants)
    roles = {participant.name: participant.role_set for participant in genesis.participants}
    assert roles["Tax Bureau"] == {Role.TAX_BUREAU}
    bureau = next(p.id for p in genesis.participants if p.name == "Tax Bureau")
    assert genesis.governors == (bureau,)


@pytest.mark.parametrize("node", NODES)
def test_every_node_holds_the_keys_that_the_genesis_names(network: Path, node: str) -> None:
    genesis = parse_genesis((network / "network.toml").read_text())
    config = load_config(network / node / "node.toml")
    assert config.keys.passphrase_file is not None
    public = load_keys(config.keys.file, read_passphrase(config.keys.passphrase_file)).public

    voter = next(voter for voter in genesis.voters if voter.node == node)
    participant = genesis.participant(config.node.participant)
    assert participant is not None
    assert voter.participant == config.node.participant
    assert voter.identity_key == public.identity.hex()
    assert voter.cosign_key == public.cosign.hex()
    assert voter.origin_key == public.origin.hex()
    assert participant.signing_key == public.signing.hex()
    assert participant.sealing_key == public.sealing.hex()
    assert config.node.network.resolve() == (network / "network.toml").resolve()


def test_ports_and_peers_fit_together(network: Path) -> None:
    configs = [load_config(network / node / "node.toml") for node in NODES]

    for number, config in enumerate(configs):
        assert config.p2p.listen == f"127.0.0.1:{20_000 + number}"
        assert config.api.listen == f"127.0.0.1:{21_000 + number}"
        others = {c.node.name: c.p2p.listen for c in configs if c is not config}
        assert {peer.node: peer.address for peer in config.p2p.peers} == others


def test_secret_files_are_open_to_their_owner_only(network: Path) -> None:
    tokens: list[str] = []
    for node in NODES:
        files = [network / node / name for name in ("keys", "passphrase")]
        files += [network / node / "tokens" / f"{s}.token" for s in ("read", "operate", "admin")]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        tokens += [file.read_text().strip() for file in files[2:]]
    assert len(set(tokens)) == len(tokens) == 12
    assert min(len(token) for token in tokens) >= 43  # 256 bits in base64


def test_a_host_template_names_each_node(tmp_path: Path) -> None:
    create_network(tmp_path, ["tax-bureau", "issuer-2"], host="{node}", base_port=7_101)
    config = load_config(tmp_path / "issuer-2" / "node.toml")

    assert config.p2p.peers[0].address == "tax-bureau:7101"
    assert config.p2p.listen == "0.0.0.0:7102"
    assert config.api.listen == "127.0.0.1:8102"


@pytest.mark.parametrize(
    ("nodes", "arguments", "complaint"),
    [
        ([], {}, "at least one"),
        (["shop"], {}, "must begin with its role"),
        (["issuer", "issuer"], {}, "must differ"),
        (["Issuer"], {}, "lower-case"),
        (["../issuer"], {}, "lower-case"),
        ([f"issuer-{number}" for number in range(8)], {}, "at most 7"),
        (["issuer", "payer"], {"voters": 1}, "every node votes"),
        (["issuer"], {"base_port": 65_000}, "out of range"),
    ],
)
def test_a_wrong_request_writes_nothing(
    tmp_path: Path, nodes: list[str], arguments: dict[str, int], complaint: str
) -> None:
    with pytest.raises(NetworkFilesError, match=complaint):
        create_network(tmp_path / "network", nodes, **arguments)  # type: ignore[arg-type]

    assert not (tmp_path / "network").exists()


def test_a_folder_in_use_is_left_alone(network: Path) -> None:
    before = (network / "network.toml").read_text()

    with pytest.raises(NetworkFilesError, match="not empty"):
        create_network(network, NODES)

    assert (network / "network.toml").read_text() == before


@pytest.mark.parametrize(
    ("node", "role"),
    [
        ("issuer", "issuer"),
        ("issuer-2", "issuer"),
        ("issuer2", "issuer"),
        ("tax-bureau-north", "tax_bureau"),
        ("central-bank", "central_bank"),
        ("bank-1", "bank"),
    ],
)
def test_a_name_begins_with_its_role(node: str, role: str) -> None:
    assert role_of(node) == role


def test_a_name_that_only_resembles_a_role_is_refused() -> None:
    with pytest.raises(NetworkFilesError):
        role_of("bankrupt")


def test_generated_ids_carry_both_check_digits() -> None:
    for role in ("issuer", "tax_bureau") * 50:
        identity = new_participant_id(role)
        digits = [int(digit) for digit in identity[8:16]]
        total = sum(d * w for d, w in zip(digits, (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
        check = 10 if identity[16] == "X" else int(identity[16])

        assert uscc.is_valid(identity)
        assert (total + check) % 11 == 0
        assert identity.startswith("11" if role == "tax_bureau" else "91")


def test_assembling_gives_the_same_genesis_in_any_order_of_cards() -> None:
    cards = [card(node) for node in NODES]

    texts = {network_text(order, name="trade", created=CREATED) for order in (cards, cards[::-1])}

    assert len(texts) == 1
    names = {participant.name for participant in parse_genesis(texts.pop()).participants}
    assert "“payer” \\ Ltd 有限公司" in names


def test_members_assemble_a_network_from_cards_alone(tmp_path: Path) -> None:
    cards = []
    for node in ("issuer", "payer"):
        request = NewNode(
            node=node,
            participant=new_participant_id(node),
            name=node,
            roles=(node,),
            p2p_listen="0.0.0.0:7101",
            p2p_address=f"{node}.example.org:7101",
            api_listen="127.0.0.1:8101",
        )
        cards.append(
            create_node(tmp_path / node, request, generate_keys(), b"pass", cost=INTERACTIVE)
        )
    text = network_text(cards, name="trade", created=CREATED)
    for node in ("issuer", "payer"):
        install_network(tmp_path / node, text, cards)

    config = load_config(tmp_path / "payer" / "node.toml")
    assert [peer.address for peer in config.p2p.peers] == ["issuer.example.org:7101"]
    assert config.keys.passphrase_file is None
    assert parse_genesis(config.node.network.read_text()).governors == (cards[0].participant,)
    with pytest.raises(NetworkFilesError, match="set already"):
        install_network(tmp_path / "payer", text, cards)
    with pytest.raises(NetworkFilesError, match="not one of the cards"):
        install_network(tmp_path / "issuer", text, cards[1:])


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("node.example.org", "evil.example.org", "does not match"),
        ('"issuer"', '"issuer-2"', "does not match"),
        ('roles = ["issuer"]', 'roles = ["bishop"]', "unknown role"),
        ("identity_key", "identity_kex", "card"),
        ("# Piaolian", "colour = 1 #", "card"),
    ],
)
def test_a_changed_card_is_refused(old: str, new: str, complaint: str) -> None:
    text = card_text(card("issuer"))
    assert parse_card(text).node == "issuer"

    with pytest.raises(CardError, match=complaint):
        parse_card(text.replace(old, new, 1))


def test_a_card_with_a_key_of_another_is_refused() -> None:
    mine, theirs = card("issuer"), card("payer")

    with pytest.raises(CardError, match="does not match"):
        parse_card(card_text(mine).replace(mine.signing_key, theirs.signing_key))


def test_two_nodes_of_one_participant_make_one_participant() -> None:
    first = card("issuer")
    cards = [first, card("issuer-2", participant=first.participant)]
    genesis = parse_genesis(network_text(cards, name="trade", created=CREATED))

    assert len(genesis.participants) == 1
    assert len(genesis.voters) == 2


def test_too_many_cards_or_one_twice_make_no_genesis() -> None:
    cards = [card(f"payer-{number}") for number in range(8)]
    with pytest.raises(GenesisError, match="at most 7"):
        network_text(cards, name="trade", created=CREATED)
    with pytest.raises(GenesisError):
        network_text([cards[0], cards[0]], name="trade", created=CREATED)
    with pytest.raises(GenesisError):
        network_text([], name="trade", created=CREATED)


def test_rejoin_writes_an_operators_word_for_a_stopped_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_network(tmp_path / "net", NODES, base_port=20_000)
    folder = tmp_path / "net" / "issuer"
    assert Marker.open(folder / "data" / "marker").memory == SigningMemory()
    command = ["rejoin", "--config", str(folder / "node.toml")]

    assert main(command) == 0
    assert read_word(folder / "data")[:2] == (True, None)
    assert main([*command, "--above", "42"]) == 0
    assert read_word(folder / "data")[:2] == (True, 42)
    assert "42" in capsys.readouterr().err
    held = lock_folder(folder / "data")
    assert main(command) == 2
    os.close(held)
    assert "stop the node first" in capsys.readouterr().err

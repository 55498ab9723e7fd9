"""`piaolian network …` and `init`: folders of nodes and networks on disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.context import load
from node.cli.errors import UsageError, reason_of
from node.cli.options import Config, Json, example, whole_option
from node.cli.output import message, print_fields, print_json, program

if TYPE_CHECKING:
    from node.setup.cards import NodeCard

network = typer.Typer(no_args_is_help=True, help="Make a network: all at once, or from cards.")

NetworkName = Annotated[str, typer.Option("--name", help="Name of the network.")]
DEFAULT_NAME = "piaolian"
_NOWHERE = "observer.invalid:7101"
"""Address of a node that nobody dials (RFC 2606, section 2)."""
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")]


@network.command(
    epilog=example("piaolian network new net --nodes tax-bureau,issuer,payer,reimburser")
)
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    nodes: Annotated[
        str, typer.Option(help="Names, each beginning with its role: issuer, issuer-2, …")
    ] = "tax-bureau,issuer,payer,reimburser",
    voters: Annotated[
        int | None, whole_option(least=1, about="How many vote. Every node votes.")
    ] = None,
    base_port: Annotated[
        int, whole_option(least=1, most=65_535, about="p2p port of the first; APIs 1,000 higher.")
    ] = 7_101,
    host: Annotated[
        str, typer.Option(help="Where nodes reach each other; {node} stands for the name.")
    ] = "127.0.0.1",
    name: NetworkName = DEFAULT_NAME,
    as_json: Json = False,
) -> None:
    """Write a whole network: network.toml and a folder for each node."""
    from node.setup.network_files import create_network

    names = [node.strip() for node in nodes.split(",")]
    genesis = create_network(
        folder, names, name=name, voters=voters, base_port=base_port, host=host
    )
    result = {
        "network": str(folder / "network.toml"),
        "network_id": genesis.network_id.hex(),
        "nodes": {node: str(folder / node / "node.toml") for node in names},
    }
    if as_json:
        print_json(result)
    else:
        print_fields(result)
        message(f"start it with: {program()} cluster up {folder}")


@network.command(
    epilog=example(
        "piaolian network assemble */card.toml --name trade --output network.toml",
        "piaolian network assemble */card.toml --governor all --threshold 3 "
        "--term invoices.cancel_ms=3600000",
    )
)
def assemble(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="The members' cards.")],
    output: Output = None,
    name: NetworkName = DEFAULT_NAME,
    created: Annotated[
        str | None,
        typer.Option(help="YYYY-MM-DDTHH:MM:SSZ; members who pass the same get the same genesis."),
    ] = None,
    install: Annotated[
        Path | None, typer.Option(help="A node's folder: write network.toml and its peers there.")
    ] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option(help="Whose rules hold; repeated. Default: all that this program knows."),
    ] = None,
    governor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Who decides on members; repeated, or `all`: each participant. "
            "Default: the tax bureaus.",
        ),
    ] = None,
    threshold: Annotated[
        int | None,
        whole_option(least=1, about="Governors that must agree. Default: more than half."),
    ] = None,
    term: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A term that rules use, as invoices.cancel_ms=3600000; repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the genesis from the members' cards, so that nobody sees another's key.

    Every member who passes the same cards and options gets the same genesis.
    """
    from node.ledger.genesis_file import parse_genesis
    from node.setup.cards import Choices, network_text
    from node.setup.network_files import install_network, utc_now

    parsed = _read_cards(cards)
    terms = _terms(term or [])
    given = {"domains": tuple(domain)} if domain else {}
    choices = Choices(governors=tuple(governor or ()), threshold=threshold, terms=terms, **given)
    text = network_text(parsed, name=name, created=created or utc_now(), choices=choices)
    if output is not None:
        output.write_text(text)
    if install is not None:
        install_network(install, text, parsed)
    genesis = parse_genesis(text)
    network_id = genesis.network_id.hex()
    if as_json:
        print_json({"network_id": network_id, "origin": genesis.origin})
    elif output is None and install is None:
        typer.echo(text, nl=False)
    message(f"network id {network_id}: every member must see the same")


def _read_cards(paths: list[Path]) -> list[NodeCard]:
    from node.setup.cards import CARD_BYTES_MAX, parse_card

    cards = []
    for path in paths:
        try:
            with path.open(encoding="utf-8") as file:
                cards.append(parse_card(file.read(CARD_BYTES_MAX)))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: {reason_of(error)}") from error
    return cards


def _terms(given: list[str]) -> dict[str, int]:
    """Terms by name.

    Raises:
        UsageError: one is no NAME=VALUE, no whole number, or given twice.
    """
    terms: dict[str, int] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[0-9]{1,16}", value):
            raise UsageError(f"--term {text}: it is NAME=VALUE, with a whole number")
        if name in terms:
            raise UsageError(f"--term {name} is given twice")
        terms[name] = int(value)
    return terms


@network.command(
    epilog=example(
        "piaolian network join my-node --network network.toml --peer tax-bureau=10.0.0.1:7101 "
        "--peer issuer=10.0.0.2:7102"
    )
)
def join(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="As `piaolian init --observer` made it.")
    ],
    genesis: Annotated[
        Path, typer.Option("--network", help="The network's genesis document, from a member.")
    ],
    peer: Annotated[
        list[str],
        typer.Option(
            metavar="NODE=HOST:PORT", help="A voter to dial; repeated: take all that you can."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Let an observer's folder follow a network that there is already."""
    from node.cli.proofs import read_genesis_text
    from node.ledger.genesis_file import parse_genesis
    from node.setup.network_files import join_network

    addresses: dict[str, str] = {}
    for text in peer:
        node, equals, address = text.partition("=")
        if not equals or node in addresses:
            raise UsageError(f"--peer {text}: it is NODE=HOST:PORT, each node once")
        addresses[node] = address
    document = read_genesis_text(genesis)
    join_network(folder, document, addresses)
    network_id = parse_genesis(document).network_id.hex()
    result = {"config": str(folder / "node.toml"), "network_id": network_id}
    if as_json:
        print_json(result)
    else:
        print_fields(result)
        message(f"start it with: {program()} start --config {folder / 'node.toml'}")


@network.command(
    epilog=example(
        "piaolian network keys --network network.toml -o piaolian.policy",
        "piaolian network keys net/network.toml --json",
    )
)
def keys(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[NETWORK]", help="The genesis document. Default: the node's own."),
    ] = None,
    genesis: Annotated[
        Path | None, typer.Option("--network", help="The same, as other commands take it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the policy file here.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where the log is served, for the policy's `log` lines.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print the verifier keys of log and cosigners, as a c2sp.org/tlog-policy file.

    With it, tools that know C2SP's formats and nothing of this network check its checkpoints.
    """
    from node.chain.policy import cosigner_key, origin_key, policy_text
    from node.chain.voters import VoterSet
    from node.cli.proofs import read_genesis

    if file is not None and genesis is not None:
        raise UsageError("name the genesis document once")
    if url is not None and not re.fullmatch(r"https?://[!-~]{1,512}", url):
        raise UsageError(f"{url}: not an http URL")
    path = file or genesis or load(config).node.network
    voters = VoterSet.from_genesis(read_genesis(path))
    text = policy_text(voters, url)
    if output is not None:
        output.write_text(text, encoding="utf-8", newline="")
        message(f"wrote {output}")
    if as_json:
        print_json(
            {
                "origin": voters.origin,
                "quorum": voters.q,
                "log": [origin_key(voter) for voter in voters.voters],
                "cosigners": {voter.node: cosigner_key(voter) for voter in voters.voters},
                "policy": text,
                "file": output and str(output),
            }
        )
    elif output is None:
        typer.echo(text, nl=False)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    node: Annotated[str, typer.Option(help="Name of the node in the network.")],
    participant: Annotated[str, typer.Option(help="Unified social credit code.")],
    name: Annotated[str, typer.Option(help="Name of the organisation.")],
    role: Annotated[list[str], typer.Option(help="tax_bureau, issuer, payer, …; repeatable.")],
    address: Annotated[
        str | None, typer.Option(help="host:port where other nodes reach it; a voter needs one.")
    ] = None,
    *,
    observer: Annotated[
        bool, typer.Option("--observer", help="It follows the ledger and does not vote.")
    ] = False,
    p2p_listen: Annotated[str, typer.Option(help="host:port to listen on.")] = "0.0.0.0:7101",
    api_listen: Annotated[str, typer.Option(help="host:port of the local API.")] = "127.0.0.1:8101",
    key_passphrase_file: Annotated[
        Path | None, typer.Option(help="Mode 0600. Without it: asked on the terminal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make one node's folder: keys, tokens, node.toml, and the card for the other members."""
    from node.custody.keystore import ask_passphrase, generate_keys, read_passphrase
    from node.setup.network_files import NewNode, create_node

    if address is None and not observer:
        raise UsageError("a node that votes needs --address")
    if key_passphrase_file is not None:
        passphrase = read_passphrase(key_passphrase_file)
    else:
        passphrase = ask_passphrase("New passphrase: ")
        if passphrase != ask_passphrase("Once more: "):
            raise UsageError("the passphrases differ")
    request = NewNode(
        node=node,
        participant=participant,
        name=name,
        roles=tuple(role),
        p2p_listen=p2p_listen,
        p2p_address=address or _NOWHERE,
        api_listen=api_listen,
        observes=observer,
    )
    create_node(
        folder,
        request,
        generate_keys(),
        passphrase,
        passphrase_file=key_passphrase_file and key_passphrase_file.absolute(),
    )
    result = {"config": str(folder / "node.toml"), "card": str(folder / "card.toml")}
    if as_json:
        print_json(result)
    else:
        print_fields(result)
        message(_next_step(folder, observer=observer))


def _next_step(folder: Path, *, observer: bool) -> str:
    if observer:
        return (
            f"hand card.toml to a governor, then: piaolian network join {folder} "
            "--network network.toml --peer NODE=HOST:PORT"
        )
    return (
        f"hand card.toml to the others, then: piaolian network assemble CARD... --install {folder}"
    )

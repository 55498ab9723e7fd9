"""Folders of nodes and of whole networks on disk: keys, tokens, `node.toml`, `network.toml`.

Owns their layout and who may read them. The only place that draws a node's keys and ids, from
the operating system's random source.

    DIR/network.toml
    DIR/<node>/node.toml  card.toml  keys  passphrase  tokens/{read,operate,admin}.token
    DIR/<node>/data/marker
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from stdnum.cn import uscc

from node.custody.keystore import (
    INTERACTIVE,
    MODERATE,
    KdfCost,
    NodeKeys,
    generate_keys,
    save_keys,
    write_private,
)
from node.ledger.genesis import VOTERS_MAX, Genesis
from node.ledger.genesis_file import parse_genesis
from node.ledger.types import ROLE_NAMES
from node.setup.cards import CardError, NodeCard, card_text, make_card, network_text, parse_card
from node.storage.marker import MARKER_FILE, Marker
from node.system.clock import Clock, SystemClock
from node.system.config import ADDRESS, is_loopback

TOKEN_SCOPES = ("read", "operate", "admin")
API_PORT_OFFSET = 1_000
"""The API of a generated node listens this far above its p2p port."""
_SYSTEM = SystemClock()
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_PUBLIC_BODIES = {"tax_bureau", "customs", "police", "central_bank", "forex"}
_PUBLIC_BODIES |= {"procuratorate", "court", "market_regulator", "auditor"}
NO_PEERS = "peers = []"


class NetworkFilesError(ValueError):
    """The request cannot be carried out; nothing is half done that a repeat would trip over."""


class NewNode(msgspec.Struct, frozen=True, kw_only=True):
    """What a node's folder is made from."""

    node: str
    participant: str
    name: str
    roles: tuple[str, ...]
    p2p_listen: str
    p2p_address: str
    """Where the other nodes reach it."""
    api_listen: str
    network: str = "network.toml"
    """Path of the genesis, relative to the node's folder."""
    observes: bool = False
    """It does not vote: nobody connects to it, and it signs no checkpoint."""


def create_network(
    folder: Path,
    nodes: Sequence[str],
    *,
    name: str = "piaolian",
    voters: int | None = None,
    base_port: int = 7_101,
    host: str = "127.0.0.1",
) -> Genesis:
    """Write a whole network into a new or empty `folder`.

    Args:
        folder: Where to.
        nodes: Node names; each begins with its role (`issuer`, `issuer-2`, `tax-bureau`, …).
        name: Name of the network.
        voters: How many vote. Every node votes, so it can only be their number.
        base_port: p2p port of the first node; APIs listen 1,000 higher, on loopback.
        host: Where the nodes reach each other. `{node}` in it stands for the node's name.

    Raises:
        NetworkFilesError: a name, number or port is unusable, or the folder is not empty.
    """
    _check_request(folder, nodes, voters, base_port)
    folder.mkdir(parents=True, exist_ok=True)
    requests = [
        NewNode(
            node=node,
            participant=new_participant_id(role_of(node)),
            name=node.replace("-", " ").title(),
            roles=(role_of(node),),
            p2p_listen=f"{_listen_host(host)}:{base_port + number}",
            p2p_address=f"{host.replace('{node}', node)}:{base_port + number}",
            api_listen=f"127.0.0.1:{base_port + API_PORT_OFFSET + number}",
            network="../network.toml",
        )
        for number, node in enumerate(nodes)
    ]
    cards = []
    for request in requests:
        passphrase = secrets.token_urlsafe(32).encode()
        keys = generate_keys()
        # The passphrase lies beside the file, so a slow derivation would protect nothing.
        node_folder = folder / request.node
        card = create_node(
            node_folder,
            request,
            keys,
            passphrase,
            passphrase_file=Path("passphrase"),
            cost=INTERACTIVE,
        )
        write_private(node_folder / "passphrase", passphrase + b"\n")
        cards.append(card)
    for request in requests:
        set_peers(folder / request.node / "node.toml", cards, request.node)
    text = network_text(cards, name=name, created=utc_now())
    _write_text(folder / "network.toml", text)
    return parse_genesis(text)


def create_node(
    folder: Path,
    request: NewNode,
    keys: NodeKeys,
    passphrase: bytes,
    *,
    passphrase_file: Path | None = None,
    cost: KdfCost = MODERATE,
) -> NodeCard:
    """Write one node's folder and return its card.

    Args:
        folder: A new or empty folder.
        request: What goes into `node.toml` and the card.
        keys: To be encrypted.
        passphrase: With this.
        passphrase_file: What `node.toml` names as its place; None: asked on the terminal.
        cost: Of deriving the file's key.

    Raises:
        NetworkFilesError: the folder is not empty, or a name or address is malformed.
        CardError: a field is out of its limits.
    """
    _require_empty(folder)
    card = make_card(
        keys,
        node=request.node,
        participant=request.participant,
        name=request.name,
        roles=request.roles,
        address=request.p2p_address,
    )
    for address in (request.p2p_listen, request.api_listen):
        if not ADDRESS.fullmatch(address):
            raise NetworkFilesError(f"{address!r} is not host:port")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "data").mkdir(mode=0o700)
    if not request.observes:
        # Together with the cosign key: one that finds none has forgotten what that key signed.
        Marker.make(folder / "data" / MARKER_FILE)
    save_keys(folder / "keys", keys, passphrase, cost)
    write_tokens(folder / "tokens")
    _write_text(folder / "node.toml", node_text(request, passphrase_file))
    _write_text(folder / "card.toml", card_text(card))
    return card


def install_network(folder: Path, text: str, cards: Sequence[NodeCard]) -> None:
    """Put an assembled genesis into the folder that `create_node` made, and fill in its peers.

    Raises:
        NetworkFilesError: the folder's own card is not among `cards`, or its peers are set.
    """
    try:
        own = parse_card((folder / "card.toml").read_text())
    except OSError as error:
        raise NetworkFilesError(f"{folder / 'card.toml'}: {error.strerror or error}") from error
    except CardError as error:
        raise NetworkFilesError(f"{folder / 'card.toml'}: {error}") from error
    if own not in cards:
        raise NetworkFilesError(f"the card of {folder} is not one of the cards given")
    if not set_peers(folder / "node.toml", cards, own.node):
        raise NetworkFilesError(f"{folder / 'node.toml'}: peers are set already")
    _write_text(folder / "network.toml", text)


def join_network(folder: Path, text: str, addresses: Mapping[str, str]) -> None:
    """Put a network's genesis into an observer's folder, and fill in whom it dials.

    Args:
        folder: As `create_node` made it.
        text: `network.toml`.
        addresses: `host:port` of voters, by node name.

    Raises:
        NetworkFilesError: one is no voter or no address, or the peers are set.
        GenesisError: the genesis cannot be used.
    """
    names = {voter.node for voter in parse_genesis(text).voters}
    for node, address in addresses.items():
        if node not in names:
            raise NetworkFilesError(f"{node} is no voter; there are {', '.join(sorted(names))}")
        if not ADDRESS.fullmatch(address):
            raise NetworkFilesError(f"{address!r} is not host:port")
    config = folder / "node.toml"
    try:
        lines = [f'    {{ node = "{n}", address = "{a}" }},' for n, a in addresses.items()]
        if not _fill_peers(config, lines):
            raise NetworkFilesError(f"{config}: peers are set already")
    except OSError as error:
        raise NetworkFilesError(f"{config}: {error.strerror or error}") from error
    _write_text(folder / "network.toml", text)


def write_tokens(folder: Path) -> None:
    """Write one fresh 256-bit token a scope, each readable by the owner only."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for scope in TOKEN_SCOPES:
        write_private(folder / f"{scope}.token", secrets.token_urlsafe(32).encode() + b"\n")


def set_peers(config: Path, cards: Sequence[NodeCard], own: str) -> bool:
    """Fill the empty peer list of a `node.toml`; False if somebody has written one already."""
    lines = [
        f'    {{ node = "{card.node}", address = "{card.address}" }},'
        for card in cards
        if card.node != own
    ]
    return _fill_peers(config, lines)


def _fill_peers(config: Path, lines: Sequence[str]) -> bool:
    text = config.read_text()
    if NO_PEERS not in text.splitlines():
        return False
    _write_text(config, text.replace(NO_PEERS, "\n".join(["peers = [", *lines, "]"]), 1))
    return True


def role_of(node: str) -> str:
    """The role that a node's name begins with.

    Raises:
        NetworkFilesError: it begins with none.
    """
    for role in sorted(ROLE_NAMES, key=len, reverse=True):
        prefix = role.replace("_", "-")
        if re.fullmatch(rf"{prefix}(-.*|[0-9]*)", node):
            return role
    known = ", ".join(role.replace("_", "-") for role in ROLE_NAMES)
    raise NetworkFilesError(f"node name {node!r} must begin with its role, one of: {known}")


def new_participant_id(role: str) -> str:
    """A random, well-formed unified social credit code (GB 32100, organisation code GB 11714)."""
    prefix = "11" if role in _PUBLIC_BODIES else "91"
    organisation = "".join(secrets.choice(_USCC_ALPHABET[:10]) for _ in range(8))
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(organisation, weights, strict=True))
    check = "0123456789X0"[11 - total % 11] if total % 11 else "0"
    body = f"{prefix}310115{organisation}{check}"
    return body + str(uscc.calc_check_digit(body))


def utc_now(clock: Clock = _SYSTEM) -> str:
    """The wall clock as RFC 3339, UTC, in seconds."""
    now = datetime.fromtimestamp(clock.time_ms() / 1_000, UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def node_text(request: NewNode, passphrase_file: Path | None) -> str:
    """The `node.toml` of a new node, with no peers yet."""
    passphrase = (
        f"passphrase_file = {json.dumps(str(passphrase_file))}"
        if passphrase_file is not None
        else '# passphrase_file = "passphrase"  # absent: asked on the terminal'
    )
    kind = '\nkind = "observer"  # follows the ledger, serves programs; does not vote'
    listening = (
        "# An observer dials voters; nobody connects to it."
        if request.observes
        else "# Other nodes connect here. Connections are authenticated and encrypted.\n"
        f'listen = "{request.p2p_listen}"'
    )
    return f"""\
# Local configuration of one Piaolian node. Relative paths are relative to this file.
# Any value can be overridden by the environment: PIAOLIAN_<SECTION>__<KEY>, for example
# PIAOLIAN_API__LISTEN=127.0.0.1:9000. An unknown key is an error.

[node]
name = "{request.node}"{kind if request.observes else ""}
participant = "{request.participant}"  # unified social credit code
network = "{request.network}"  # the genesis document, equal on every node
data_dir = "data"

[keys]
file = "keys"  # encrypted (argon2id, SecretBox), mode 0600
{passphrase}

[p2p]
{listening}
{NO_PEERS}

[api]
# For programs on this machine. Plain HTTP: anything beyond loopback needs expose = true.
listen = "{request.api_listen}"
token_dir = "tokens"
# expose = false
# allowed_hosts = []    # Host headers accepted besides loopback
# allowed_origins = []  # Origins accepted besides the API's own
# public_url = "https://fapiao.example.org"  # where people reach /verify; goes into QR codes
# public_read = false   # true: anyone reads the log without a token, /checkpoint and /tile/ only

[log]
format = "auto"  # auto, json or console
level = "info"

# [limits]
# pool_transactions = 50000
# pool_bytes = 134217728
# outbox_transactions = 50000
"""


def _listen_host(host: str) -> str:
    # A name that others resolve (a container, say) need not be an address of this machine.
    return host if is_loopback(host) or re.fullmatch(r"[0-9.]+|\[.*\]", host) else "0.0.0.0"  # noqa: S104


def _check_request(folder: Path, nodes: Sequence[str], voters: int | None, base_port: int) -> None:
    if not nodes:
        raise NetworkFilesError("name at least one node")
    for node in nodes:
        if not _NAME.fullmatch(node):
            raise NetworkFilesError(
                f"node name {node!r}: 1 to 40 lower-case letters, digits and hyphens"
            )
        role_of(node)
    if len(set(nodes)) != len(nodes):
        raise NetworkFilesError("node names must differ")
    if len(nodes) > VOTERS_MAX:
        raise NetworkFilesError(f"at most {VOTERS_MAX} nodes can vote, and every node votes")
    if voters is not None and voters != len(nodes):
        raise NetworkFilesError(
            f"--voters {voters}: every node votes, so it must be {len(nodes)}, the number of nodes"
        )
    if not 1 <= base_port <= 65_535 - API_PORT_OFFSET - len(nodes):
        raise NetworkFilesError(f"base port {base_port} is out of range")
    _require_empty(folder)


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NetworkFilesError(f"{folder} exists and is not empty")


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)

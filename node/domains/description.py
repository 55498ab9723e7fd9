"""What a domain is to the machine: the pieces that a node puts together. Owns that form only.

Each domain has one `domain.py` that fills it in, and `node.runtime.domains` lists them. Everything
here is a function, so that a piece is loaded when it is used: the command line loads no server.
Knows no domain.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from node.api.openapi import PathParameter
    from node.api.routing import Route
    from node.cli.lookups import Numbered
    from node.custody.keyring import Keyring
    from node.custody.signer import Signer
    from node.following.participants import Participants
    from node.following.tracker import Tracker
    from node.ledger.genesis import Genesis
    from node.peers.ports import Links
    from node.sealing.recipients import Recipients
    from node.services.final_blocks import FinalListener
    from node.services.ledger_service import Discloser
    from node.services.submitter import Companions, Submitter
    from node.storage.index_part import IndexPart
    from node.storage.ledger_reader import LedgerReader
    from node.storage.outbox import Outbox

Loop = Callable[[], Coroutine[object, object, None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeParts:
    """The parts of a running node that a domain may use."""

    network_id: bytes
    participant: str
    """For which this node signs."""
    data_dir: Path
    participants: Participants
    signer: Signer
    keyring: Keyring
    recipients: Recipients
    outbox: Outbox
    reader: LedgerReader
    tracker: Tracker
    links: Links
    """To other nodes. What a domain takes it registers while it is installed: before any link."""
    monotonic_s: Callable[[], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What a domain does while the node runs, once it can write."""

    services: Mapping[str, object] = field(default_factory=dict)
    """What its routes ask for, by name; each knows its own type (`Api.services`)."""
    final: tuple[FinalListener, ...] = ()
    """Each is told of final blocks, from where it stood when the node ended."""
    loops: tuple[Loop, ...] = ()
    """What else it does by itself; started when the node is up, ended with it."""


def _nothing(_: Submitter) -> Serving:
    return Serving()


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A domain in one node, before the node can write."""

    companions: tuple[Companions, ...] = ()
    """What it adds to operations before they are signed."""
    discloser: Discloser | None = None
    """Shows items of the details that its operations seal."""
    serve: Callable[[Submitter], Serving] = _nothing


def _no_parts(_: Genesis) -> tuple[IndexPart, ...]:
    return ()


def _no_parameters() -> Mapping[str, PathParameter]:
    return {}


def _install_nothing(_: NodeParts) -> Installed:
    return Installed()


@dataclass(frozen=True, kw_only=True, slots=True)
class Domain:
    """A domain's application. Its law, of the same name, is listed by `node.ledger.operations`."""

    name: str
    commands: Callable[[typer.Typer], None]
    """Adds its commands to the tree. Loads no server."""
    numbered: tuple[Numbered, ...] = ()
    """Its documents that commands find by their number. Loads no server either."""
    routes: Callable[[], Sequence[Route]]
    """Of the API, in the order in which paths are tried."""
    parameters: Callable[[], Mapping[str, PathParameter]] = _no_parameters
    """What stands in the paths of its routes, by name, for the API's description."""
    index_parts: Callable[[Genesis], Sequence[IndexPart]] = _no_parts
    install: Callable[[NodeParts], Installed] = _install_nothing
    pages: Path | None = None
    """Folder of its web pages: `index.js` (pages, menu, what is read before the first of them), and
    `lang/en.json` and `zh.json` with the texts that pages say of it."""
    page_paths: tuple[str, ...] = ()
    """Addresses of its pages."""
    position_files: tuple[str, ...] = ()
    """Files in the data folder that say how far its listeners of final blocks came."""

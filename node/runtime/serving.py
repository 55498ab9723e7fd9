"""What programs ask of a node: its health, what domains do for them, and the API in front of both.

Owns their construction over the parts of the node. Nothing in the node waits for what is here.
"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import prometheus_client

from node.api.config import ApiConfig
from node.api.security import TokenFiles
from node.custody.signer import Signer
from node.custody.wallet import Wallet
from node.domains.description import NodeParts, Serving
from node.following.applier import Applier
from node.following.parts import Books, Following
from node.peers.router import Router
from node.runtime.domains import domains_of
from node.runtime.given import Given
from node.runtime.installed import InstalledDomains
from node.runtime.server import ApiServer
from node.sealing.recipients import Recipients
from node.services.health import NodeHealth, RoleHealth
from node.services.submitter import Submitter
from node.storage.outbox import Outbox
from node.submission.intake import Intake
from node.system.config import ApiSection, split_address
from node.system.disk import DiskRoom


class ServedFiles(Protocol):
    """The files that programs read and write through the node."""

    @property
    def folder(self) -> Path:
        """The data folder."""
        ...

    @property
    def books(self) -> Books:
        """The ledger and the query index."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What is promised."""
        ...

    @property
    def wallet(self) -> Wallet:
        """Bare keys."""
        ...


class ServedParts(Protocol):
    """The parts that they are served by; a voter's or an observer's."""

    @property
    def router(self) -> Router:
        """The links."""
        ...

    @property
    def following(self) -> Following:
        """What follows the ledger."""
        ...

    @property
    def applier(self) -> Applier:
        """What brings blocks into it."""
        ...

    @property
    def intake(self) -> Intake:
        """Where transactions are taken in."""
        ...

    @property
    def signer(self) -> Signer:
        """Which key signs."""
        ...


class Services(NamedTuple):
    """What the API sees of the node."""

    disk: DiskRoom
    health: NodeHealth
    submitter: Submitter
    domains: Serving

    def loops(self) -> tuple[Coroutine[object, object, None], ...]:
        """What domains do by themselves."""
        return tuple(loop() for loop in self.domains.loops)


def build_services(
    given: Given, files: ServedFiles, parts: ServedParts, role: RoleHealth
) -> Services:
    """Put the services together; nothing runs yet."""
    identity, following = given.identity, parts.following
    disk = DiskRoom(files.folder)
    health = NodeHealth(
        identity,
        following,
        parts.applier,
        parts.intake,
        role,
        parts.router,
        disk,
    )
    domains = InstalledDomains(
        domains_of(identity.genesis), _parts_for_domains(given, files, parts)
    )
    submitter = Submitter(
        identity,
        following,
        parts.intake,
        files.outbox,
        parts.signer,
        files.wallet,
        health,
        domains,
    )
    return Services(disk, health, submitter, domains.serve(submitter))


def _parts_for_domains(given: Given, files: ServedFiles, parts: ServedParts) -> NodeParts:
    following = parts.following
    return NodeParts(
        network_id=given.identity.voters.network_id,
        participant=given.identity.participant,
        data_dir=files.folder,
        participants=following.participants,
        signer=parts.signer,
        keyring=given.keyring,
        recipients=Recipients(following.participants),
        outbox=files.outbox,
        reader=files.books.reader,
        tracker=following.tracker,
        links=parts.router,
        monotonic_s=lambda: given.clock.monotonic_ms() / 1000,
    )


def build_api(
    given: Given, files: ServedFiles, services: Services, token_files: TokenFiles
) -> ApiServer:
    """The HTTP server over these services; it listens once it is started."""
    return ApiServer(
        _api_config(given.config.api),
        services.submitter,
        services.domains.services,
        files.books.query_index,
        token_files.load(),
        prometheus_client.CollectorRegistry(),
        given.clock,
        domains_of(given.identity.genesis),
    )


def _api_config(section: ApiSection) -> ApiConfig:
    host, port = split_address(section.listen)
    public_url = section.public_url
    return ApiConfig(
        host=host,
        port=port,
        allowed_hosts=(
            *ApiConfig().allowed_hosts,
            *section.allowed_hosts,
            *([] if public_url is None else [urlsplit(public_url).netloc.lower()]),
        ),
        allowed_origins=section.allowed_origins,
        public_url=public_url,
        public_read=section.public_read,
    )

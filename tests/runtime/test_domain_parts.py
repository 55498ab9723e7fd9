"""What a domain adds to a running node: messages of its own kind, listeners of final blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from node.domains.description import Domain, Installed, NodeParts, Serving
from node.runtime import serving
from node.runtime.domains import DOMAINS
from node.storage.block import StoredBlock
from p2p.errors import RemoteProtocolError
from p2p.types import Link, PeerId
from tests.runtime.voters import built_services

KIND = 201
"""Of no part of the node."""


class Question(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A message of a made-up domain."""

    number: int


class Look(NamedTuple):
    """A listener of final blocks that does nothing."""

    position_file: str

    async def wants_blocks(self) -> bool:
        return False

    async def take(self, blocks: Sequence[StoredBlock]) -> bool:
        return bool(blocks)


def asking(heard: list[tuple[int, Question]]) -> Domain:
    """A domain that takes questions of other nodes."""

    def install(node: NodeParts) -> Installed:
        node.links.on(KIND, Question, lambda peer, asked: heard.append((peer, asked)), price=1.0)
        return Installed()

    return Domain(name="asking", commands=lambda _: None, routes=tuple, install=install)


def looking(*files: str, named: tuple[str, ...]) -> Domain:
    """A domain that listens to final blocks."""

    def install(_: NodeParts) -> Installed:
        return Installed(serve=lambda _: Serving(final=tuple(Look(file) for file in files)))

    return Domain(
        name="looking",
        commands=lambda _: None,
        routes=tuple,
        install=install,
        position_files=named,
    )


def with_domains(monkeypatch: pytest.MonkeyPatch, *domains: Domain) -> None:
    monkeypatch.setattr(serving, "domains_of", lambda _: (*DOMAINS, *domains))


async def test_a_message_of_a_domain_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, Question]] = []
    with_domains(monkeypatch, asking(heard))
    body = msgspec.msgpack.encode(Question(5))
    async with built_services(tmp_path) as (parts, _):
        number = parts.router.peers[0]
        peer = PeerId(parts.router._voters.voters[number].identity_key)
        await parts.router.on_message(peer, Link.GOSSIP, KIND, body)
        with pytest.raises(RemoteProtocolError, match="Expected `int`"):
            await parts.router.on_message(peer, Link.GOSSIP, KIND, msgspec.msgpack.encode(["5"]))
    assert heard == [(number, Question(5))]


async def test_on_a_network_without_the_domain_its_message_costs_the_link(tmp_path: Path) -> None:
    async with built_services(tmp_path) as (parts, _):
        peer = PeerId(parts.router._voters.voters[parts.router.peers[0]].identity_key)
        with pytest.raises(RemoteProtocolError, match=f"unknown kind {KIND}"):
            await parts.router.on_message(peer, Link.GOSSIP, KIND, b"")


async def test_two_domains_do_not_take_one_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_domains(monkeypatch, asking([]), asking([]))
    with pytest.raises(ValueError, match=f"kind {KIND} of the gossip link is taken"):
        async with built_services(tmp_path):
            pass


async def test_a_listener_of_final_blocks_follows_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_domains(monkeypatch, looking("looked", named=("looked",)))
    async with built_services(tmp_path) as (_, services):
        found = services.domains
        assert "looked" in [listener.position_file for listener in found.final]
        assert len(found.loops) == len(found.final)


@pytest.mark.parametrize(
    ("domain", "complaint"),
    [
        (looking("looked", named=()), "whose file its domain does not name"),
        (looking("looked", "looked", named=("looked",)), "two listeners with one file"),
        (looking("examined", named=("examined",)), "two listeners with one file"),
    ],
)
async def test_a_listener_has_a_file_of_its_own_that_its_domain_names(
    domain: Domain, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_domains(monkeypatch, domain)
    with pytest.raises(AssertionError, match=complaint):
        async with built_services(tmp_path):
            pass

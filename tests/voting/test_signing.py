"""A voter states each height once, in order, and nothing before its marker holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from node.chain.block import Block, encode_block
from node.chain.evidence.watch import EvidenceWatch
from node.following.applier import Applier
from node.following.certificates import Certificates
from node.following.finality import Finality
from node.following.halt import Halt
from node.following.tracker import Tracker
from node.peers.messages import StatementMessage
from node.storage.ledger_values import CommittedEntry
from node.storage.marker import MARKER_FILE, Marker
from node.system.clock import SystemClock
from node.voting.cosigner import Cosigner
from node.voting.resumption import Rules
from node.voting.signing import Signing
from tests.chain.network import TIME_S, seed
from tests.ledger.world import START
from tests.node.chronicle import TERM, Chronicle

ME, PEERS, WINDOW = 0, (1, 2, 3), 3


@dataclass
class Links:
    """Keeps what is sent, with what the marker held then."""

    marker: Marker
    peers: tuple[int, ...] = PEERS
    told: list[tuple[int, int]] = field(default_factory=list)
    """Height stated, and signed height on the disk."""
    repeated: list[tuple[int, int]] = field(default_factory=list)

    def broadcast(self, message: msgspec.Struct) -> None:
        assert isinstance(message, StatementMessage)
        assert message.voter == ME
        kept = self.marker.memory.signed
        self.told.append((message.height, 0 if kept is None else kept.height))

    def send(self, number: int, message: msgspec.Struct) -> bool:
        assert isinstance(message, StatementMessage)
        self.repeated.append((number, message.height))
        return True

    def linked(self, number: int) -> bool:
        return True

    def rtt_ms(self, number: int) -> float | None:
        return None


@dataclass
class Voter:
    """The parts between a committed entry and the statement of its block."""

    chronicle: Chronicle
    links: Links
    cosigner: Cosigner
    certificates: Certificates
    signing: Signing
    applier: Applier

    async def apply(self, count: int) -> None:
        first = self.chronicle.ledger.head.raft_index + 1
        for index in range(first, first + count):
            payload = encode_block(Block(TERM, START + index, ()))
            entry = CommittedEntry(index, TERM, 1, payload, index.to_bytes(32, "big"))
            await self.applier.apply([entry])

    async def certify(self, height: int) -> None:
        """The others make a height final."""
        ((_, frontier),) = await self.chronicle.reader.frontiers(height, height)
        checkpoint = self.certificates.finality._applied[height]
        assert checkpoint.root == frontier.root()
        certificate = self.chronicle.sign(checkpoint, PEERS, published=False)
        self.certificates.receive(height, certificate)

    async def settled(self) -> None:
        """Let what waits be signed."""
        task = asyncio.ensure_future(self.signing.keep())
        await asyncio.sleep(0.1)
        task.cancel()


@pytest.fixture
async def voter(tmp_path: Path) -> AsyncIterator[Voter]:
    chronicle = await Chronicle.open(tmp_path / "ledger")
    Marker.make(tmp_path / MARKER_FILE)
    marker = Marker.open(tmp_path / MARKER_FILE)
    voters, me = chronicle.voters, chronicle.voters.voters[ME]
    cosigner = Cosigner(me, seed(f"{me.node}/cosign"), marker, lambda: TIME_S, Rules(WINDOW))
    finality = Finality(voters, 0, EvidenceWatch(voters))
    certificates = Certificates(voters, finality, chronicle.ledger, Tracker(), SystemClock())
    links = Links(marker)
    signing = Signing(ME, cosigner, certificates, chronicle.ledger, links)
    certificates.listen(signing.final_moved)
    applier = Applier(chronicle.ledger, certificates, Halt(), signing)
    applier.listen(signing.applied)
    yield Voter(chronicle, links, cosigner, certificates, signing, applier)
    await chronicle.close()
    marker.close()


async def test_a_stored_block_is_stated_once_the_marker_holds_it(voter: Voter) -> None:
    await voter.apply(2)
    assert voter.links.told == [(1, 1), (2, 2)]
    assert voter.certificates.finality.unfinal == 2
    assert {*voter.certificates.finality._verified[2]} == {ME}, "it counts for itself"


async def test_above_the_window_it_waits_and_then_signs_in_order(voter: Voter) -> None:
    await voter.apply(WINDOW + 3)
    stated = [height for height, _ in voter.links.told]
    assert stated == list(range(1, WINDOW + 1))
    await voter.certify(2)
    await voter.settled()
    stated = [height for height, _ in voter.links.told]
    assert stated == list(range(1, WINDOW + 3))
    assert all(kept >= height for height, kept in voter.links.told)
    await voter.apply(1)  # the one before it waits, so this one does too
    assert [height for height, _ in voter.links.told] == stated


async def test_what_was_held_back_is_signed_when_it_may_be(voter: Voter) -> None:
    voter.cosigner.held_back = True
    await voter.apply(2)
    assert voter.links.told == []
    voter.cosigner.held_back = False
    voter.signing.wake()
    await voter.settled()
    assert [height for height, _ in voter.links.told] == [1, 2]


async def test_what_is_final_without_it_is_not_signed(voter: Voter) -> None:
    voter.cosigner.held_back = True
    await voter.apply(3)
    await voter.certify(2)
    voter.cosigner.held_back = False
    voter.signing.wake()
    await voter.settled()
    assert [height for height, _ in voter.links.told] == [3]


async def test_statements_are_repeated_to_whom_they_are_not_final(voter: Voter) -> None:
    await voter.apply(3)
    voter.signing.repeat({1: 0, 2: 2, 3: 3})
    assert voter.links.repeated == [(1, 1), (1, 2), (1, 3), (2, 3)]
    await voter.certify(2)
    voter.links.repeated.clear()
    voter.signing.repeat({1: 0})
    assert voter.links.repeated == [(1, 3)], "what is final here is told by its certificate"

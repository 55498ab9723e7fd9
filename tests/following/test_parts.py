"""A node that does not vote follows a ledger with the same parts: no signer, no consensus."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.following.applier import Applier
from node.following.catchup import CatchUp
from node.following.finality import DivergedError
from node.following.halt import HaltedError
from node.following.identity import NodeIdentity
from node.following.parts import Books, Following, build_following
from node.following.ranges import Ranges
from node.peers.messages import BlocksMessage, BlocksWantedMessage, CertificateMessage, Kind
from node.storage.index import QueryIndex
from node.storage.ledger_values import AppliedBlock
from node.system.clock import SystemClock
from tests.following.test_catchup import head_of
from tests.index_parts import INDEX_PARTS
from tests.ledger.world import SELLER
from tests.node.chronicle import Chronicle, write_history

OUTSIDE = -1
"""The number of a node that no voter has."""
INDEX = 400
CERTIFIED = 6


@dataclass
class Wire:
    """The links of a follower: all peers are one honest voter, whose ledger is real."""

    source: Chronicle
    peers: tuple[int, ...] = (0, 1, 2, 3)
    handlers: dict[int, Callable[[int, Any], object]] = field(default_factory=dict)
    told: list[msgspec.Struct] = field(default_factory=list)
    asked: set[asyncio.Task[None]] = field(default_factory=set)

    def on(
        self, kind: int, shape: type, handler: Callable[[int, Any], object], *, price: float
    ) -> None:
        self.handlers[kind] = handler

    def when_up(self, listener: Callable[[int], object]) -> None: ...

    def when_down(self, listener: Callable[[int], object]) -> None: ...

    def linked(self, number: int) -> bool:
        return True

    def rtt_ms(self, number: int) -> float | None:
        return None

    def broadcast(self, message: msgspec.Struct) -> None:
        self.told.append(message)

    def final_heights(self) -> Mapping[int, int]:
        return dict.fromkeys(self.peers, CERTIFIED)

    def send(self, number: int, message: msgspec.Struct) -> bool:
        assert isinstance(message, BlocksWantedMessage)
        task = asyncio.ensure_future(self._answer(number, message))
        self.asked.add(task)
        return True

    async def _answer(self, number: int, message: BlocksWantedMessage) -> None:
        run = await self.source.reader.leaf_range(message.first)
        self.handlers[Kind.BLOCKS](number, BlocksMessage(message.number, run))


@dataclass
class Follower:
    """The parts at work."""

    chronicle: Chronicle
    wire: Wire
    following: Following
    applier: Applier
    catch_up: CatchUp
    heard: list[tuple[str, int]] = field(default_factory=list)


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Chronicle]:
    made = await Chronicle.open(tmp_path / "source")
    await write_history(made)
    yield made
    await made.close()


@pytest.fixture
async def follower(tmp_path: Path, source: Chronicle) -> AsyncIterator[Follower]:
    chronicle = await Chronicle.open(tmp_path / "follower")
    index = await QueryIndex.open(tmp_path / "follower" / "index.db", INDEX_PARTS, b"network")
    books, wire, clock = (
        Books(chronicle.ledger, chronicle.reader, index),
        Wire(source),
        SystemClock(),
    )
    identity = NodeIdentity(chronicle.genesis, chronicle.voters, OUTSIDE, SELLER, "outside")
    following = build_following(identity, books, wire, clock)
    following.attach(wire)
    applier = Applier(chronicle.ledger, following.certificates, following.halt)
    ledger = chronicle.ledger
    ranges = Ranges(chronicle.voters, lambda: ledger.head.height, following.finality, wire, clock)
    catch_up = CatchUp(chronicle.voters, ledger, applier, ranges, clock)
    ranges.attach(wire)
    made = Follower(chronicle, wire, following, applier, catch_up)

    def hear(name: str) -> Callable[[AppliedBlock], None]:
        return lambda block: made.heard.append((name, block.height))

    applier.listen(hear("first"), *following.listeners, hear("last"))
    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(loop) for loop in (*following.loops(), following.indexer.run())]
        yield made
        for task in loops:
            task.cancel()
    await index.close()
    await chronicle.close()


async def test_it_follows_to_the_newest_final_head(source: Chronicle, follower: Follower) -> None:
    await follower.catch_up.reach(await head_of(source), INDEX)
    await follower.following.tracker.wait_heights(2**62, CERTIFIED - 1, 5.0)
    block, following = source.blocks[CERTIFIED - 1], follower.following
    assert follower.chronicle.ledger.head.root() == block.root
    assert following.tracker.final_height == following.finality.final_height == CERTIFIED
    assert following.tracker.outcome(block.transactions[0].txid) is not None
    assert following.participants.height == CERTIFIED
    assert following.certificates.backlog == (0, 0)
    async with asyncio.timeout(5):
        while following.indexer.height < CERTIFIED:
            await asyncio.sleep(0.01)
    assert follower.wire.told == [], "a bystander states nothing"


async def test_listeners_hear_of_each_block_in_their_order(
    source: Chronicle, follower: Follower
) -> None:
    await follower.catch_up.reach(await head_of(source), INDEX)
    assert follower.heard == [
        (name, height) for height in range(1, CERTIFIED + 1) for name in ("first", "last")
    ]


async def test_another_certified_root_halts_it(source: Chronicle, follower: Follower) -> None:
    """The certificate comes as a message, of a height that this ledger has otherwise."""
    block = await follower.chronicle.add()
    follower.following.certificates.applied(block)
    fork = msgspec.structs.replace(block, root=bytes(32))
    note = source.certificate(fork).encode()
    follower.wire.handlers[Kind.CERTIFICATE](1, CertificateMessage(block.height, note))
    assert "certified with another root" in (follower.following.halt.reason or "")
    with pytest.raises(HaltedError, match="certified with another root"):
        await follower.applier.apply([])
    follower.following.halt.stop(DivergedError("later", source.certificate(fork), bytes(32)))
    assert "later" not in (follower.following.halt.reason or ""), "the first reason stays"


def test_following_loads_nothing_of_voting_and_consensus() -> None:
    code = (
        "import sys, node.following.parts, node.following.catchup\n"
        "names = ('node.voting', 'node.submission', 'consensus')\n"
        "print(sorted(m for m in sys.modules if m.startswith(names)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"

"""A node without a log follows what its peers hold final, whoever of them lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node.chain import leaf_range as runs
from node.following.applier import Applier
from node.following.halt import Halt
from node.following.pursuit import Pursuit
from node.system.clock import SystemClock
from tests.following.test_catchup import (
    CERTIFIED,
    Behind,
    Liar,
    behind,
    garbage,
    other_bytes,
    source,
    withheld,
)
from tests.node.chronicle import Chronicle

__all__ = ["behind", "source"]  # fixtures


@asynccontextmanager
async def pursuing(there: Behind) -> AsyncIterator[asyncio.Task[None]]:
    """The ledger of a test, following."""
    chronicle, certificates = there.chronicle, there.certificates
    applier = Applier(chronicle.ledger, certificates, Halt())
    applier.listen(there.tracker.on_block)
    pursuit = Pursuit(
        chronicle.voters,
        chronicle.ledger,
        applier,
        there.others.ranges,
        there.others,
        SystemClock(),
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(pursuit.run())
        yield task
        task.cancel()


async def reached(there: Behind, height: int = CERTIFIED) -> None:
    async with asyncio.timeout(20):
        while there.chronicle.ledger.head.height < height:
            await asyncio.sleep(0.01)
        while height == CERTIFIED and there.tracker.final_height < height:
            await asyncio.sleep(0.01)


async def test_it_follows_to_where_its_peers_are_and_waits_there(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 2_000)
    async with pursuing(behind) as task:
        await reached(behind)
        asked = len(behind.asked)
        await asyncio.sleep(0.6)
        assert len(behind.asked) == asked
        assert not task.done()
    head = behind.chronicle.ledger.head
    assert (head.root(), head.raft_index) == (source.blocks[CERTIFIED - 1].root, 0)
    assert head.state_digest() == source.blocks[CERTIFIED - 1].state_digest
    assert behind.others.struck == []


async def test_it_goes_on_where_it_stood_after_a_restart(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 1_500)
    async with pursuing(behind):
        await reached(behind, 2)
    await behind.chronicle.ledger.sync()  # what its thread was given it still does
    stood = behind.chronicle.ledger.head.tree_size
    assert stood < source.blocks[CERTIFIED - 1].size
    async with pursuing(behind):
        await reached(behind)
    assert behind.chronicle.ledger.head.root() == source.blocks[CERTIFIED - 1].root


@pytest.mark.parametrize("liar", [garbage, other_bytes, withheld])
async def test_a_peer_that_sends_false_blocks_loses_its_link_and_is_passed_over(
    source: Chronicle, behind: Behind, liar: Liar
) -> None:
    behind.others.liars = {1: liar}
    async with pursuing(behind):
        await reached(behind)
    assert behind.chronicle.ledger.head.root() == source.blocks[CERTIFIED - 1].root
    assert behind.others.struck == [1]
    assert behind.asked.count(1) == 1

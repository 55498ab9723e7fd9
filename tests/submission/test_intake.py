"""The outbox takes no more than it is allowed, whichever way a transaction comes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from node.following.participants import Participants
from node.following.tracker import Tracker
from node.storage.outbox import Outbox, Promise
from node.submission.admission import Admission, VerifiedCache
from node.submission.intake import Intake, OutboxFullError
from node.submission.pool import Pool, PoolLimits
from node.system.clock import SystemClock
from tests.chain.network import make_genesis
from tests.node.chronicle import Chronicle, issue
from tests.node.transactions import make_transaction


async def test_a_full_outbox_refuses_promises_and_stores_nothing(tmp_path: Path) -> None:
    outbox = await Outbox.open(tmp_path / "outbox.db")
    pool = Pool(PoolLimits())
    genesis = make_genesis()
    admission = Admission(genesis, Participants(genesis), VerifiedCache(), pool.knows)
    spread: list[bytes] = []
    intake = Intake(
        admission,
        pool,
        outbox,
        Tracker(),
        SystemClock(),
        outbox_max=2,
        spread=lambda sent: spread.extend(t.txid for t in sent),
        on_work=lambda: None,
    )
    transactions = [make_transaction(n) for n in range(3)]
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(outbox.run())
        await intake.promise(transactions[:2], Promise(items=()))
        with pytest.raises(OutboxFullError):
            await intake.promise(transactions[2:], Promise(items=()))
        with pytest.raises(OutboxFullError):
            await intake.submit([transactions[2].wire])
        writer.cancel()

    assert [t.txid for t in transactions[:2]] == [item.txid for item in await outbox.load()]
    assert pool.get(transactions[2].txid) is None
    assert spread == [t.txid for t in transactions[:2]]
    await outbox.close()


async def test_a_stored_block_frees_what_waited_for_it(tmp_path: Path) -> None:
    """Pool and cache let go of what it holds, and of what it left out for good."""
    chronicle = await Chronicle.open(tmp_path / "ledger")
    pool, cache, genesis = Pool(PoolLimits()), VerifiedCache(), chronicle.genesis
    admission = Admission(genesis, Participants(genesis), cache, pool.knows)
    intake = Intake(
        admission,
        pool,
        cast("Outbox", None),
        Tracker(),
        SystemClock(),
        outbox_max=2,
        spread=lambda _: None,
        on_work=lambda: None,
    )
    wires = [issue(genesis, serial) for serial in (1, 2)]
    first, second = intake.received(await intake.judge(wires))
    await chronicle.add(wires[0])
    intake.applied(await chronicle.add(*wires))  # the first comes twice, and leaves no leaf

    assert len(pool) == 0
    assert pool.knows(first.txid)
    assert pool.knows(second.txid)
    assert cache.get(second.wire) is None
    await chronicle.close()

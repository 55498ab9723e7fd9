"""The leader proposes what waits; whatever becomes of an entry, no transaction is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from node.chain.block import decode_block
from node.following.certificates import Certificates
from node.following.halt import Halt, HaltedError
from node.ledger.transaction import Transaction
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from node.submission.pool import Pool, PoolLimits
from node.system.clock import SystemClock
from node.voting.pacing import BACKLOG_BLOCKS_MAX
from node.voting.proposing import InFlight, Leadership, Proposer
from tests.node.transactions import make_transaction

FOLLOWING, LEADING, AGAIN = (
    Leadership(False, 4, 1),
    Leadership(True, 5, 0),
    Leadership(True, 7, 0),
)


class Finality:
    """What of the log is not final."""

    backlog = (0, 0)
    last_final_ms = 0


class Leader:
    """A proposer, and consensus as a test wants it."""

    def __init__(self) -> None:
        self.pool = Pool(PoolLimits())
        self.in_flight = InFlight(self.pool)
        self.finality, self.halt, self.due = Finality(), Halt(), asyncio.Event()
        self.role = LEADING
        self.room = True
        self.work = False
        self.entries: list[tuple[int, bytes, int]] = []
        self.proposer = Proposer(
            self.pool,
            self.in_flight,
            cast("Certificates", self.finality),
            self,
            self.halt,
            self.due,
            lambda: self.work,
            SystemClock(),
        )

    def leadership(self) -> Leadership:
        return self.role

    def propose(self, payload: bytes, term: int) -> int | None:
        if not self.room:
            return None
        self.entries.append((len(self.entries) + 1, payload, term))
        return len(self.entries)

    def add(self, *serials: int) -> list[Transaction]:
        made = [make_transaction(serial) for serial in serials]
        assert all(self.pool.add(transaction) for transaction in made)
        return made

    async def until(self, reached: Callable[[], bool]) -> None:
        """Let it work until something is so, and a little longer."""
        task = asyncio.ensure_future(self.proposer.run())
        async with asyncio.timeout(5):
            while not reached():
                self.due.set()
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        task.cancel()

    async def look(self) -> None:
        """Let it look many times whether something is due."""
        looks = iter(range(20))
        await self.until(lambda: next(looks, None) is None)

    def entry(self, index: int) -> CommittedEntry:
        _, payload, term = self.entries[index - 1]
        return CommittedEntry(index, term, 0, payload, bytes(32))


@pytest.fixture
async def leader() -> Leader:
    return Leader()


async def test_what_waits_is_proposed_once_under_the_term_that_is_led(leader: Leader) -> None:
    made = leader.add(1, 2)
    await leader.until(lambda: bool(leader.entries))
    ((_, payload, term),) = leader.entries
    block = decode_block(payload)
    assert (term, block.expected_term) == (5, 5)
    assert block.transactions == tuple(transaction.wire for transaction in made)
    assert (leader.pool.waiting, len(leader.pool)) == (0, 2)
    assert (len(leader.in_flight), leader.in_flight.size_bytes) == (1, len(payload))


async def test_without_room_in_consensus_everything_waits_in_its_order(leader: Leader) -> None:
    made, leader.room = leader.add(1, 2), False
    await leader.look()
    assert leader.pool.waiting == 2
    leader.room = True
    await leader.until(lambda: bool(leader.entries))
    assert decode_block(leader.entries[0][1]).transactions == tuple(t.wire for t in made)


async def test_an_entry_that_made_no_block_gives_its_transactions_back(leader: Leader) -> None:
    leader.add(1)
    await leader.until(lambda: bool(leader.entries))
    leader.in_flight.settled([leader.entry(1)])
    assert (len(leader.in_flight), leader.pool.waiting) == (0, 1)


async def test_an_entry_that_made_a_block_gives_nothing_back(leader: Leader) -> None:
    (made,) = leader.add(1)
    await leader.until(lambda: bool(leader.entries))
    leader.in_flight.applied(_block(1))
    leader.pool.applied([made.txid])
    leader.in_flight.settled([leader.entry(1)])
    assert (len(leader.in_flight), len(leader.pool)) == (0, 0)


@pytest.mark.parametrize("role", [FOLLOWING, AGAIN])
async def test_with_its_leadership_what_was_in_flight_waits_again(
    leader: Leader, role: Leadership
) -> None:
    """It may have been applied meanwhile, by whoever leads: then the pool lets go of it."""
    leader.add(1)
    await leader.until(lambda: bool(leader.entries))
    leader.role = role
    expected = 1 + role.leading
    await leader.until(lambda: len(leader.in_flight) == role.leading)
    await leader.until(lambda: len(leader.entries) == expected)
    assert len(leader.in_flight) == role.leading
    assert leader.pool.waiting == 1 - role.leading
    assert [term for *_, term in leader.entries] == [5, 7][:expected]


async def test_who_is_halted_or_follows_proposes_nothing(leader: Leader) -> None:
    leader.add(1)
    leader.role = FOLLOWING
    await leader.look()
    leader.role = LEADING
    leader.halt.stop(HaltedError("another history"))
    await leader.look()
    assert (leader.entries, leader.pool.waiting) == ([], 1)


async def test_with_so_much_not_final_nothing_is_proposed(leader: Leader) -> None:
    leader.add(1)
    leader.finality.backlog = (BACKLOG_BLOCKS_MAX + 1, 0)
    await leader.look()
    assert leader.entries == []
    leader.finality.backlog = (0, 0)
    await leader.until(lambda: bool(leader.entries))


async def test_an_empty_block_is_sealed_while_some_voter_reports_work(leader: Leader) -> None:
    leader.work = True
    await leader.until(lambda: bool(leader.entries))
    assert decode_block(leader.entries[0][1]).transactions == ()


def _block(index: int) -> AppliedBlock:
    return cast("AppliedBlock", type("Block", (), {"raft_index": index})())

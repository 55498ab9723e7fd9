"""The leader's work: entries proposed out of the pool, and what became of them.

Owns what this leader has in flight. When an entry is due is `node.voting.pacing`; of consensus it
knows a small interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from node.chain.block import Block, encode_block
from node.following.certificates import Certificates
from node.following.halt import Halt
from node.ledger.transaction import Transaction
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from node.submission.pool import Pool
from node.system.clock import Clock
from node.voting import pacing

LOOK_S = 1.0
"""So often at least it is looked whether a proposal is due."""


class Leadership(msgspec.Struct, frozen=True):
    """Who leads, as the proposer needs it."""

    leading: bool
    term: int
    leader: int | None


class Consensus(Protocol):
    """What proposing needs of consensus."""

    def leadership(self) -> Leadership:
        """The present role."""
        ...

    def propose(self, payload: bytes, term: int) -> int | None:
        """Propose an entry; its index, or None when there is no room or no leadership."""
        ...


class InFlight:
    """Entries that this leader proposed and that are not applied yet."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._entries: dict[int, tuple[int, Sequence[Transaction]]] = {}
        """By index: payload bytes and transactions."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Of their payloads."""
        return sum(size for size, _ in self._entries.values())

    def add(self, index: int, size: int, transactions: Sequence[Transaction]) -> None:
        """An entry was proposed."""
        self._entries[index] = (size, transactions)

    def applied(self, block: AppliedBlock) -> None:
        """A block is stored."""
        self._entries.pop(block.raft_index, None)

    def settled(self, entries: Sequence[CommittedEntry]) -> None:
        """These entries are applied: those that made no block give their transactions back."""
        for entry in entries:
            _, transactions = self._entries.pop(entry.index, (0, ()))
            self._pool.give_back(transactions)  # those of a void entry; applied ones are gone

    def give_back_all(self) -> None:
        """Leadership changed: what was in flight may or may not be applied, so it waits again."""
        self._entries.clear()
        self._pool.give_back_all()


class Proposer:
    """Proposes whenever this node leads and it is due."""

    def __init__(
        self,
        pool: Pool,
        in_flight: InFlight,
        certificates: Certificates,
        consensus: Consensus,
        halt: Halt,
        due: asyncio.Event,
        work_reported: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """Put it together; `run` is the work.

        Args:
            pool: What waits.
            in_flight: What was proposed, and is not applied.
            certificates: What is committed and not final, which sets the pace.
            consensus: Who leads, and where entries go.
            halt: Who is halted proposes nothing.
            due: Set by whatever may make a proposal due.
            work_reported: Whether some voter has pending or lapsing work.
            clock: Paces, and stamps entries.
        """
        self._pool = pool
        self._in_flight = in_flight
        self._certificates = certificates
        self._consensus = consensus
        self._halt = halt
        self._due = due
        self._work_reported = work_reported
        self._clock = clock
        self._last_proposal_ms = 0
        self._led_term = 0
        self._led_since_ms = 0

    async def run(self) -> None:
        """Propose whenever this node leads and it is due; runs until cancelled."""
        while True:
            delay = self._delay_ms()
            if delay == 0:
                self._propose_one()
                await asyncio.sleep(0)
                continue
            try:
                async with asyncio.timeout(LOOK_S if delay is None else delay / 1000):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()

    def _delay_ms(self) -> int | None:
        if self._halt.reason is not None:
            return None
        leadership = self._consensus.leadership()
        if not leadership.leading:
            if self._led_term:
                self._led_term = 0
                self._in_flight.give_back_all()
            return None
        now = self._clock.monotonic_ms()
        if self._led_term != leadership.term:
            self._led_term = leadership.term
            self._led_since_ms = now
            self._in_flight.give_back_all()
        blocks, size = self._certificates.backlog
        return pacing.delay_ms(
            pacing.Situation(
                now_ms=now,
                waiting=self._pool.waiting,
                unsettled_blocks=blocks + len(self._in_flight),
                unsettled_bytes=size + self._in_flight.size_bytes,
                last_proposal_ms=self._last_proposal_ms,
                last_final_ms=max(self._certificates.last_final_ms, self._led_since_ms),
                work_reported=blocks > 0 or self._work_reported(),
            )
        )

    def _propose_one(self) -> None:
        self._last_proposal_ms = self._clock.monotonic_ms()
        transactions = self._pool.take(
            pacing.BLOCK_BYTES_MAX, pacing.BLOCK_TRANSACTIONS_MAX, pacing.BLOCK_OPERATIONS_MAX
        )
        payload = encode_block(
            Block(self._led_term, self._clock.time_ms(), tuple(t.wire for t in transactions))
        )
        index = self._consensus.propose(payload, self._led_term)
        if index is None:
            self._pool.give_back(transactions)
        else:
            self._in_flight.add(index, len(payload), transactions)

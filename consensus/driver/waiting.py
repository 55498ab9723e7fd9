"""Who waits for what in a running node: a proposal for its place, a read for its index, a change.

Owns futures and nothing else; the driver says what happened.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence

from consensus.core.raft import RaftCore
from consensus.core.reads import ReadAnswer
from consensus.errors import NotLeaderError, ReadError, StoppedError
from consensus.outcomes import (
    Committed,
    Outcome,
    Rejected,
    RejectReason,
    Unknown,
    UnknownReason,
)
from consensus.types import Entry, LogIndex, Role, Term


class Proposals:
    """Submitted payloads by their place in the log."""

    def __init__(self) -> None:
        self._waiting: dict[LogIndex, tuple[Term, asyncio.Future[Outcome]]] = {}

    def add(self, index: LogIndex, term: Term, future: asyncio.Future[Outcome]) -> None:
        """`future` waits for the entry of `term` at `index`."""
        before = self._waiting.get(index)
        if before is not None:  # this node led twice, and its first entry there was truncated
            self._settle(before, Unknown(UnknownReason.REPLACED, index, before[0]))
        self._waiting[index] = (term, future)

    def applied(self, entries: Sequence[Entry], results: Sequence[object] | None) -> None:
        """Those entries were applied; whoever waits for another at their place was refused."""
        waiting = self._waiting
        if not waiting:
            return
        for place, entry in enumerate(entries):
            found = waiting.pop(entry.index, None)
            if found is None or found[1].done():
                continue
            term, future = found
            if term == entry.term:
                result = None if results is None else results[place]
                future.set_result(Committed(entry.index, term, result))
            else:
                future.set_result(Rejected(RejectReason.REPLACED, entry.leader))

    def passed(self, index: LogIndex) -> None:
        """A snapshot replaced the state up to `index`: what stood there is not known here."""
        for place in [place for place in self._waiting if place <= index]:
            found = self._waiting.pop(place)
            self._settle(found, Unknown(UnknownReason.SNAPSHOT, place, found[0]))

    def abandon(self) -> None:
        """The node stops."""
        for place, found in self._waiting.items():
            self._settle(found, Unknown(UnknownReason.STOPPED, place, found[0]))
        self._waiting.clear()

    @staticmethod
    def _settle(found: tuple[Term, asyncio.Future[Outcome]], outcome: Outcome) -> None:
        if not found[1].done():
            found[1].set_result(outcome)


class Reads:
    """Linearizable reads: first for their index, then until it is applied."""

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._ticket = 0
        self._asking: dict[int, asyncio.Future[LogIndex]] = {}
        self._applying: list[tuple[LogIndex, int, asyncio.Future[LogIndex]]] = []

    def add(self, future: asyncio.Future[LogIndex]) -> int:
        """A ticket for a new read.

        Raises:
            ReadError: when too many wait, also for what is not applied yet.
        """
        if len(self._asking) + len(self._applying) >= self._waiting_max:
            self._forget_cancelled()
        if len(self._asking) + len(self._applying) >= self._waiting_max:
            raise ReadError("too many reads wait")
        self._ticket += 1
        self._asking[self._ticket] = future
        return self._ticket

    def drop(self, ticket: int) -> None:
        """Nobody waits for it any more."""
        self._asking.pop(ticket, None)

    def answered(self, answers: Sequence[ReadAnswer], applied: LogIndex) -> None:
        """Their index is known, or they failed."""
        for answer in answers:
            future = self._asking.pop(answer.ticket, None)
            if future is None or future.done():
                continue
            if answer.index is None:
                future.set_exception(ReadError("leadership changed or was not confirmed"))
            elif answer.index <= applied:
                future.set_result(answer.index)
            else:
                heapq.heappush(self._applying, (answer.index, answer.ticket, future))

    def applied(self, index: LogIndex) -> None:
        """Everything up to `index` is applied."""
        while self._applying and self._applying[0][0] <= index:
            wanted, _, future = heapq.heappop(self._applying)
            if not future.done():
                future.set_result(wanted)

    def term_changed(self) -> None:
        """What a leader of an earlier term said may be more than there will ever be, if it lied."""
        self._fail(self._applying, "leadership changed")

    def abandon(self) -> None:
        """The node stops."""
        asking = [(LogIndex(0), ticket, future) for ticket, future in self._asking.items()]
        self._asking.clear()
        self._fail(asking, "the node stopped")
        self._fail(self._applying, "the node stopped")

    @staticmethod
    def _fail(reads: list[tuple[LogIndex, int, asyncio.Future[LogIndex]]], reason: str) -> None:
        failed = list(reads)
        reads.clear()
        for _, _, future in failed:
            if not future.done():
                future.set_exception(ReadError(reason))

    def _forget_cancelled(self) -> None:
        """Who gave up takes no room of those that come."""
        self._applying = [read for read in self._applying if not read[2].done()]
        heapq.heapify(self._applying)


class Watchers:
    """Who looks after each turn whether what a leader has begun is done."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def turn(self, core: RaftCore, term: Term) -> None:
        """Wait until the next turn of the leader of `term` is over.

        Raises:
            NotLeaderError: when it leads no more.
            StoppedError: when the node ends.
        """
        if core.role is not Role.LEADER or core.term != term:
            raise NotLeaderError(core.leader)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    async def settled(self, core: RaftCore, index: LogIndex, term: Term) -> None:
        """Wait until the change that the leader of `term` began at `index` is committed, whole.

        Raises:
            NotLeaderError: when it leads no more and cannot see the end.
            StoppedError: when the node ends.
        """
        while core.membership.joint or not index <= core.membership_index <= core.commit_index:
            await self.turn(core, term)
        if core.log.base.index < index and core.log.term_at(index) != term:
            raise NotLeaderError(core.leader)  # what is committed there is another leader's

    def wake(self) -> None:
        """A turn is over."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def abandon(self) -> None:
        """The node stops."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(StoppedError("the node stopped"))

"""Linearizable reads without writing to the log (thesis, 6.4). Owns who waits for which index.

A leader notes its commit index, lets a quorum confirm that it still leads, and answers. All reads
that came since the last round share the next one. Rounds are counted, never matched by name, and
an answer confirms only rounds that had been sent before it: an old answer confirms nothing new.

A lease (off by default) lets the leader skip the confirmation for a time shorter than any voter
needs to elect another. It is counted on the caller's monotonic clock, not in ticks, because a
process that was stopped counts no ticks. Pure: the time is an argument.
"""

from __future__ import annotations

from collections import deque

import msgspec

from consensus.config import RaftConfig
from consensus.errors import ReadError
from consensus.membership import Membership
from consensus.types import LogIndex, NodeId, Rng

_LEASE_SHARE = 0.7
"""Of the shortest time in which a voter forgets its leader: 0.7 · 1.25 < 1 leaves room for clocks
that differ by a quarter."""
_LEASE_TICKS_LOST = 3
"""Of an election timeout: a voter's first tick may come at once, it forgets one tick early, and one
tick that was due before a heartbeat may be counted after it."""


class ReadAnswer(msgspec.Struct, frozen=True, gc=False):
    """A read may be served once everything up to `index` is applied; None: it must be retried."""

    ticket: int
    index: LogIndex | None


class LeaderReads:
    """The reads of one leadership."""

    def __init__(self, config: RaftConfig) -> None:
        self._config = config
        self.round = 0
        """The newest round; heartbeats carry it."""
        self._new: list[tuple[NodeId, int]] = []
        self._waiting: deque[tuple[int, LogIndex, list[tuple[NodeId, int]]]] = deque()
        self._acknowledged: dict[NodeId, int] = {}
        self._counts: dict[NodeId, int] = {}
        """Reads that wait, by asker."""
        self._sent_ms: deque[tuple[int, float]] = deque()
        self._lease_until_ms = 0.0
        self._lease_allowed = config.lease_reads
        self._lease_ms = (
            _LEASE_SHARE * max(0, config.election_ticks - _LEASE_TICKS_LOST) * config.tick_ms
        )

    def add(self, asker: NodeId, ticket: int, askers: int = 1) -> None:
        """A read waits for its round.

        Args:
            asker: Who reads. This node has `reads_max` for itself; the others share as many, each
                of them a part that nobody else can use up.
            ticket: Its name for the read.
            askers: How many others there are.

        Raises:
            ReadError: when too many wait.
        """
        share = self._config.reads_max
        if asker != self._config.node:
            share = max(1, share // max(1, askers))
        waiting = self._counts.get(asker, 0)
        if waiting >= share:
            raise ReadError("too many reads wait")
        self._counts[asker] = waiting + 1
        self._new.append((asker, ticket))

    def holds_lease(self, now_ms: float) -> bool:
        """Whether nobody else can lead at `now_ms`."""
        return self._lease_allowed and now_ms < self._lease_until_ms

    def void_lease(self) -> None:
        """Leadership was offered to another: no lease for the rest of the term."""
        self._lease_allowed = False

    def begin_round(self, commit: LogIndex, now_ms: float, *, beat: bool) -> bool:
        """Start a round if reads wait for one, or (`beat`) to renew the lease.

        The caller sends heartbeats with the new `round` to everybody when True.
        """
        if not self._new and not (beat and self._lease_allowed):
            return False
        self.round += 1
        self._waiting.append((self.round, commit, self._new))
        self._new = []
        if self._lease_allowed:
            self._sent_ms.append((self.round, now_ms))
        return True

    def acknowledge(self, follower: NodeId, number: int) -> None:
        """A heartbeat of that round was answered."""
        if self._acknowledged.get(follower, 0) < number <= self.round:
            self._acknowledged[follower] = number

    def take_confirmed(
        self, membership: Membership, node: NodeId
    ) -> list[tuple[NodeId, int, LogIndex]]:
        """(asker, ticket, index) of the reads whose rounds a quorum has confirmed."""
        if not self._waiting:
            return []
        confirmed = membership.agreed({**self._acknowledged, node: self.round})
        while self._sent_ms and self._sent_ms[0][0] <= confirmed:
            self._lease_until_ms = self._sent_ms.popleft()[1] + self._lease_ms
        answers: list[tuple[NodeId, int, LogIndex]] = []
        while self._waiting and self._waiting[0][0] <= confirmed:
            _, index, reads = self._waiting.popleft()
            answers += [(asker, ticket, index) for asker, ticket in reads]
        for asker, _, _ in answers:
            self._counts[asker] -= 1
        return answers

    def abandon(self, node: NodeId) -> list[ReadAnswer]:
        """Leadership is lost: the reads of this node fail, others' askers notice by themselves."""
        reads = [*self._new, *(read for _, _, waiting in self._waiting for read in waiting)]
        return [ReadAnswer(ticket, None) for asker, ticket in reads if asker == node]


class FollowerReads:
    """The reads that a follower sends to its leader, all of one turn in one request."""

    def __init__(self, config: RaftConfig, rng: Rng) -> None:
        self._config = config
        self._number = rng.randrange(1, 2**61)
        """Unlike any of an earlier life, so that an answer of then matches nothing now."""
        self._new: list[int] = []
        self._asked: dict[int, tuple[int, list[int]]] = {}
        self._now = 0
        self._count = 0

    def add(self, ticket: int) -> None:
        """A read waits to be sent.

        Raises:
            ReadError: when too many wait.
        """
        if self._count >= self._config.reads_max:
            raise ReadError("too many reads wait")
        self._count += 1
        self._new.append(ticket)

    def take_request(self) -> int | None:
        """The number under which to ask the leader now, if there is something to ask."""
        if not self._new:
            return None
        self._number += 1
        self._asked[self._number] = (self._now, self._new)
        self._new = []
        return self._number

    def tick(self) -> list[ReadAnswer]:
        """The reads that got no answer for an election timeout fail."""
        self._now += 1
        failed: list[ReadAnswer] = []
        for number, (asked, _) in list(self._asked.items()):
            if self._now - asked < self._config.election_ticks:
                break
            failed += self._take(number, None)
        return failed

    def answered(self, number: int, index: LogIndex) -> list[ReadAnswer]:
        """The leader answered request `number`."""
        return self._take(number, index)

    def abandon(self) -> list[ReadAnswer]:
        """The leader changed: what was asked of it fails."""
        failed = [ReadAnswer(ticket, None) for ticket in self._new]
        self._new = []
        self._count -= len(failed)
        for number in list(self._asked):
            failed += self._take(number, None)
        return failed

    def _take(self, number: int, index: LogIndex | None) -> list[ReadAnswer]:
        _, tickets = self._asked.pop(number, (0, []))
        self._count -= len(tickets)
        return [ReadAnswer(ticket, index) for ticket in tickets]

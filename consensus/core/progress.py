"""One follower as its leader sees it. Owns what was sent and matched, and what it waits for; pure.

                      the logs match
          ┌───────────────────────────────────▶ REPLICATE ◀─┐
        PROBE ◀── mismatch, refusal, another life ──┤       │
         ▲  └──── what it needs next is ─────────┐  │       │ installed,
         │        compacted away                 ▼  ▼       │ the logs match
         └──── refused, another life ────────── SNAPSHOT ───┘

A follower decides by its answers what it is sent, so what it can ask for again has a price: going
back costs credits, and those come with heartbeats.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

import msgspec

from consensus.core.snapshot_transfer import Outgoing
from consensus.receipts import Receipt
from consensus.types import LogIndex, NodeId, Term

_CREDITS = 16
"""For going back between two heartbeats: two windows, or a probe for each of so many terms in which
the logs differ. An honest follower needs one or two."""
_WINDOW_COSTS = 8


class ProgressState(Enum):
    """What a follower is being sent."""

    PROBE = "probe"
    """One append at a time, until its log is known to match."""
    REPLICATE = "replicate"
    """Appends, pipelined within a window of messages and bytes."""
    SNAPSHOT = "snapshot"
    """A snapshot, since what it needs is compacted away; `snapshot_transfer` feeds it."""


class LogRead(msgspec.Struct, frozen=True):
    """Entries that a follower needs and memory lacks. Answer with `RaftCore.on_read`."""

    follower: NodeId
    term: Term
    first: LogIndex
    last: LogIndex
    bytes_max: int


class Progress:
    """One follower, as its leader sees it."""

    __slots__ = (
        "active",
        "answered",
        "counted",
        "credits",
        "leaving_ticks",
        "life",
        "match",
        "next",
        "nudged",
        "paused",
        "reading",
        "receipt",
        "refused",
        "sealed",
        "snapshot",
        "state",
        "told_commit",
        "unfit",
        "unfit_ticks",
        "window",
        "window_bytes",
    )

    def __init__(self, next_index: LogIndex) -> None:
        self.match = LogIndex(0)
        """Known to be durable there and equal."""
        self.next = next_index
        """First entry of the next append."""
        self.state = ProgressState.PROBE
        self.paused = False
        """Probing, and the probe is on its way; or waiting for a snapshot to be made."""
        self.nudged = False
        """Send an append even if there is nothing new."""
        self.active = True
        """Heard from since the last check of the quorum."""
        self.life = -1
        """The newest life that was heard of."""
        self.counted = True
        """Its disk is trusted."""
        self.receipt: Receipt | None = None
        """As it was last shown to it."""
        self.sealed: tuple[int, LogIndex, bytes] | None = None
        """(life, index, seal) of the most that it acknowledged, in this life or an earlier one."""
        self.credits = _CREDITS
        """For going back; see the module."""
        self.answered = False
        """It has answered since the last heartbeat that was due by time."""
        self.refused = False
        self.told_commit = LogIndex(0)
        self.reading: LogRead | None = None
        self.snapshot: Outgoing | None = None
        """The snapshot that it is being sent, in that state."""
        self.window: deque[tuple[LogIndex, int]] = deque()
        """(last index, bytes) of the appends on their way."""
        self.window_bytes = 0
        self.unfit = LogIndex(0)
        """The snapshot at this index is of no use to it."""
        self.unfit_ticks = 0
        """Until a newer snapshot is made for its sake, when it has refused one before."""
        self.leaving_ticks: int | None = None
        """No member any more: ticks until it is forgotten, meant for telling it so."""

    @property
    def replicating(self) -> bool:
        """Whether appends are pipelined to it."""
        return self.state is ProgressState.REPLICATE

    def probe(self, next_index: int) -> None:
        """Forget what is on its way and probe from `next_index`."""
        self.next = LogIndex(max(next_index, self.match + 1))
        self.state = ProgressState.PROBE
        self.paused = False
        self.reading = self.snapshot = None
        self.window.clear()
        self.window_bytes = 0

    def replicate(self) -> None:
        """The logs match up to what is sent next."""
        self.state = ProgressState.REPLICATE
        self.paused = False
        self.snapshot = None

    def send_snapshot(self, snapshot: Outgoing) -> None:
        """What it needs is compacted away."""
        self.probe(self.next)
        self.state = ProgressState.SNAPSHOT
        self.snapshot = snapshot

    def end_snapshot(self) -> None:
        """It needs the snapshot no more, or cannot use it."""
        self.state = ProgressState.PROBE
        self.snapshot = None

    def go_back(self, next_index: int) -> None:
        """As `probe`, because the follower says so; paused when it has said so too often."""
        self.credits -= _WINDOW_COSTS if self.state is ProgressState.REPLICATE else 1
        self.probe(next_index)
        self.paused = self.credits < 0

    def begin_life(self, life: int, *, counted: bool) -> None:
        """A new process: what it holds must be seen again, before anything of it counts.

        It may have been put back to an older copy of its disk, or lost it.
        """
        self.life = life
        self.counted = counted
        self.refused = False
        acknowledged, self.match = self.match, LogIndex(0)
        if acknowledged or self.snapshot is not None:
            self.go_back(acknowledged + 1 if acknowledged else self.next)

    def beat(self) -> None:
        """A heartbeat is due by time: one answer to it may ask for something."""
        self.credits = _CREDITS
        self.answered = False

    def tick(self) -> None:
        """One tick has passed."""
        self.unfit_ticks = max(0, self.unfit_ticks - 1)
        if self.leaving_ticks is not None:
            self.leaving_ticks -= 1

    def refuse_snapshot(self, wait_ticks: int) -> None:
        """The snapshot on its way is of no use; wait for a newer one, the second time longer."""
        assert self.snapshot is not None
        self.unfit_ticks = wait_ticks if self.unfit else 0
        self.unfit = self.snapshot.snapshot.index
        self.end_snapshot()
        self.paused = True

    def advance(self, index: LogIndex) -> None:
        """Everything up to `index` is durable there."""
        self.match = max(self.match, index)
        self.next = max(self.next, LogIndex(self.match + 1))
        while self.window and self.window[0][0] <= self.match:
            self.window_bytes -= self.window.popleft()[1]

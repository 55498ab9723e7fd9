"""One follower as its leader sees it. Owns what was sent and matched, and what it waits for; pure.

    probe ──matched──▶ replicate        probe: one append at a time, until the logs match
      ▲                   │             replicate: a window of messages and bytes
      └──mismatch, loss───┘             snapshot: what it needs is compacted away
      └──▶ snapshot ──installed──▶ replicate

A follower decides by its answers what it is sent, so what it can ask for again has a price: going
back costs credits, and those come with heartbeats.
"""

from __future__ import annotations

from collections import deque

import msgspec

from consensus.core.snapshot_transfer import Outgoing
from consensus.receipts import Receipt
from consensus.types import LogIndex, NodeId, Term

_CREDITS = 16
"""For going back between two heartbeats: two windows, or a probe for each of so many terms in which
the logs differ. An honest follower needs one or two."""
_WINDOW_COSTS = 8


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
        "replicating",
        "sealed",
        "snapshot",
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
        self.replicating = False
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
        """The snapshot that it is being sent."""
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
    def state(self) -> str:
        """`probe`, `replicate` or `snapshot`."""
        if self.snapshot is not None:
            return "snapshot"
        return "replicate" if self.replicating else "probe"

    def probe(self, next_index: int) -> None:
        """Forget what is on its way and probe from `next_index`."""
        self.next = LogIndex(max(next_index, self.match + 1))
        self.replicating = self.paused = False
        self.reading = self.snapshot = None
        self.window.clear()
        self.window_bytes = 0

    def go_back(self, next_index: int) -> None:
        """As `probe`, because the follower says so; paused when it has said so too often."""
        self.credits -= _WINDOW_COSTS if self.replicating else 1
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
        self.snapshot = None
        self.paused = True

    def advance(self, index: LogIndex) -> None:
        """Everything up to `index` is durable there."""
        self.match = max(self.match, index)
        self.next = max(self.next, LogIndex(self.match + 1))
        while self.window and self.window[0][0] <= self.match:
            self.window_bytes -= self.window.popleft()[1]

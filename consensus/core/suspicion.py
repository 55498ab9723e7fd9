"""When a member's own disk is not to be trusted, and from when on it is again. Pure.

Owns this member's life, and what a suspect must reach. A suspect gives no vote, does not campaign,
and what it stores is not counted.

              ┌─────────────── trusted ◀──────────────┐
    the disk or the embedder says so,                 │ committed up to `until`, matched with this
    or a receipt that it has forgotten                │ leader and on this disk
              ▼                                       │
           suspect ──a heartbeat names this life──▶ suspect until
              ▲                                       │
              └──────────────another leader───────────┘
"""

from __future__ import annotations

from consensus.core.state import MemberState, Transitions
from consensus.messages import Heartbeat
from consensus.receipts import Receipt, Sealer
from consensus.snapshot import NUMBER_MAX
from consensus.types import LogIndex, Role


class Suspicion:
    """What one life of a member may believe of its own disk."""

    def __init__(
        self, state: MemberState, life: int, sealer: Sealer, transitions: Transitions
    ) -> None:
        self.life = life
        self.until: LogIndex | None = None
        """Of a suspect: the entry that it must reach; None: no leader has spoken to this life."""
        self.replaced = False
        """In this life a leader has replaced entries, rightly or not."""
        self._state = state
        self._sealer = sealer
        self._transitions = transitions

    def distrust(self) -> None:
        """This node's memory turned out to be older than its promises: it is suspect from now on.

        What it said before stays said, but nothing that waits for the disk goes out any more. A new
        life begins, since within one a leader takes nothing back: see `Replication.hears`.
        """
        state = self._state
        if state.suspect:
            return
        state.suspect = True
        self.life += 1
        self.until = None
        state.durability.withdraw()
        state.durability.distrust()
        if state.role is not Role.FOLLOWER:
            self._transitions.become_follower(state.term, None)

    def hear(self, heartbeat: Heartbeat) -> None:
        """A leader tells what it knows of this member, and how long its log is."""
        state = self._state
        if heartbeat.held is not None and self._forgot(heartbeat.held):
            self.distrust()
        if state.suspect and self.until is None and heartbeat.life == self.life:
            # It names this life, so it was made after the loss. Only an entry that is made then and
            # committed without this node shows that this leader is not one that was deposed with a
            # vote which this node has forgotten.
            self.until = LogIndex(
                max(min(heartbeat.last_index + 1, NUMBER_MAX), state.applied_at_start)
            )

    def _forgot(self, receipt: Receipt) -> bool:
        """Whether an earlier life acknowledged to this leader what this log does not hold."""
        state = self._state
        # In a life in which a leader has replaced entries, what an earlier one acknowledged may
        # rightly be gone.
        if state.suspect or self.replaced or receipt.life >= self.life:
            return False
        index, log = receipt.index, state.log
        if index < log.base.index or (
            index <= log.last_index and log.hash_at(index) == receipt.hash
        ):
            return False
        return self._sealer.made(receipt, state.term)

    def ends(self, matched: LogIndex) -> bool:
        """Whether this member is trusted again, of a log that equals the leader's to `matched`."""
        state, until = self._state, self.until
        if not state.suspect or until is None or state.leader is None:
            return False
        if state.durable_commit_index < until or matched < until:
            return False
        # It may have voted in this term and lost the vote; now it can vote for the leader only.
        state.suspect = False
        state.vote = state.leader
        state.durability.touch_hard_state(caught_up=True)
        return True

"""What waits for the disk. Owns the order of writes and the messages that depend on them.

Hard state and entries form one stream of numbered writes, at most one of them under way: what
comes meanwhile goes into the next one together (group commit). A message that promises something
is held back until the write that makes the promise durable is done:

- a vote, a vote request and an answer to a heartbeat wait for the hard state (term, vote),
- an acknowledgement of entries or of a snapshot waits for everything there was when it was made.

A leader's own appends and heartbeats promise nothing of its disk and do not pass through here;
its term was durable before anybody could vote for it.

What is held is bounded however long a write hangs: of each kind of message to each peer the newest
one, for each of the two writes that there can be. What is overtaken so says nothing more, except to
a peer that asks faster than it listens.
"""

from __future__ import annotations

import msgspec

from consensus.core.log import RaftLog
from consensus.messages import (
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    HeartbeatResponse,
    Message,
    TermRequest,
    TermResponse,
    VoteRequest,
    VoteResponse,
)
from consensus.ports import AppendBatch
from consensus.snapshot import Base
from consensus.types import HardState, LogIndex, NodeId

Addressed = tuple[NodeId, Message]
_Kind = tuple[NodeId, int]
"""Whom a message is for, and which one of those that must all arrive it is."""
_KEYS: dict[type[Message], int] = {
    # 0 to 2 are the outcomes of an append.
    HeartbeatResponse: 3,
    ChunkResponse: 4,
    TermRequest: 5,
    TermResponse: 6,
    VoteRequest: 7,  # and 8 before an election
    VoteResponse: 9,  # and 10
}
_HELD_MAX = 16_384
"""Messages held for one write: of eight kinds to 2,048 peers. Strangers are peers here, too."""


class Write(msgspec.Struct, frozen=True):
    """One batch for the log store. Report `RaftCore.on_persisted(seq)` when it is durable."""

    seq: int
    batch: AppendBatch


class Durability:
    """The stream of writes, and the messages held back for it."""

    def __init__(self, log: RaftLog) -> None:
        self._log = log
        self._seq = 0
        self._persisted = 0
        self._hard_state_dirty = False
        self._hard_state_seq = 0
        self._caught_up = False
        self._distrusted = False
        self._base: Base | None = None
        self._reset = False
        self._reset_seq = 0
        self._held: dict[int, dict[_Kind, Message]] = {}
        """By the write that frees them; there are at most two."""
        self._free: list[Addressed] = []
        """To go with the next turn."""

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._seq > self._persisted

    @property
    def hard_state_durable(self) -> bool:
        """Whether the present term and vote are on disk."""
        return not self._hard_state_dirty and self._hard_state_seq <= self._persisted

    @property
    def reset_durable(self) -> bool:
        """Whether the disk knows of the newest reset of the log."""
        return not self._reset and self._reset_seq <= self._persisted

    def rebase(self, base: Base, *, reset: bool) -> None:
        """The log begins after `base` now; with `reset`, all that was stored before is void."""
        self._base = base
        self._reset |= reset
        if reset:
            self._reset_seq = self._seq + 1
            self.drop_acknowledgements(LogIndex(0))

    def touch_hard_state(self, *, caught_up: bool = False) -> None:
        """Term or vote changed, or (`caught_up`) the node is no longer suspect."""
        self._hard_state_dirty = True
        if caught_up:
            self._caught_up, self._distrusted = True, False

    def distrust(self) -> None:
        """The node became suspect; the disk is to know it before the node says so."""
        self._hard_state_dirty = True
        self._caught_up, self._distrusted = False, True

    def withdraw(self) -> None:
        """Nothing that is held back goes out."""
        self._held.clear()
        self._free.clear()

    def hold_for_hard_state(self, to: NodeId, message: Message) -> None:
        """Send `message` once the present term and vote are durable."""
        needed = self._seq + 1 if self._hard_state_dirty else self._hard_state_seq
        key = _KEYS.get(type(message), 0)
        if isinstance(message, (VoteRequest, VoteResponse)):
            key += message.pre
        elif isinstance(message, AppendResponse):
            key = message.status
        self._hold(needed, to, key, message)

    def hold_for_all(self, to: NodeId, message: AppendResponse) -> None:
        """Send `message` once everything in the log, term and vote are durable."""
        needed = self._seq + 1 if self._dirty else self._seq
        self._hold(needed, to, message.status, message)

    def _hold(self, seq: int, to: NodeId, key: int, message: Message) -> None:
        if seq <= self._persisted:
            if self._free and _said_at_once(self._free[-1], (to, message)):
                self._free.pop()
            self._free.append((to, message))
            return
        held = self._held.get(seq)
        if held is None:
            held = self._held[seq] = {}
        kind = (to, key)
        before = held.pop(kind, None)
        if before is not None:
            message = _newer(before, message)
        elif len(held) >= _HELD_MAX:
            return
        held[kind] = message

    def drop_acknowledgements(self, first: LogIndex) -> None:
        """Entries from `first` on were replaced before their acknowledgement left."""
        for seq, held in self._held.items():
            self._held[seq] = {
                kind: message for kind, message in held.items() if not _acknowledges(message, first)
            }
        self._free = [held for held in self._free if not _acknowledges(held[1], first)]

    def next_write(self, hard_state: HardState) -> Write | None:
        """The next write, unless one is under way or there is nothing to write."""
        if self.busy or not self._dirty:
            return None
        self._seq += 1
        written: HardState | None = None
        if self._hard_state_dirty:
            written = hard_state
            self._hard_state_dirty = False
            self._hard_state_seq = self._seq
        batch = AppendBatch(
            hard_state=written,
            entries=self._log.hand_out(),
            caught_up=self._caught_up,
            base=self._base,
            reset=self._reset,
            distrusted=self._distrusted,
        )
        self._caught_up = self._reset = self._distrusted = False
        self._base = None
        return Write(self._seq, batch)

    def done(self, seq: int) -> None:
        """The write `seq` is durable."""
        assert seq == self._seq == self._persisted + 1, "one write at a time, in order"
        self._persisted = seq
        if self._held:
            self._free += [(to, message) for (to, _), message in self._held.pop(seq, {}).items()]
        self._log.settle()

    def release(self) -> list[Addressed]:
        """The messages whose writes are durable, in the order in which they were held."""
        free, self._free = self._free, []
        return free

    @property
    def _dirty(self) -> bool:
        return (
            self._hard_state_dirty
            or self._log.handed_index < self._log.last_index
            or self._base is not None
        )


def _acknowledges(message: Message, first: LogIndex) -> bool:
    """Whether it says that an entry from `first` on is durable."""
    return (
        isinstance(message, AppendResponse)
        and message.status is not AppendStatus.MISMATCH
        and message.index >= first
    )


def _said_at_once(one: Addressed, other: Addressed) -> bool:
    """Whether the second of two acknowledgements says the first one, too."""
    (to, before), (again, message) = one, other
    return (
        to == again
        and isinstance(before, AppendResponse)
        and isinstance(message, AppendResponse)
        and before.status is message.status is AppendStatus.OK
        and before.term == message.term
        and before.index <= message.index
    )


def _newer(before: Message, message: Message) -> Message:
    """Which of two messages of one kind to one peer says more."""
    if isinstance(before, AppendResponse) and isinstance(message, AppendResponse):
        same = (before.term, before.life, before.counted)
        told = message.status is not AppendStatus.MISMATCH
        if told and same == (message.term, message.life, message.counted):
            return before if before.index > message.index else message
    elif isinstance(before, HeartbeatResponse) and isinstance(message, HeartbeatResponse):
        same = (before.term, before.life, before.counted)
        if same == (message.term, message.life, message.counted):
            return before if before.round > message.round else message
    elif isinstance(before, VoteResponse) and isinstance(message, VoteResponse):
        if (before.term, before.campaign) == (message.term, message.campaign):
            return before if before.granted else message
        return before if before.campaign > message.campaign else message
    return message

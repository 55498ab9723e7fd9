"""What must hold in every scenario after every step, whatever its file expects.

The five properties of the Raft paper's figure 3, and that nothing is promised before it is durable.
A violation is an error of the scenario, so that rewriting its expected output cannot hide it.
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.core.raft import RaftCore
from consensus.messages import (
    AppendResponse,
    AppendStatus,
    HeartbeatResponse,
    Message,
    VoteRequest,
    VoteResponse,
)
from consensus.types import Entry, HardState, Role
from tests.consensus.disk import Disk


class ViolationError(AssertionError):
    """A property of Raft does not hold."""


class Invariants:
    """Everything that was ever decided, and what each member has shown of itself."""

    def __init__(self) -> None:
        self._leaders: dict[int, int] = {}
        self._committed: dict[int, tuple[bytes, int]] = {}
        """By index: hash, and the lowest term in which it was seen to be committed."""
        self._votes: dict[tuple[int, int], int] = {}
        self._terms: dict[int, int] = {}
        self._stored: dict[int, HardState] = {}
        self._led: dict[int, tuple[int, int, bytes]] = {}

    def restarted(self, node: int, stored: HardState) -> None:
        """A new life of `node`: what never came to its disk was never promised."""
        self._led.pop(node, None)
        self._terms[node] = stored.term
        for key in [key for key in self._votes if key[0] == node and key[1] >= stored.term]:
            del self._votes[key]

    def wiped(self, node: int) -> None:
        """The disk of `node` was lost as a whole, term and vote with it."""
        self._stored.pop(node, None)

    def look(self, node: int, core: RaftCore, disks: dict[int, Disk], commit_before: int) -> None:
        """A step of `node` is over."""
        if core.term < self._terms.get(node, 0):
            raise ViolationError(f"the term of {node} went back to {core.term}")
        self._terms[node] = core.term
        if core.vote is not None:
            voted = self._votes.setdefault((node, core.term), core.vote)
            if voted != core.vote:
                raise ViolationError(
                    f"{node} voted for {voted} and {core.vote} in term {core.term}"
                )
        self._look_at_disk(node, disks[node].hard_state)
        if core.commit_index < commit_before:
            raise ViolationError(f"the commit index of {node} went back to {core.commit_index}")
        self._look_at_leader(node, core)
        for index in range(max(commit_before, core.log.base.index) + 1, core.commit_index + 1):
            self._decided(node, core.term, index, core.log.hash_at(index))
        if core.role is Role.LEADER and core.commit_index > commit_before:
            self._look_at_quorum(node, core, disks)

    def _look_at_disk(self, node: int, stored: HardState) -> None:
        before = self._stored.get(node, HardState())
        kept = stored.term > before.term or before.vote in {None, stored.vote}
        if stored.term < before.term or not kept:
            raise ViolationError(f"the disk of {node} forgot {before}: {stored}")
        self._stored[node] = stored

    def _look_at_leader(self, node: int, core: RaftCore) -> None:
        if core.role is not Role.LEADER:
            self._led.pop(node, None)
            return
        leader = self._leaders.setdefault(core.term, node)
        if leader != node:
            raise ViolationError(f"{leader} and {node} both lead term {core.term}")
        last = core.log.last_index
        led = self._led.get(node)
        if led is None:
            self._look_at_completeness(node, core)
        else:
            term, end, end_hash = led
            if term == core.term and (
                last < end or (end > core.log.base.index and core.log.hash_at(end) != end_hash)
            ):
                raise ViolationError(f"the leader {node} replaced its own entries")
        self._led[node] = (core.term, last, core.log.last_hash)

    def _look_at_completeness(self, node: int, core: RaftCore) -> None:
        for index, (decided, term) in self._committed.items():
            if index < core.log.base.index or term >= core.term:
                continue
            if index > core.log.last_index or core.log.hash_at(index) != decided:
                raise ViolationError(f"{node} leads without the committed entry {index}")

    def _look_at_quorum(self, node: int, core: RaftCore, disks: dict[int, Disk]) -> None:
        index = core.commit_index
        decided = core.log.hash_at(index)
        holding = [
            other
            for other, disk in disks.items()
            if not disk.suspect and (disk.base.index > index or disk.hash_at(index) == decided)
        ]
        if not core.membership.has_quorum(holding):  # type: ignore[arg-type]
            raise ViolationError(f"{node} committed {index}, which is durable on {holding} only")

    def _decided(self, node: int, term: int, index: int, entry_hash: bytes) -> None:
        decided, before = self._committed.get(index, (entry_hash, term))
        if decided != entry_hash:
            raise ViolationError(f"{node} committed another entry at {index}")
        self._committed[index] = (decided, min(term, before))

    def applied(self, node: int, entries: Iterable[Entry]) -> None:
        """`node` applies these."""
        for entry in entries:
            decided, _ = self._committed.get(entry.index, (b"", 0))
            if decided != entry.hash:
                raise ViolationError(
                    f"{node} applied entry {entry.index}, which is not the decided one"
                )

    def promised(self, node: int, to: int, message: Message, disk: Disk) -> None:
        """A message leaves `node`: what it promises must be on the disk."""
        stored = disk.hard_state
        match message:
            case VoteRequest() if not message.pre:
                kept = (stored.term, stored.vote) == (message.term, node)
                kept |= stored.term > message.term
            case VoteResponse() if message.granted and not message.pre:
                kept = (stored.term, stored.vote) == (message.campaign, to)
                kept |= stored.term > message.campaign
            case AppendResponse() if message.status is not AppendStatus.MISMATCH:
                kept = stored.term >= message.term and disk.readable_until >= message.index
            case HeartbeatResponse():
                kept = stored.term >= message.term
            case _:
                kept = True
        if not kept:
            raise ViolationError(f"{node} promised to {to} what is not on its disk: {message}")

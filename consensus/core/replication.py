"""What a leader knows of its followers, and what it sends them. Exists only while it leads; pure.

Owns the progress of all (`progress` has the states of one), what is proposed and not committed, and
which quorum follows. Knows no rule of leadership but these.

A lost message shows within a heartbeat: the answer to a heartbeat makes the leader send an append,
if only an empty one, which the follower cannot match when something before it is missing; the
window is then dropped and probing resumes.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from consensus.config import RaftConfig
from consensus.core.durability import Addressed
from consensus.core.log import RaftLog, entry_bytes
from consensus.core.progress import LogRead, Progress, ProgressState
from consensus.core.snapshot_transfer import ChunkRead, Outgoing
from consensus.membership import Membership
from consensus.messages import AppendRequest, AppendResponse, AppendStatus, ChunkResponse
from consensus.receipts import Receipt
from consensus.snapshot import Snapshot
from consensus.types import Entry, LogIndex, NodeId, Term

_REPLICATE = ProgressState.REPLICATE
_UNFIT_WAITS = 32
"""Election timeouts between two snapshots that are made because one follower refused the last."""


class Collected(msgspec.Struct):
    """What can be sent to followers now, and what must be read first."""

    messages: list[Addressed]
    log_reads: list[LogRead]
    chunk_reads: list[ChunkRead]


class Replication:
    """Progress of all followers, and what is proposed and not committed."""

    def __init__(
        self, config: RaftConfig, log: RaftLog, term: Term, membership: Membership
    ) -> None:
        self._config = config
        self._log = log
        self._term = term
        self._membership = membership
        self.followers: dict[NodeId, Progress] = {}
        self.snapshot_wanted = False
        """A follower needs a snapshot, newer than the one there is."""
        self._favour_ticks = 0
        """Until another entry may be made for a follower's sake."""
        self._first = LogIndex(log.last_index + 1)
        """The first entry of this leadership."""
        self._built: tuple[tuple[int, int, int], AppendRequest, int] | None = None
        self.set_membership(membership)

    def set_membership(self, membership: Membership) -> None:
        """Another membership is in force: feed the new members, bid farewell to the old."""
        self._membership = membership
        for node in sorted(membership.members):
            if node != self._config.node and node not in self.followers:
                self.followers[node] = Progress(LogIndex(self._log.last_index + 1))
        for node, peer in self.followers.items():
            if node in membership.members:
                peer.leaving_ticks = None
            elif peer.leaving_ticks is None:
                peer.leaving_ticks = self._config.election_ticks

    def tick(self) -> None:
        """One tick has passed: forget who left long enough ago."""
        self._favour_ticks = max(0, self._favour_ticks - 1)
        for node, peer in list(self.followers.items()):
            peer.tick()
            if peer.leaving_ticks is not None and peer.leaving_ticks <= 0:
                del self.followers[node]

    def beat(self) -> None:
        """Heartbeats are due by time."""
        for peer in self.followers.values():
            peer.beat()

    def has_room(self, payload: bytes, commit: LogIndex) -> bool:
        """Whether one more proposal fits beside those of this leader that are not committed."""
        first = max(commit + 1, self._first)
        last = self._log.last_index
        return (
            last - first + 1 < self._config.uncommitted_entries_max
            and self._log.bytes_of(first, last) + len(payload) <= self._config.uncommitted_bytes_max
        )

    def agreed_index(self) -> LogIndex:
        """The highest index that is durable at a quorum, this node's disk included."""
        matches = {node: peer.match for node, peer in self.followers.items() if peer.counted}
        matches[self._config.node] = self._log.stable_index
        return LogIndex(self._membership.agreed(matches))

    def keeps_quorum(self) -> bool:
        """Whether a quorum was heard from since the last call (CheckQuorum)."""
        active = {node for node, peer in self.followers.items() if peer.active and peer.counted}
        for peer in self.followers.values():
            if not peer.active:
                # Nothing was accepted from it for long enough that what an earlier life sent has
                # arrived; if the clock was set back over a restart, its present life is the lower.
                peer.life = -1
            peer.active = False
        return self._membership.has_quorum(active | {self._config.node})

    def is_refused(self) -> bool:
        """Whether so many followers refuse an entry that no quorum is left to store it."""
        refusing = [node for node, peer in self.followers.items() if peer.refused]
        return bool(refusing) and not self._membership.can_reach_quorum(refusing)

    def best_voter(self, without: Collection[NodeId] = ()) -> NodeId | None:
        """The voter that could lead soonest: the one with the most of the log."""
        voters = [
            (peer.match, -node)
            for node, peer in self.followers.items()
            if node in self._membership.voters and peer.counted and node not in without
        ]
        return NodeId(-max(voters)[1]) if voters else None

    def compactable(self, index: LogIndex) -> LogIndex:
        """As much of the log up to `index` as nobody on the way out of a snapshot needs."""
        needed = [
            peer.snapshot.snapshot.index
            for peer in self.followers.values()
            if peer.snapshot is not None and peer.active
        ]
        return min([index, *needed])

    # --- What followers say --------------------------------------------------------------------

    def hears(self, follower: NodeId, life: int, *, counted: bool) -> bool:
        """Note that a follower spoke; False when it was an earlier life of it.

        That one may have acknowledged what its disk has lost since. Within a life a follower only
        goes from suspect to trusted, so a late answer takes nothing back.
        """
        peer = self.followers[follower]
        if life < peer.life:
            return False
        if life > peer.life:
            peer.begin_life(life, counted=counted)
        peer.counted |= counted
        peer.active = True
        return True

    def on_append_response(self, follower: NodeId, response: AppendResponse) -> None:
        """Take in an answer of this term."""
        peer = self.followers[follower]
        if response.index > self._log.last_index:
            return  # of nothing that this leader ever sent
        if response.status is AppendStatus.MISMATCH:
            self._on_mismatch(peer, response)
            return
        peer.advance(response.index)
        if peer.sealed is None or response.index >= peer.sealed[1]:
            peer.sealed = (response.life, response.index, response.seal)
        peer.refused = response.status is AppendStatus.REFUSED
        if peer.refused:
            peer.go_back(peer.match + 1)
            peer.paused = True  # ask again after the next heartbeat
            return
        if peer.state is _REPLICATE:
            return
        if peer.snapshot is not None and response.index >= peer.snapshot.snapshot.index:
            peer.end_snapshot()
        # Who has gone back too often since the last heartbeat is probed until the next.
        if peer.match + 1 >= peer.next > self._log.base.index and peer.credits >= 0:
            peer.replicate()

    def receipt(self, follower: NodeId) -> Receipt | None:
        """The most that the follower acknowledged to this leader, as it sealed it.

        Its hash is read here and not at each acknowledgement; once that entry is compacted away,
        what was shown before has to do.
        """
        peer = self.followers[follower]
        if peer.sealed is not None and peer.sealed[1] >= self._log.base.index:
            life, index, seal = peer.sealed
            if peer.receipt is None or (peer.receipt.life, peer.receipt.index) != (life, index):
                peer.receipt = Receipt(life, index, self._log.hash_at(index), seal)
        return peer.receipt

    def on_heartbeat_response(self, follower: NodeId) -> None:
        """The follower lives and can be sent to; said once for each heartbeat that was due."""
        peer = self.followers[follower]
        if peer.answered:
            return
        peer.answered = True
        peer.paused = False
        peer.nudged = peer.match < self._log.last_index
        if peer.snapshot is not None:
            peer.snapshot.nudge()

    def may_favour(self) -> bool:
        """Whether an entry may be made for a follower's sake: one in an election timeout, for all.

        Nobody else need propose any, and no follower can make a leader fill its log.
        """
        if self._favour_ticks:
            return False
        self._favour_ticks = self._config.election_ticks
        return True

    def on_chunk_response(self, follower: NodeId, response: ChunkResponse) -> None:
        """The follower says how much of a snapshot it holds."""
        peer = self.followers[follower]
        peer.active = True
        if peer.snapshot is None or not peer.snapshot.answers(response):
            return
        if response.refused:
            peer.refuse_snapshot(_UNFIT_WAITS * self._config.election_ticks)
        else:
            peer.snapshot.held(response.offset)

    def on_chunk_read(self, request: ChunkRead, data: bytes | None) -> list[Addressed]:
        """A part of a snapshot arrived from the store; None when the snapshot is gone."""
        peer = self.followers.get(request.follower)
        if peer is None or peer.snapshot is None or peer.snapshot.reading is not request:
            return []
        if not data:
            peer.refuse_snapshot(0)  # as if the follower had: a newer one must be made
            return []
        return [(request.follower, peer.snapshot.chunk(self._term, data))]

    def on_read(self, request: LogRead, entries: list[Entry], commit: LogIndex) -> list[Addressed]:
        """Entries arrived from the log store; an answer that is out of date is ignored."""
        peer = self.followers.get(request.follower)
        if peer is None or peer.reading is not request:
            return []
        peer.reading = None
        if not entries or entries[0].index != peer.next or peer.next <= self._log.base.index:
            return []
        entries = entries[: self._config.message_entries_max]
        if any(self._log.hash_at(entry.index) != entry.hash for entry in entries):
            return []
        size = sum(map(entry_bytes, entries))
        self._note_sent(peer, entries[-1].index, size)
        return [(request.follower, self._append(entries[0].index, entries, commit))]

    # --- What they are sent --------------------------------------------------------------------

    def collect(self, commit: LogIndex, snapshot: Snapshot | None) -> Collected:
        """What can go now. `snapshot` is the newest that this node has."""
        out = Collected([], [], [])
        self.snapshot_wanted = False
        for follower, peer in self.followers.items():
            if peer.snapshot is None and peer.next <= self._log.base.index:
                self._begin_snapshot(follower, peer, snapshot)
            if peer.snapshot is not None:
                out.messages += [(follower, m) for m in peer.snapshot.offer(self._term)]
                out.chunk_reads += peer.snapshot.next_read(self._term, self._config.chunk_bytes)
            elif peer.reading is None and peer.next > self._log.base.index:
                self._collect_appends(out, follower, peer, commit)
        return out

    def _collect_appends(
        self, out: Collected, follower: NodeId, peer: Progress, commit: LogIndex
    ) -> None:
        sent = len(out.messages)
        while self._may_send(peer):
            if self._log.tail_first > peer.next <= self._log.last_index:
                peer.reading = self._read_request(follower, peer.next)
                out.log_reads.append(peer.reading)
                break
            message, size = self._build(peer.next, commit)
            self._note_sent(peer, LogIndex(message.prev_index + len(message.entries)), size)
            peer.told_commit = commit
            out.messages.append((follower, message))
        told_enough = peer.told_commit >= min(commit, peer.next - 1) and not peer.nudged
        if len(out.messages) == sent and peer.state is _REPLICATE and not told_enough:
            out.messages.append((follower, self._append(peer.next, [], commit)))
            peer.told_commit = commit
        peer.nudged = False

    def _begin_snapshot(self, follower: NodeId, peer: Progress, snapshot: Snapshot | None) -> None:
        """Send the snapshot if it serves.

        The log must follow it, and it must know its receiver, who otherwise could not tell it from
        one that was meant for somebody else.
        """
        if (
            snapshot is None
            or not max(self._log.base.index, peer.unfit + 1) <= snapshot.index
            or follower not in snapshot.membership.members
        ):
            self.snapshot_wanted |= peer.leaving_ticks is None and not peer.unfit_ticks
            return
        if not peer.paused:
            peer.send_snapshot(Outgoing(follower, snapshot))

    def _on_mismatch(self, peer: Progress, response: AppendResponse) -> None:
        if response.index <= peer.match:
            return  # answers an append from before the match was known
        if peer.snapshot is not None:
            return  # answers an append from before the snapshot
        if peer.state is not _REPLICATE and response.index != peer.next - 1:
            return  # answers an earlier probe
        found, _ = self._log.hint(response.hint_index, response.hint_term)
        peer.go_back(min(response.index, found + 1, response.hint_index + 1))

    def _may_send(self, peer: Progress) -> bool:
        if peer.state is not _REPLICATE:
            return not peer.paused
        return (
            peer.next <= self._log.last_index
            and len(peer.window) < self._config.window_messages
            and peer.window_bytes < self._config.window_bytes
        )

    def _note_sent(self, peer: Progress, last: LogIndex, size: int) -> None:
        if peer.state is not _REPLICATE:
            peer.paused = True
            return
        peer.next = LogIndex(last + 1)
        peer.window.append((last, size))
        peer.window_bytes += size

    def _read_request(self, follower: NodeId, first: LogIndex) -> LogRead:
        last = min(self._log.tail_first - 1, first + self._config.message_entries_max - 1)
        return LogRead(
            follower=follower,
            term=self._term,
            first=first,
            last=LogIndex(last),
            bytes_max=self._config.message_bytes_max,
        )

    def _build(self, first: LogIndex, commit: LogIndex) -> tuple[AppendRequest, int]:
        """The append that starts at `first`; the same object for followers at the same place."""
        key = (first, self._log.last_index, commit)
        if self._built is None or self._built[0] != key:
            entries: list[Entry] = []
            size = 0
            if first <= self._log.last_index:
                entries = self._log.slice(
                    first,
                    self._log.last_index,
                    self._config.message_entries_max,
                    self._config.message_bytes_max,
                )
                size = self._log.bytes_of(first, entries[-1].index)
            self._built = (key, self._append(first, entries, commit), size)
        return self._built[1], self._built[2]

    def _append(self, first: LogIndex, entries: list[Entry], commit: LogIndex) -> AppendRequest:
        prev = LogIndex(first - 1)
        return AppendRequest(
            term=self._term,
            prev_index=prev,
            prev_term=self._log.term_at(prev),
            prev_hash=self._log.hash_at(prev),
            commit=commit,
            entries=tuple(entries),
        )

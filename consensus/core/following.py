"""What a follower does with its leader's messages (Raft paper, 5.3 and 7). Pure.

Owns the rules for taking in entries, commits and snapshots, and for being trusted again after the
disk lost something.
"""

from __future__ import annotations

from consensus.core.elections import Elections
from consensus.core.snapshot_transfer import ChunkWrite
from consensus.membership import decode_membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    SnapshotChunk,
)
from consensus.ports import Admission
from consensus.receipts import Receipt
from consensus.snapshot import NUMBER_MAX, Snapshot
from consensus.types import Entry, EntryKind, LogIndex, NodeId


class Following(Elections):
    """A member that follows."""

    def _follow(self, sender: NodeId, message: AppendRequest | Heartbeat | SnapshotChunk) -> bool:
        """Accept `sender` as the leader of its term; False when it is not."""
        term = message.term
        if term < self.term:
            # A stale leader learns of the new term and steps down.
            stale = AppendResponse(
                self.term,
                AppendStatus.MISMATCH,
                LogIndex(0),
                counted=not self.suspect,
                life=self._life,
            )
            self._durability.hold_for_hard_state(sender, stale)
            return False
        if term == self.term and self.leader not in {None, sender}:
            return False  # two leaders in one term: one of them lies
        if self._config.liars_max:
            self._terms.hear(sender, term, self.membership)
        if term > self.term and not self._terms.is_supported(term, self.membership):
            self._ask_terms(sender, message if isinstance(message, Heartbeat) else None)
            return False
        if term > self.term or self.leader is None:
            self._become_follower(term, sender)
        self._election_elapsed = 0
        return True

    def _on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        if heartbeat.held is not None and self._forgot(heartbeat.held):
            self.distrust()
        if self.suspect and self._suspect_until is None and heartbeat.life == self._life:
            # It names this life, so it was made after the loss. Only an entry that is made then and
            # committed without this node shows that this leader is not one that was deposed with a
            # vote which this node has forgotten.
            self._suspect_until = LogIndex(
                max(min(heartbeat.last_index + 1, NUMBER_MAX), self._applied_at_start)
            )
        self._heir = heartbeat.heir
        self._commit_matched(heartbeat.commit, self._matched)
        response = HeartbeatResponse(
            self.term,
            heartbeat.round,
            counted=not self.suspect,
            life=self._life,
            until=(self._suspect_until or LogIndex(0)) if self.suspect else LogIndex(0),
        )
        self._durability.hold_for_hard_state(sender, response)

    def _forgot(self, receipt: Receipt) -> bool:
        """Whether an earlier life acknowledged to this leader what this log does not hold."""
        if self.suspect or self._replaced or receipt.life >= self._life:
            return False
        index = receipt.index
        if index < self.log.base.index or (
            index <= self.log.last_index and self.log.hash_at(index) == receipt.hash
        ):
            return False
        return self._sealer.made(receipt, self.term)

    def _on_append(self, sender: NodeId, append: AppendRequest) -> None:
        if append.prev_index < self.log.base.index:
            # From before a snapshot or compaction; all of that is committed, so it matches.
            self._acknowledge(sender, min(self.commit_index, self.log.last_index))
            return
        if not self.log.matches(append.prev_index, append.prev_term, append.prev_hash):
            hint, hint_term = self.log.hint(max(0, append.prev_index - 1), append.prev_term)
            mismatch = AppendResponse(
                self.term,
                AppendStatus.MISMATCH,
                append.prev_index,
                hint,
                hint_term,
                counted=not self.suspect,
                life=self._life,
            )
            self._durability.hold_for_hard_state(sender, mismatch)
            return
        if self.log.unstable_bytes > self._config.unstable_bytes_max:
            return
        known = self._known(append.entries)
        admitted, status = self._admit(sender, append.entries[known:])
        if status is Admission.FORGED:
            return
        if admitted and self._is_protected(admitted[0].index):
            self._refuse_conflict(admitted[0])
            return
        if admitted:
            self._replace(admitted)
        matched = LogIndex(append.prev_index + known + len(admitted))
        self._matched = max(self._matched, matched)
        self._commit_matched(append.commit, matched)
        outcome = AppendStatus.OK if status is Admission.ACCEPT else AppendStatus.REFUSED
        self._acknowledge(sender, matched, outcome)

    def _refuse_conflict(self, offered: Entry) -> None:
        """Leave an append unanswered; both entries may convict who signed them."""
        self.conflicts += 1
        held = self.log.hash_at(offered.index)
        in_memory = offered.index >= self.log.tail_first
        entry = self.log.slice(offered.index, offered.index, 1, 1)[0] if in_memory else None
        self._authority.conflicting(held, entry, offered)

    def _known(self, entries: tuple[Entry, ...]) -> int:
        """How many of `entries` the log has already."""
        if entries and entries[0].index > self.log.last_index:
            return 0
        for known, entry in enumerate(entries):
            if not self.log.matches(entry.index, entry.term, entry.hash):
                return known
        return len(entries)

    def _admit(self, sender: NodeId, entries: tuple[Entry, ...]) -> tuple[list[Entry], Admission]:
        """The entries that the authority accepts, up to the first that it does not."""
        admitted: list[Entry] = []
        for entry in entries:
            admission = self._authority.admit(sender, entry)
            if admission is not Admission.ACCEPT:
                return admitted, admission
            admitted.append(entry)
        return admitted, Admission.ACCEPT

    def _is_protected(self, index: LogIndex) -> bool:
        """Whether what stands at `index` must not be replaced, whoever asks.

        A suspect log may hold something else than what was protected, and give it up.
        """
        protected = self.commit_index if self.suspect else self.protected_index
        return index <= min(self.log.last_index, max(self.commit_index, protected))

    def _replace(self, entries: list[Entry]) -> None:
        """Append `entries`, which differ from what the log has in their place."""
        first = entries[0]
        if first.index <= self.log.last_index:
            self._replaced = True
            # An honest leader replaces nothing that matched its log. After one that lies, a place
            # beyond the end would be taken for matched, and be committed.
            self._matched = min(self._matched, LogIndex(first.index - 1))
            self.log.truncate(first.index)
            self._memberships.truncate(first.index)
            self._durability.drop_acknowledgements(first.index)
        for entry in entries:
            self.log.append(entry)
            if entry.kind is EntryKind.MEMBERSHIP:
                self._memberships.append(entry.index, decode_membership(entry.payload))

    def _commit_matched(self, commit: LogIndex, matched: LogIndex) -> None:
        """Commit what the leader says, as far as this log is known to equal its log."""
        self.commit_index = max(self.commit_index, min(commit, matched))
        self._check_suspect()

    def _check_suspect(self) -> None:
        until = self._suspect_until
        if not self.suspect or until is None or self.leader is None:
            return
        if self.durable_commit_index < until or self._matched < until:
            return
        # It may have voted in this term and lost the vote; now it can vote for the leader only.
        self.suspect = False
        self.vote = self.leader
        self._durability.touch_hard_state(caught_up=True)
        self._acknowledge(self.leader, self._matched)

    # --- Snapshots -------------------------------------------------------------------------------

    def _on_chunk(self, sender: NodeId, chunk: SnapshotChunk) -> None:
        snapshot = chunk.snapshot
        if self._holds(sender, snapshot):
            return
        if self._config.node not in snapshot.membership.members or self._lacks(snapshot):
            self._answer_chunk(sender, snapshot, 0, refused=True)
        else:
            self._incoming.take(ChunkWrite(sender, self.term, snapshot, chunk.offset, chunk.data))

    def on_chunk_written(self, write: ChunkWrite, held: int, *, ok: bool) -> None:
        """The snapshot store has taken a part.

        Args:
            write: The part, of an earlier `ready`.
            held: Bytes of the snapshot that are durable.
            ok: When all are: what `SnapshotStore.complete` said.
        """
        self._incoming.written(write)
        if write.leader != self.leader or write.term != self.term:
            return
        if held < write.snapshot.size or not ok:
            held = held if ok else 0
            self._answer_chunk(write.leader, write.snapshot, held)
        elif not self._holds(write.leader, write.snapshot):
            self._install(write.leader, write.snapshot)

    def _holds(self, leader: NodeId, snapshot: Snapshot) -> bool:
        """Whether the log has all that `snapshot` could bring; the leader is told so."""
        if snapshot.index <= self.commit_index:
            # Committed entries are in every later leader's log.
            self._acknowledge(leader, min(self.commit_index, self.log.last_index))
            return True
        if self.log.matches(snapshot.index, snapshot.term, snapshot.hash):
            self._matched = max(self._matched, snapshot.index)
            self._commit_matched(snapshot.index, snapshot.index)
            self._acknowledge(leader, snapshot.index)
            return True
        return False

    def _lacks(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot, which differs from the log, would replace what is protected."""
        held = min(self.protected_index, self.log.last_index)
        return not self.suspect and snapshot.index <= held

    def _answer_chunk(
        self, to: NodeId, snapshot: Snapshot, held: int, *, refused: bool = False
    ) -> None:
        response = ChunkResponse(self.term, snapshot.index, snapshot.checksum, held, refused)
        self._durability.hold_for_hard_state(to, response)

    def _install(self, leader: NodeId, snapshot: Snapshot) -> None:
        """Let the log begin after `snapshot`, which the snapshot store holds, whole and checked."""
        self._durable_before_reset = self.durable_commit_index
        self._reset(snapshot)
        self._matched = snapshot.index
        self.snapshot_made(snapshot)
        self._check_suspect()
        self._acknowledge(leader, snapshot.index)

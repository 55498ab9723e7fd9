"""What a follower does with its leader's messages (Raft paper, 5.3). Pure.

Owns how far the log is known to equal the leader's, and the acknowledgements: the rules for taking
in entries and commits. Knows nothing of how snapshots arrive (`installing`).
"""

from __future__ import annotations

from consensus.core.elections import ElectionState
from consensus.core.state import MemberState, Transitions
from consensus.core.suspicion import Suspicion
from consensus.membership import decode_membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    SnapshotChunk,
)
from consensus.ports import Admission
from consensus.receipts import Sealer
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Term

_NOWHERE = LogIndex(0)
_NO_TERM = Term(0)


class FollowerState:
    """A member that follows."""

    def __init__(
        self,
        state: MemberState,
        elections: ElectionState,
        suspicion: Suspicion,
        sealer: Sealer,
        transitions: Transitions,
    ) -> None:
        self.matched = _NOWHERE
        """Equal to the log of this term's leader up to here."""
        self.conflicts = 0
        """Appends that were left unanswered because they would replace protected entries. Nothing
        else comes of them here: to stop instead would let one lying voter end every honest one."""
        self._state = state
        self._log = state.log
        self._durability = state.durability
        self._elections = elections
        self._suspicion = suspicion
        self._sealer = sealer
        self._transitions = transitions
        self._sealed: tuple[tuple[int, Term, LogIndex, bytes] | None, bytes] = (None, b"")
        """The newest acknowledgement, and its seal."""

    def accepts(self, sender: NodeId, message: AppendRequest | Heartbeat | SnapshotChunk) -> bool:
        """Accept `sender` as the leader of its term; False when it is not."""
        state, elections, term = self._state, self._elections, message.term
        if term < state.term:
            # A stale leader learns of the new term and steps down.
            self._durability.hold_for_hard_state(sender, self._mismatch(_NOWHERE))
            return False
        if term == state.term and state.leader not in {None, sender}:
            return False  # two leaders in one term: one of them lies
        if state.config.liars_max:
            elections.terms.hear(sender, term, state.membership)
        if term > state.term and not elections.terms.is_supported(term, state.membership):
            # A heartbeat is kept; entries and parts of a snapshot are sent again anyway.
            elections.ask_terms(sender, message if isinstance(message, Heartbeat) else None)
            return False
        if term > state.term or state.leader is None:
            self._transitions.become_follower(term, sender)
        elections.elapsed = 0
        return True

    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        """The leader lives."""
        state, suspicion = self._state, self._suspicion
        suspicion.hear(heartbeat)
        self._elections.heir = heartbeat.heir
        self.commit_matched(heartbeat.commit, self.matched)
        response = HeartbeatResponse(
            state.term,
            heartbeat.round,
            counted=not state.suspect,
            life=suspicion.life,
            until=(suspicion.until or _NOWHERE) if state.suspect else _NOWHERE,
        )
        self._durability.hold_for_hard_state(sender, response)

    # --- Entries ---------------------------------------------------------------------------------

    def on_append(self, sender: NodeId, append: AppendRequest) -> None:
        """The leader sends entries, or asks whether the logs match."""
        state, log = self._state, self._log
        if append.prev_index < log.base.index:
            # From before a snapshot or compaction; all of that is committed, so it matches.
            self.acknowledge(sender, min(state.commit_index, log.last_index))
            return
        if not log.matches(append.prev_index, append.prev_term, append.prev_hash):
            hint, hint_term = log.hint(max(0, append.prev_index - 1), append.prev_term)
            mismatch = self._mismatch(append.prev_index, hint, hint_term)
            self._durability.hold_for_hard_state(sender, mismatch)
            return
        if log.unstable_bytes > state.config.unstable_bytes_max:
            return  # the disk is behind: the leader sends it again
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
        self.matched = max(self.matched, matched)
        self.commit_matched(append.commit, matched)
        outcome = AppendStatus.OK if status is Admission.ACCEPT else AppendStatus.REFUSED
        self.acknowledge(sender, matched, outcome)

    def _refuse_conflict(self, offered: Entry) -> None:
        """Leave an append unanswered; both entries may convict who signed them."""
        self.conflicts += 1
        log = self._log
        held = log.hash_at(offered.index)
        in_memory = offered.index >= log.tail_first
        entry = log.slice(offered.index, offered.index, 1, 1)[0] if in_memory else None
        self._state.authority.conflicting(held, entry, offered)

    def _known(self, entries: tuple[Entry, ...]) -> int:
        """How many of `entries` the log has already."""
        log = self._log
        if entries and entries[0].index > log.last_index:
            return 0
        for known, entry in enumerate(entries):
            if not log.matches(entry.index, entry.term, entry.hash):
                return known
        return len(entries)

    def _admit(self, sender: NodeId, entries: tuple[Entry, ...]) -> tuple[list[Entry], Admission]:
        """The entries that the authority accepts, up to the first that it does not."""
        admit = self._state.authority.admit
        admitted: list[Entry] = []
        for entry in entries:
            admission = admit(sender, entry)
            if admission is not Admission.ACCEPT:
                return admitted, admission
            admitted.append(entry)
        return admitted, Admission.ACCEPT

    def _is_protected(self, index: LogIndex) -> bool:
        """Whether what stands at `index` must not be replaced, whoever asks.

        A suspect log may hold something else than what was protected, and give it up.
        """
        state = self._state
        protected = state.commit_index if state.suspect else state.protected_index
        return index <= min(self._log.last_index, max(state.commit_index, protected))

    def _replace(self, entries: list[Entry]) -> None:
        """Append `entries`, which differ from what the log has in their place."""
        first, log, memberships = entries[0], self._log, self._state.memberships
        if first.index <= log.last_index:
            self._suspicion.replaced = True
            # An honest leader replaces nothing that matched its log. After one that lies, a place
            # beyond the end would be taken for matched, and be committed.
            self.matched = min(self.matched, LogIndex(first.index - 1))
            log.truncate(first.index)
            memberships.truncate(first.index)
            self._durability.drop_acknowledgements(first.index)
        for entry in entries:
            log.append(entry)
            if entry.kind is EntryKind.MEMBERSHIP:
                memberships.append(entry.index, decode_membership(entry.payload))

    # --- What the leader is told -----------------------------------------------------------------

    def commit_matched(self, commit: LogIndex, matched: LogIndex) -> None:
        """Commit what the leader says, as far as this log is known to equal its log."""
        state = self._state
        state.commit_index = max(state.commit_index, min(commit, matched))
        if state.suspect:
            self.check_suspicion()

    def check_suspicion(self) -> None:
        """More is committed or durable: a suspect may be trusted again, and says so."""
        leader = self._state.leader
        if self._suspicion.ends(self.matched) and leader is not None:
            self.acknowledge(leader, self.matched)

    def acknowledge(
        self, leader: NodeId, index: LogIndex, status: AppendStatus = AppendStatus.OK
    ) -> None:
        """Say, once it is durable, that the log equals the leader's up to `index`."""
        state, log, life = self._state, self._log, self._suspicion.life
        entry_hash = log.last_hash if index == log.last_index else log.hash_at(index)
        place = (life, state.term, index, entry_hash)
        if self._sealed[0] != place:  # the commit index is often told after the entries
            self._sealed = (place, self._sealer.seal(*place))
        seal = self._sealed[1]
        response = AppendResponse(
            state.term, status, index, counted=not state.suspect, life=life, seal=seal
        )
        self._durability.hold_for_all(leader, response)

    def _mismatch(
        self, index: LogIndex, hint: LogIndex = _NOWHERE, hint_term: Term = _NO_TERM
    ) -> AppendResponse:
        state = self._state
        return AppendResponse(
            term=state.term,
            status=AppendStatus.MISMATCH,
            index=index,
            hint_index=hint,
            hint_term=hint_term,
            counted=not state.suspect,
            life=self._suspicion.life,
        )

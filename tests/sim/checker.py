"""What must hold after every step of a cluster (Raft paper, figure 3, and more).

Owns the memory of a run: who led, who voted, what was committed. It looks only at what has changed,
so that looking always is cheap. What it finds is a `Violation`, with the name of what was violated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from consensus.core.raft import RaftCore
from consensus.membership import Membership
from consensus.messages import Message
from consensus.outcomes import Committed
from consensus.snapshot import Snapshot
from consensus.types import Entry, LogIndex, NodeId, Role
from tests.sim.promises import Promises
from tests.sim.violation import ensure, is_quorum
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.node import SimNode


class Checker:
    """Remembers and compares."""

    def __init__(self, world: World) -> None:
        self.nodes: Sequence[SimNode] = ()
        self.committed: list[tuple[bytes, int]] = []
        """(hash, term in which it was first known to be committed) from index 1."""
        self.membership: Membership | None = None
        """In force after the newest entry that is known to be committed."""
        self.memberships: list[tuple[int, Membership]] = []
        """Those that were committed, with their entries' indexes."""
        self._world = world
        self._promises = Promises(self.committed)
        self._leaders: dict[int, NodeId] = {}
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._looked: dict[NodeId, tuple[object, ...]] = {}
        self._seen: dict[NodeId, tuple[int, bytes]] = {}
        """How far each log was compared: (index, hash)."""
        self._led: dict[NodeId, tuple[int, int, bytes]] = {}
        self._changed: dict[NodeId, int] = {}
        self.proposed: list[tuple[int, Membership]] = []
        """Changes that leaders began: their entries may be on no disk and still on their way."""
        """Index of the newest membership entry that this leader made."""
        self._in_force: dict[NodeId, Membership] = {}
        self._commits: dict[NodeId, int] = {}
        self._applied: dict[NodeId, int] = {}
        self._images: dict[int, bytes] = {}
        """Checksum of the state after an index."""

    # --- What nodes report ---------------------------------------------------------------------

    def sent(self, node: SimNode, to: NodeId, message: Message) -> None:
        """A message is about to leave `node`."""
        self._promises.sent(node, to, message)

    def turned(self, node: SimNode, core: RaftCore) -> None:
        """Look at a node that has taken something in."""
        log = core.log
        now = (
            core.term,
            core.role,
            core.vote,
            core.commit_index,
            log.last_hash,
            log.last_index,
            log.base.index,
            core.suspect,
        )
        if self._looked.get(node.id) == now:
            return
        self._looked[node.id] = now
        ensure(not core.conflicts, "protected", f"{node.id} was asked to give up an entry")
        self._check_log_matching(node, core)
        self._check_leader(node, core)
        self._check_commit(node, core)
        self._check_bounds(node, core)
        self._in_force[node.id] = core.membership
        self._promises.turned(node, core)

    def stopped(self, node: SimNode) -> None:
        """What a node knows only in memory may start again."""
        memories: tuple[dict[NodeId, Any], ...] = (
            self._looked,
            self._seen,
            self._led,
            self._changed,
            self._in_force,
            self._commits,
            self._applied,
        )
        for memory in memories:
            memory.pop(node.id, None)
        self._promises.stopped(node)

    def applied(self, node: NodeId, entry: Entry) -> None:
        """State machine safety."""
        known = self.committed[entry.index - 1 : entry.index]
        ensure(
            bool(known) and known[0][0] == entry.hash,
            "state machine safety",
            f"{node} applies another entry {entry.index}",
        )
        before = self._applied.get(node, entry.index - 1)
        ensure(entry.index == before + 1, "applied in order", f"{node}: {entry.index}")
        self._applied[node] = entry.index

    def captured(self, node: NodeId, snapshot: Snapshot) -> None:
        """A snapshot was made by `node`, or takes the place of its state."""
        index = snapshot.index
        ensure(
            index <= len(self.committed) and self.committed[index - 1][0] == snapshot.hash,
            "snapshot of committed",
            f"{node} has a snapshot at {index} of what is not committed",
        )
        first = self._images.setdefault(index, snapshot.checksum)
        ensure(first == snapshot.checksum, "equal states", f"the state of {node} after {index}")
        self._applied[node] = max(self._applied.get(node, 0), index)

    def changed(self, node: SimNode, outcome: Committed, members: Sequence[set[NodeId]]) -> None:
        """A change of members that an operator was told of is committed, whole."""
        voters, learners = members
        wanted = Membership(tuple(sorted(voters)), (), tuple(sorted(learners)))
        known = {
            index: membership for index, membership in self.memberships if not membership.joint
        }
        ensure(
            known.get(outcome.index) == wanted or outcome.index in known,
            "a change is told when it is committed",
            f"{node.id} says {wanted} at {outcome.index}, committed are {known}",
        )

    # --- Rules ---------------------------------------------------------------------------------

    def _check_log_matching(self, node: SimNode, core: RaftCore) -> None:
        log = core.log
        index, seen_hash = self._seen.get(node.id, (0, b""))
        index = max(index, log.base.index)
        if index > log.last_index or log.hash_at(index) != seen_hash:
            index = log.base.index
        hashes = self._hashes
        while index < log.last_index:
            index += 1
            entry_hash = log.hash_at(index)
            first = hashes.setdefault((index, log.term_at(index)), entry_hash)
            ensure(first == entry_hash, "log matching", f"two entries {index} of one term")
        self._seen[node.id] = (index, log.last_hash)

    def _check_leader(self, node: SimNode, core: RaftCore) -> None:
        if core.role is not Role.LEADER:
            self._led.pop(node.id, None)
            self._changed.pop(node.id, None)
            return
        log = core.log
        first = self._leaders.setdefault(core.term, node.id)
        ensure(first == node.id, "election safety", f"{first} and {node.id} lead {core.term}")
        ensure(not core.suspect, "suspect nodes do not lead", f"{node.id} leads")
        term, last, last_hash = self._led.get(node.id, (0, 0, b""))
        if term == core.term:
            kept = last <= log.base.index or (
                last <= log.last_index and log.hash_at(last) == last_hash
            )
            ensure(kept, "leader append-only", f"leader {node.id} changed its log")
        else:
            self._world.note("elected", node.id, "in", core.term)
            self._check_election(node, core)
            self._check_leases(node)
            self._check_completeness(node, core)
            self._changed[node.id] = core.membership_index
        if core.membership_index > self._changed.get(node.id, 0):
            self._check_change(node, core)
        self._led[node.id] = (core.term, log.last_index, log.last_hash)

    def _check_election(self, node: SimNode, core: RaftCore) -> None:
        voters = self._promises.voters(core.term, node.id)
        # In one turn it may have been elected and have changed the membership.
        ensure(
            is_quorum(core.membership, voters) or is_quorum(self._in_force[node.id], voters),
            "elected by a quorum",
            f"{node.id} by {voters} in {core.term}, members are {core.membership}",
        )

    def _check_leases(self, elected: SimNode) -> None:
        """Who may answer reads without asking must be the newest leader.

        One that was stopped with its votes in the mail may yet lead an earlier term, and commits
        nothing.
        """
        assert elected.core is not None
        for node in self.nodes:
            if node is elected or node.core is None or not node.core.leads_safely:
                continue
            if node.core.term > elected.core.term:
                continue
            leading = node.core.roles.leading
            held = leading is not None and leading.heartbeats.reads.holds_lease(node.clock.now_ms())
            ensure(not held, "one lease", f"{elected.id} is elected, {node.id} has a lease")

    def _check_completeness(self, node: SimNode, core: RaftCore) -> None:
        log = core.log
        for index in range(len(self.committed), 0, -1):
            entry_hash, commit_term = self.committed[index - 1]
            if commit_term < core.term:  # all before it, too: logs are chained
                held = index <= log.base.index or (
                    index <= log.last_index and log.hash_at(index) == entry_hash
                )
                ensure(held, "leader completeness", f"leader {node.id} lacks entry {index}")
                return

    def _check_change(self, node: SimNode, core: RaftCore) -> None:
        """A leader has put another membership into its log."""
        before_index = self._changed[node.id]
        before = core.position(LogIndex(core.membership_index - 1)).membership
        assert before is not None
        after = core.membership
        ensure(
            before_index <= core.commit_index,
            "one change at a time",
            f"{node.id} began a change at {core.membership_index}, {before_index} is uncommitted",
        )
        ensure(
            core.log.term_at(core.commit_index) == core.term,
            "own term before a change",
            f"{node.id} changes members before it committed in term {core.term}",
        )
        joint = after.voters == before.voters or (
            after == before.left() if before.joint else after.outgoing == before.voters
        )
        ensure(joint, "joint consensus", f"from {before} to {after}")
        self._changed[node.id] = core.membership_index
        self.proposed.append((core.membership_index, core.membership))
        self._world.note("membership", after)

    def _check_commit(self, node: SimNode, core: RaftCore) -> None:
        known = node.id in self._commits
        before = self._commits.get(node.id, core.log.base.index)
        commit = core.commit_index
        log = core.log
        ensure(before <= commit <= log.last_index, "commit is monotone", f"{node.id}: {commit}")
        if commit == before and known:
            return
        if core.role is Role.LEADER and known:
            ensure(
                log.term_at(commit) == core.term,
                "only own entries are counted",
                f"{node.id} committed entry {commit} of an old term by counting",
            )
        for index in range(max(before, log.base.index) + 1, commit + 1):
            entry_hash = log.hash_at(index)
            if index <= len(self.committed):
                ensure(self.committed[index - 1][0] == entry_hash, "one commit", f"at {index}")
            else:
                self.committed.append((entry_hash, core.term))
                before_membership = self.membership
                self.membership = core.position(LogIndex(index)).membership
                if self.membership != before_membership and self.membership is not None:
                    self.memberships.append((index, self.membership))
                self._world.counts["committed"] += 1
        base = log.base
        ensure(
            base.index <= len(self.committed)
            and (base.index == 0 or self.committed[base.index - 1][0] == base.hash),
            "only committed entries are compacted",
            f"the log of {node.id} begins after {base.index}",
        )
        if core.role is Role.LEADER and commit > before:
            self._check_durable(node, core, commit)
        self._commits[node.id] = commit

    def _check_durable(self, node: SimNode, core: RaftCore, commit: int) -> None:
        """What a leader commits is on the disks of a quorum of the membership in force.

        A disk that lost something is counted for what it held before, and for nothing that it was
        given since, until its node has caught up.
        """
        entry_hash = core.log.hash_at(commit)
        holders = [other.id for other in self.nodes if other.disk.vouches(commit, entry_hash)]
        membership = core.membership
        before = self._in_force.get(node.id, membership)
        ensure(
            is_quorum(membership, holders)
            # In one turn something may be committed and then the membership changed.
            or is_quorum(before, holders),
            "committed is durable on a quorum",
            f"entry {commit} is on {holders}, members are {membership}",
        )

    def _check_bounds(self, node: SimNode, core: RaftCore) -> None:
        log = core.log
        ordered = log.base.index <= log.stable_index <= log.handed_index <= log.last_index
        ensure(ordered, "log order", f"{node.id}: {log.base.index} {log.stable_index}")
        if core.membership_index > log.base.index:
            place = core.membership_index
            ensure(place <= log.last_index, "membership in the log", f"{node.id}: {place}")

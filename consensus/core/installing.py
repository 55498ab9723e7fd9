"""Taking a snapshot from the leader in place of a log (Raft paper, 7: InstallSnapshot). Pure.

Owns the rules for a follower: which snapshot is taken, which is refused, and when the log begins
anew after it. `snapshot_transfer` knows what is on its way, the snapshot store has the bytes.
"""

from __future__ import annotations

from consensus.core.following import FollowerState
from consensus.core.snapshot_transfer import ChunkWrite, Incoming
from consensus.core.state import MemberState
from consensus.messages import ChunkResponse, SnapshotChunk
from consensus.snapshot import Snapshot
from consensus.types import NodeId


class Installation:
    """The snapshot that a follower is being sent."""

    def __init__(self, state: MemberState, follower: FollowerState) -> None:
        self._state = state
        self._follower = follower
        self._incoming = Incoming()

    def abandon(self) -> None:
        """Another leader, or none: what has not been at the store is void."""
        self._incoming.abandon()

    def next_write(self) -> list[ChunkWrite]:
        """What goes to the snapshot store now."""
        # A complete snapshot must not be on a disk that does not know its term: the next start
        # would let a log of a later term follow a hard state of an earlier one.
        if self._incoming.waits and self._state.durability.hard_state_durable:
            return self._incoming.next_write()
        return []

    def on_chunk(self, sender: NodeId, chunk: SnapshotChunk) -> None:
        """The leader offers a snapshot, or sends a part of it."""
        state, snapshot = self._state, chunk.snapshot
        if self._holds(sender, snapshot):
            return
        if state.config.node not in snapshot.membership.members or self._lacks(snapshot):
            self._answer(sender, snapshot, 0, refused=True)
        else:
            self._incoming.take(
                ChunkWrite(
                    leader=sender,
                    term=state.term,
                    snapshot=snapshot,
                    offset=chunk.offset,
                    data=chunk.data,
                )
            )

    def on_chunk_written(self, write: ChunkWrite, held: int, *, ok: bool) -> None:
        """See `RaftCore.on_chunk_written`."""
        state = self._state
        self._incoming.written(write)
        if write.leader != state.leader or write.term != state.term:
            return
        if held < write.snapshot.size or not ok:
            held = held if ok else 0  # bytes that fail their checksum are of no use
            self._answer(write.leader, write.snapshot, held)
        elif not self._holds(write.leader, write.snapshot):
            self._install(write.leader, write.snapshot)

    def _holds(self, leader: NodeId, snapshot: Snapshot) -> bool:
        """Whether the log has all that `snapshot` could bring; the leader is told so."""
        state, follower = self._state, self._follower
        if snapshot.index <= state.commit_index:
            # Committed entries are in every later leader's log.
            follower.acknowledge(leader, min(state.commit_index, state.log.last_index))
            return True
        if state.log.matches(snapshot.index, snapshot.term, snapshot.hash):
            follower.matched = max(follower.matched, snapshot.index)
            follower.commit_matched(snapshot.index, snapshot.index)
            follower.acknowledge(leader, snapshot.index)
            return True
        return False

    def _lacks(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot, which differs from the log, would replace what is protected."""
        state = self._state
        held = min(state.protected_index, state.log.last_index)
        return not state.suspect and snapshot.index <= held

    def _answer(self, to: NodeId, snapshot: Snapshot, held: int, *, refused: bool = False) -> None:
        response = ChunkResponse(
            term=self._state.term,
            index=snapshot.index,
            checksum=snapshot.checksum,
            offset=held,
            refused=refused,
        )
        self._state.durability.hold_for_hard_state(to, response)

    def _install(self, leader: NodeId, snapshot: Snapshot) -> None:
        """Let the log begin after `snapshot`, which the snapshot store holds, whole and checked."""
        self._state.install(snapshot)
        self._follower.matched = snapshot.index
        self._follower.check_suspicion()
        self._follower.acknowledge(leader, snapshot.index)

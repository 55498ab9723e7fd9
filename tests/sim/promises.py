"""What a node has promised to others and to its own next life (Raft paper, figure 2).

Nothing may leave a node that depends on what a power cut could still take away; nobody votes twice
in a term; term and vote never go back. Owns the memory of votes and of durable hard states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.core.raft import RaftCore
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    SnapshotChunk,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.types import HardState, NodeId
from tests.sim.violation import ensure

if TYPE_CHECKING:
    from tests.sim.node import SimNode


class Promises:
    """Of all nodes."""

    def __init__(self, committed: Sequence[tuple[bytes, int]]) -> None:
        """`committed` grows elsewhere: the hash of each committed entry, from index 1."""
        self._committed = committed
        self._votes: dict[tuple[NodeId, int], NodeId] = {}
        self._states: dict[NodeId, HardState] = {}
        self._durable: dict[NodeId, HardState] = {}

    def sent(self, node: SimNode, to: NodeId, message: Message) -> None:
        """Look at a message that is about to leave."""
        disk = node.disk
        match message:
            case VoteRequest(pre=True) | VoteResponse(pre=True):
                return
            case VoteRequest():
                ensure(not disk.suspect, "suspect nodes do not campaign", f"{node.id}")
                self._voted(node, message.term, node.id)
            case VoteResponse(granted=True):
                ensure(not disk.suspect, "suspect nodes do not vote", f"{node.id} for {to}")
                self._voted(node, message.campaign, to)
            case AppendResponse(status=AppendStatus.OK | AppendStatus.REFUSED):
                self._term_durable(node, message)
                self._acknowledged(node, message)
            case ChunkResponse(refused=False) if message.offset:
                self._term_durable(node, message)
                held = disk.held(message.index, message.checksum)
                ensure(
                    held >= message.offset,
                    "promised before durable",
                    f"{node.id} holds {held} of {message.offset} bytes",
                )
            case HeartbeatResponse() | AppendRequest() | Heartbeat() | TimeoutNow():
                self._term_durable(node, message)
            case SnapshotChunk():
                self._term_durable(node, message)
            case _:
                pass

    def voters(self, term: int, candidate: NodeId) -> list[NodeId]:
        """Who has sent a vote for `candidate`, or has its own vote on its disk."""
        return [voter for (voter, t), to in self._votes.items() if (t, to) == (term, candidate)]

    def turned(self, node: SimNode, core: RaftCore) -> None:
        """Term and vote never go back: in memory, and on disks that did not lose them."""
        now = HardState(core.term, core.vote)
        self._compare(node, self._states, now, "in memory")
        if node.disk.tainted:
            self._durable.pop(node.id, None)
        else:
            self._compare(node, self._durable, node.disk.hard_state, "on disk")

    def stopped(self, node: SimNode) -> None:
        """Memory is gone; the disk is not."""
        self._states.pop(node.id, None)

    def _compare(
        self, node: SimNode, memory: dict[NodeId, HardState], now: HardState, where: str
    ) -> None:
        before = memory.get(node.id, now)
        memory[node.id] = now
        ensure(now.term >= before.term, "term is monotone", f"{node.id} {where}: {before} to {now}")
        ensure(
            now.term > before.term
            or before.vote in {None, now.vote}
            or node.disk.suspect  # once caught up, its vote is its leader's
            or node.disk.tainted,
            "a vote stands",
            f"{node.id} {where}: {before} to {now}",
        )

    def _voted(self, node: SimNode, term: int, candidate: NodeId) -> None:
        durable = node.disk.hard_state
        ensure(
            durable.term > term or durable == HardState(durable.term, candidate),
            "promised before durable",
            f"{node.id} votes for {candidate} in {term}, on disk is {durable}",
        )
        first = self._votes.setdefault((node.id, term), candidate)
        ensure(first == candidate, "one vote", f"{node.id} for {first} and {candidate} in {term}")

    def _term_durable(self, node: SimNode, message: Message) -> None:
        durable = node.disk.hard_state.term
        ensure(
            durable >= message.term,
            "promised before durable",
            f"{node.id} speaks in term {message.term}, on disk is {durable}",
        )

    def _acknowledged(self, node: SimNode, response: AppendResponse) -> None:
        assert node.core is not None
        log, disk = node.core.log, node.disk
        index = response.index
        if index > log.base.index:
            held = index <= log.last_index and disk.holds(index, log.hash_at(index))
        else:  # compacted here, but perhaps not yet on the disk; all of it is committed
            held = index <= disk.log.base.index or disk.holds(index, self._committed[index - 1][0])
        ensure(
            held,
            "promised before durable",
            f"{node.id} acknowledged {index}, which is not on its disk",
        )

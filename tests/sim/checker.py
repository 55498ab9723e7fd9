"""What must hold after every step of a simulated cluster (Raft paper, figure 3, and more)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from consensus.core import RaftCore
from consensus.messages import AppendResponse, AppendStatus, Message, VoteRequest, VoteResponse
from consensus.types import Entry, NodeId, Role

if TYPE_CHECKING:
    from tests.sim.cluster import SimNode


class Checker:
    """Remembers what happened and compares."""

    def __init__(self, nodes: Sequence[SimNode], *, durable_quorum: bool) -> None:
        self._nodes = nodes
        self._durable_quorum = durable_quorum
        self._leaders: dict[int, NodeId] = {}
        self._votes: dict[tuple[NodeId, int], NodeId] = {}
        self._hashes: dict[tuple[int, int], bytes] = {}
        self._seen: dict[NodeId, tuple[int, bytes]] = {}
        """How far each log was compared: (index, hash)."""
        self._led: dict[NodeId, tuple[int, int, bytes]] = {}
        self._terms: dict[NodeId, tuple[int, NodeId | None]] = {}
        self._commits: dict[NodeId, int] = {}
        self.committed: list[tuple[bytes, int]] = []
        """(hash, term in which it was first known committed) from index 1."""

    def check(self, node: SimNode, core: RaftCore) -> None:
        """Compare one node, which has just changed, with all that was seen before."""
        assert core.conflict is None, f"node {node.id} was asked to replace {core.conflict}"
        self._check_log_matching(node, core)
        self._check_leader(node, core)
        self._check_commit(node, core)
        self._check_hard_state(node)

    def crashed(self, node: SimNode) -> None:
        """What a node knows only in memory may start again."""
        for memory in (self._seen, self._led, self._commits):
            memory.pop(node.id, None)

    def sent(self, node: SimNode, to: NodeId, message: Message) -> None:
        """Nothing is promised that is not on disk; nobody votes twice in a term."""
        disk = node.disk.hard_state
        if isinstance(message, VoteRequest) and not message.pre:
            assert disk.term > message.term or disk == (type(disk)(message.term, node.id))
        elif isinstance(message, VoteResponse) and not message.pre and message.granted:
            assert disk.term > message.campaign or disk.vote == to, (
                f"{node.id} gave a vote in {message.campaign} that is not on disk"
            )
            first = self._votes.setdefault((node.id, message.campaign), to)
            assert first == to, f"{node.id} voted twice in term {message.campaign}"
        elif isinstance(message, AppendResponse) and message.status is AppendStatus.OK:
            assert node.core is not None
            held = node.core.log.hash_at(message.index)
            assert not message.index or node.disk.has(message.index, held), (
                f"{node.id} acknowledged {message.index}, which is not on its disk"
            )

    def applied(self, entries: Sequence[Entry]) -> None:
        """State machine safety."""
        for entry in entries:
            assert self.committed[entry.index - 1][0] == entry.hash, f"applied {entry.index}"

    def _check_log_matching(self, node: SimNode, core: RaftCore) -> None:
        log = core.log
        index, seen_hash = self._seen.get(node.id, (0, bytes(32)))
        if index > log.last_index or log.hash_at(index) != seen_hash:
            index = 0
        while index < log.last_index:
            index += 1
            key = (index, int(log.term_at(index)))
            first = self._hashes.setdefault(key, log.hash_at(index))
            assert first == log.hash_at(index), f"two entries at (index, term) {key}"
        self._seen[node.id] = (index, log.hash_at(index))

    def _check_leader(self, node: SimNode, core: RaftCore) -> None:
        if core.role is not Role.LEADER:
            self._led.pop(node.id, None)
            return
        first = self._leaders.setdefault(core.term, node.id)
        assert first == node.id, f"{first} and {node.id} both lead term {core.term}"
        term, last, last_hash = self._led.get(node.id, (0, 0, b""))
        if term == core.term:
            assert core.log.last_index >= last, f"leader {node.id} removed entries"
            assert core.log.hash_at(last) == last_hash, f"leader {node.id} rewrote entries"
        else:
            for index, (entry_hash, commit_term) in enumerate(self.committed, start=1):
                if commit_term < core.term:
                    assert index <= core.log.last_index, f"leader {node.id} lacks {index}"
                    assert core.log.hash_at(index) == entry_hash, f"leader {node.id} has no {index}"
        self._led[node.id] = (core.term, core.log.last_index, core.log.last_hash)

    def _check_commit(self, node: SimNode, core: RaftCore) -> None:
        before = self._commits.get(node.id, 0)
        commit = core.commit_index
        assert before <= commit <= core.log.last_index, f"commit of {node.id} went back"
        if commit > before and core.role is Role.LEADER and node.id in self._commits:
            assert core.log.term_at(commit) == core.term, "an old term was committed by counting"
        for index in range(before + 1, commit + 1):
            entry_hash = core.log.hash_at(index)
            if index <= len(self.committed):
                assert self.committed[index - 1][0] == entry_hash, f"two commits at {index}"
                continue
            self.committed.append((entry_hash, core.term))
            holders = sum(other.disk.has(index, entry_hash) for other in self._nodes)
            if self._durable_quorum:
                assert holders > len(self._nodes) // 2, f"commit {index} is on {holders} disks"
        self._commits[node.id] = commit

    def _check_hard_state(self, node: SimNode) -> None:
        state = node.disk.hard_state
        term, vote = self._terms.get(node.id, (0, None))
        assert state.term >= term, f"term of {node.id} went back"
        assert state.term > term or vote in {None, state.vote}, f"vote of {node.id} changed"
        self._terms[node.id] = (state.term, state.vote)

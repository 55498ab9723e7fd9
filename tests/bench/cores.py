"""The core alone: three members in one process; messages are handed over, nothing is written.

What the rules themselves cost. Every entry is proposed by itself; `batch` entries are proposed
before the members exchange messages.
"""

from __future__ import annotations

import time
from random import Random  # noqa: TID251 - seeded

from consensus.config import RaftConfig
from consensus.core.raft import RaftCore
from consensus.core.state import Start
from consensus.ports import NoAuthority, Recovered
from consensus.types import HardState, LogIndex, NodeId, Role

BATCHES = (1, 16, 64, 256)
_VOTERS = (NodeId(1), NodeId(2), NodeId(3))


class Trio:
    """Three members that deliver at once and write at once."""

    def __init__(self) -> None:
        self.cores = {
            node: RaftCore(
                RaftConfig(node=node, voters=_VOTERS),
                Start(recovered=Recovered(HardState(), [])),
                NoAuthority(),
                Random(node),
            )
            for node in _VOTERS
        }
        self._applied = dict.fromkeys(_VOTERS, LogIndex(0))

    def elect(self) -> RaftCore:
        """The first member leads."""
        leader = self.cores[_VOTERS[0]]
        while leader.role is not Role.LEADER:
            leader.tick()
            self.exchange()
        return leader

    def exchange(self) -> None:
        """Carry out everything until all are quiet."""
        busy = True
        while busy:
            busy = False
            for node, core in self.cores.items():
                ready = core.ready()
                for to, message in ready.messages:
                    busy = True
                    self.cores[to].step(node, message)
                if ready.write is not None:
                    busy = True
                    core.on_persisted(ready.write.seq)
                while core.durable_commit_index > self._applied[node]:
                    entries = core.committed(LogIndex(self._applied[node] + 1))
                    assert entries, "everything is in memory"
                    self._applied[node] = entries[-1].index

    def applied_by_all(self) -> LogIndex:
        """The last entry that every member may apply."""
        return min(self._applied.values())


def entries_per_second(batch: int, seconds: float, value_bytes: int) -> float:
    """Entries that all three members committed, a second of wall time."""
    trio = Trio()
    leader = trio.elect()
    payload = bytes(value_bytes)
    entries = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for _ in range(batch):
            leader.propose(payload, leader.term)
        entries += batch
        trio.exchange()
    assert trio.applied_by_all() == leader.log.last_index, "an entry was left behind"
    return entries / elapsed

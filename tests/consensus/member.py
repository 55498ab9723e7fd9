"""A member of a scenario: a core, its disk, its state machine, and the work that waits.

Owns nothing that moves: `stage` moves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from consensus.config import RaftConfig
from consensus.core.durability import Write
from consensus.core.progress import LogRead
from consensus.core.raft import RaftCore
from consensus.core.snapshot_transfer import ChunkRead, ChunkWrite
from consensus.ports import Admission
from consensus.types import Entry, LogIndex, NodeId
from tests.consensus.disk import Disk

PACE = {"election_ticks": 10, "heartbeat_ticks": 2, "catch_up_ticks_max": 5, "tick_ms": 10}
"""Few ticks, so that scenarios can count them. A member hears its leader for 9 ticks; unless told
otherwise, member n times out after 9 + n."""


class StageRng:
    """Draws timeouts as told, and ticket numbers that differ in each life."""

    def __init__(self, node: int, life: int) -> None:
        self.shift = node - 1
        self._tickets = 1_000 * node + 100 * life

    def randrange(self, start: int, stop: int) -> int:
        if stop - start > 1_000_000:
            return self._tickets
        return min(start + self.shift, stop - 1)


class StageAuthority:
    """Judges as told."""

    def __init__(self) -> None:
        self.verdict = Admission.ACCEPT

    def attest(self, header: bytes) -> bytes:
        return b"signed"

    def admit(self, sender: object, entry: object) -> Admission:
        return self.verdict

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Nothing: no member lies."""

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """The trace tells."""


class Member:
    """One member, up or down."""

    def __init__(self, number: int, config: RaftConfig) -> None:
        self.number = number
        self.config = config
        self.disk = Disk()
        self.saved: list[Entry] = []
        """A copy of an earlier log."""
        self.authority = StageAuthority()
        self.core: RaftCore | None = None
        self.life = 0
        self.clock_ms = 0.0
        self.hung = False
        """The disk takes no writes for now."""
        self.fails = False
        """The next write fails."""
        self.write: Write | None = None
        self.chunk_writes: deque[ChunkWrite] = deque()
        self.log_reads: deque[LogRead] = deque()
        self.chunk_reads: deque[ChunkRead] = deque()
        self.answers: dict[int, LogIndex | None] = {}
        """Of reads, by ticket."""
        self.snapshot_wanted = False
        self.protected = 0
        self.applied = LogIndex(0)
        self.words: list[str] = []
        """The state machine: all payloads, in order. Durable as soon as it changes."""
        self.seen: dict[str, Any] = {}

    def look(self) -> dict[str, Any]:
        """What a change of is worth a line."""
        core = self.core
        if core is None:
            return {}
        return {
            "place": (core.role, core.term, core.vote, core.leader),
            "commit": core.commit_index,
            "last": (core.log.last_index, core.log.last_hash),
            "base": core.log.base.index,
            "members": core.membership,
            "suspect": core.suspect,
            "conflicts": core.conflicts,
            "restore": core.restore,
        }

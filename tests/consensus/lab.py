"""A few cores on a bench: every message and every write moves only when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from consensus.config import RaftConfig
from consensus.core.durability import Write
from consensus.core.progress import LogRead
from consensus.core.raft import RaftCore
from consensus.core.state import Start
from consensus.messages import AppendRequest, Message
from consensus.ports import Admission, Recovered
from consensus.types import ZERO_HASH, Entry, EntryKind, HardState, LogIndex, NodeId, Role, Term

PACE = {"election_ticks": 10, "heartbeat_ticks": 2, "catch_up_ticks_max": 5}
"""Few ticks, so that tests can count them."""
Mail = tuple[NodeId, NodeId, Message]


class ScriptedRng:
    """Draws start + shift: a larger shift is a later election."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def randrange(self, start: int, stop: int) -> int:
        return min(start + self.shift, stop - 1)


class ScriptedAuthority:
    """Attests with a constant; judges as told."""

    def __init__(self) -> None:
        self.verdict = Admission.ACCEPT
        self.admitted: list[Entry] = []
        self.conflicting_with: list[tuple[bytes, Entry | None, Entry]] = []

    def attest(self, header: bytes) -> bytes:
        return b"signed"

    def admit(self, sender: NodeId, entry: Entry) -> Admission:
        if self.verdict is Admission.ACCEPT:
            self.admitted.append(entry)
        return self.verdict

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Nothing: no member lies."""

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        self.conflicting_with.append((held_hash, held, offered))


def chain(
    *terms: int,
    leader: int = 0,
    first: Sequence[Entry] = (),
    entry_type: type[Entry] = Entry,
) -> list[Entry]:
    """A log of entries with these terms, continuing `first`."""
    entries = list(first)
    for term in terms:
        prev = entries[-1].hash if entries else ZERO_HASH
        index = LogIndex(len(entries) + 1)
        payload = b"%d/%d" % (term, index)
        place = (Term(term), index, EntryKind.DATA, NodeId(leader))
        entries.append(entry_type(*place, prev, payload, b"signed"))
    return entries


def make_core(
    node: int = 0,
    voters: int = 3,
    entries: Sequence[Entry] = (),
    term: int | None = None,
    vote: int | None = None,
    *,
    suspect: bool = False,
    applied: int = 0,
    protected: int = 0,
    authority: ScriptedAuthority | None = None,
    limits: dict[str, Any] | None = None,
) -> RaftCore:
    """A core that was restarted with this log and hard state."""
    last_term = entries[-1].term if entries else 0
    return RaftCore(
        RaftConfig(
            node=NodeId(node),
            voters=tuple(NodeId(n) for n in range(voters)),
            **{**PACE, **(limits or {})},
        ),
        Start(
            recovered=Recovered(
                HardState(
                    Term(last_term if term is None else term),
                    None if vote is None else NodeId(vote),
                ),
                [(entry.term, entry.hash) for entry in entries],
                suspect,
            ),
            applied_index=LogIndex(applied),
            protected_index=LogIndex(protected),
        ),
        authority or ScriptedAuthority(),
        ScriptedRng(node),
    )


class Lab:
    """Cores, the mail between them, and their disks."""

    def __init__(
        self,
        voters: int = 3,
        logs: Sequence[Sequence[Entry]] = (),
        terms: Sequence[int] = (),
        **limits: int,
    ) -> None:
        self.disks: list[list[Entry]] = [
            list(logs[n]) if n < len(logs) else [] for n in range(voters)
        ]
        self.authorities = [ScriptedAuthority() for _ in range(voters)]
        self.cores = [
            make_core(
                n,
                voters,
                self.disks[n],
                terms[n] if terms else None,
                authority=self.authorities[n],
                limits=limits,
            )
            for n in range(voters)
        ]
        self.mail: list[Mail] = []
        self.down: set[int] = set()
        self.lose_appends = False
        self.slow_disks: set[int] = set()
        """Writes of these wait for `write`."""
        self.writes: dict[int, Write] = {}

    def collect(self, node: int) -> None:
        """Take what `node` has ready; write at once unless its disk is slow."""
        while True:
            ready = self.cores[node].ready()
            self.mail += [(NodeId(node), to, message) for to, message in ready.messages]
            for request in ready.log_reads:
                self._read(node, request)
            if ready.write is not None:
                self.writes[node] = ready.write
                if node not in self.slow_disks:
                    self.write(node)
                    continue
            if not ready.log_reads:
                return

    def write(self, node: int) -> None:
        """The write of `node` becomes durable."""
        write = self.writes.pop(node)
        if write.batch.entries:
            del self.disks[node][write.batch.entries[0].index - 1 :]
            self.disks[node].extend(write.batch.entries)
        self.cores[node].on_persisted(write.seq)

    def tick(self, node: int, count: int = 1) -> None:
        """Let time pass for one node."""
        for _ in range(count):
            self.cores[node].tick()
        self.collect(node)

    def deliver(self, wanted: Callable[[Mail], bool] = lambda _: True) -> int:
        """Deliver the mail that is there now; what is not wanted, or to the dead, is lost."""
        mail, self.mail = self.mail, []
        for sender, to, message in mail:
            if {sender, to} & self.down or not wanted((sender, to, message)):
                continue
            if self.lose_appends and isinstance(message, AppendRequest):
                continue
            self.cores[to].step(sender, message)
            self.collect(to)
        return len(mail)

    def settle(self) -> None:
        """Deliver until nothing moves."""
        for node in range(len(self.cores)):
            self.collect(node)
        for _ in range(10_000):
            if not self.deliver():
                return
        raise AssertionError("the cores never fall silent")

    def elect(self, node: int) -> None:
        """Make `node` leader with whoever is up; the others have heard of no leader lately."""
        for other, core in enumerate(self.cores):
            if other not in self.down and other != node:
                for _ in range(20):
                    if core.role is not Role.FOLLOWER:
                        break
                    core.tick()
                core.ready()
        self.mail.clear()
        for _ in range(60):
            self.tick(node)
            self.settle()
            if self.cores[node].role is Role.LEADER:
                return
        raise AssertionError(f"{node} was not elected")

    def elect_without_noop(self, node: int) -> None:
        """As `elect`, but the new leader's first appends are lost."""
        self.lose_appends = True
        try:
            self.elect(node)
        finally:
            self.lose_appends = False

    def propose(self, node: int, payload: bytes = b"work") -> LogIndex:
        """Propose in the present term; nothing is delivered yet."""
        core = self.cores[node]
        index = core.propose(payload, core.term)
        self.collect(node)
        return index

    def terms(self, node: int) -> list[int]:
        """The terms of the log of `node`."""
        log = self.cores[node].log
        return [int(log.term_at(index)) for index in range(1, log.last_index + 1)]

    def _read(self, node: int, request: LogRead) -> None:
        entries = self.disks[node][request.first - 1 : request.last]
        self.cores[node].on_read(request, entries)

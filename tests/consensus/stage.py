"""A few cores, their disks and the mail between them: nothing moves unless a scenario says so.

Owns the members and the network; prints what changes to `out`. Messages pass through the codec, so
what a scenario shows is what would be on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consensus import codec
from consensus.config import RaftConfig
from consensus.core.raft import RaftCore, Ready
from consensus.core.reads import ReadAnswer
from consensus.core.snapshot_transfer import ChunkWrite
from consensus.core.state import Start
from consensus.membership import Membership
from consensus.messages import Message
from consensus.snapshot import Base, Snapshot
from consensus.types import LogIndex, NodeId
from tests.consensus.disk import Disk
from tests.consensus.invariants import Invariants, ViolationError
from tests.consensus.member import PACE, Member, StageRng
from tests.consensus.trace import (
    kind_of,
    show_batch,
    show_entry,
    show_membership,
    show_message,
    show_snapshot,
)
from tests.consensus.views import show_place, show_positions

Mail = tuple[int, int, bytes]
"""Sender, receiver, message."""


class Stage:
    """All members and the network between them."""

    def __init__(self) -> None:
        self.members: dict[int, Member] = {}
        self.mail: list[Mail] = []
        self.shelves: dict[str, list[Mail]] = {}
        """Mail that a scenario keeps back, or a copy of it, by name."""
        self.cut: set[tuple[int, int]] = set()
        """One-way links that lose everything."""
        self.out: list[str] = []
        self.quiet = False
        """Print changes only, no messages and writes."""
        self.sent_shown = True
        """Print a message when it is sent, and not only when it is delivered."""
        self.invariants = Invariants()

    # --- Members -------------------------------------------------------------------------------

    def add(self, voters: Iterable[int], learners: Iterable[int], **limits: Any) -> Member:
        """One more member, which is started by `start`."""
        number = len(self.members) + 1
        founders = tuple(NodeId(voter) for voter in sorted(voters))
        member = Member(
            number, RaftConfig(node=NodeId(number), voters=founders, **{**PACE, **limits})
        )
        learning = tuple(NodeId(learner) for learner in sorted(learners))
        if learning:
            member.disk.base = Base(membership=Membership(founders, (), learning))
        self.members[number] = member
        return member

    def start(self, member: Member) -> None:
        """Start, or start again, from what is on the disk."""
        assert member.core is None, f"{member.number} is up"
        self._disconnect(member)
        member.life += 1
        member.core = RaftCore(
            member.config,
            Start(
                recovered=member.disk.load(),
                applied_index=member.applied,
                protected_index=LogIndex(member.protected),
                snapshot=member.disk.shelf.newest,
                life=1_000 * member.life,  # who is distrusted begins another one by itself
            ),
            member.authority,
            StageRng(member.number, member.life),
        )
        member.seen = member.look()
        self.invariants.restarted(member.number, member.disk.hard_state)
        self.invariants.look(member.number, member.core, self.disks, 0)

    def stop(self, member: Member) -> None:
        """The process is gone, and with it what its disk had not been given."""
        self._disconnect(member)
        member.core = member.write = None
        for queue in (member.chunk_writes, member.log_reads, member.chunk_reads):
            queue.clear()
        member.snapshot_wanted = False

    def _disconnect(self, member: Member) -> None:
        """What is on its way to a process does not reach the next one."""
        self.mail = [mail for mail in self.mail if mail[1] != member.number]

    @property
    def disks(self) -> dict[int, Disk]:
        """All disks, also of the dead."""
        return {number: member.disk for number, member in self.members.items()}

    def running(self, number: int) -> RaftCore:
        """The core of a member that must be up."""
        core = self.members[number].core
        assert core is not None, f"{number} is down"
        return core

    # --- Steps ---------------------------------------------------------------------------------

    def process(self, member: Member) -> bool:
        """Take one `Ready`: messages go to the network, work for the disk waits for `write`."""
        core = self.running(member.number)
        ready = core.ready(member.clock_ms)
        for to, message in ready.messages:
            self.invariants.promised(member.number, to, message, member.disk)
            if self.sent_shown and not self.quiet:
                self.out.append(show_message(member.number, to, message))
            self.mail.append((member.number, to, codec.encode(message)))
        for request in ready.log_reads if not self.quiet else []:
            span = f"{request.first}..{request.last}"
            self.out.append(f"{member.number} reads entries {span} for {request.follower}")
        member.chunk_writes.extend(ready.chunk_writes)
        member.log_reads.extend(ready.log_reads)
        member.chunk_reads.extend(ready.chunk_reads)
        if ready.write is not None:
            assert member.write is None, "one write at a time"
            member.write = ready.write
            if not self.quiet:
                self.out.append(f"{member.number} writes {show_batch(ready.write.batch)}")
        self._note_reads(member, ready.reads)
        if ready.snapshot_wanted and not member.snapshot_wanted:
            self.out.append(f"  {member.number}: wants a newer snapshot")
        member.snapshot_wanted = ready.snapshot_wanted
        self.observe(member)
        return _has_content(ready)

    def write(self, member: Member) -> bool:
        """The next work of the disk is done: the log first, then parts of a snapshot."""
        core = self.running(member.number)
        if member.write is not None:
            write, member.write = member.write, None
            if member.fails:
                member.fails = False
                self.stop(member)
                self.out.append(f"  {member.number}: stops, its disk failed")
                return True
            member.disk.write(write.batch)
            core.on_persisted(write.seq)
        elif member.chunk_writes:
            self._write_chunk(member, core, member.chunk_writes.popleft())
        else:
            return False
        self.observe(member)
        return True

    def _write_chunk(self, member: Member, core: RaftCore, write: ChunkWrite) -> None:
        shelf = member.disk.shelf
        held = shelf.take(write.snapshot, write.offset, write.data)
        ok = True
        if held >= write.snapshot.size:
            ok = shelf.check(write.snapshot)
            if not self.quiet:
                outcome = "is whole" if ok else "fails its check"
                name = show_snapshot(write.snapshot)
                self.out.append(f"  {member.number}: snapshot {name} {outcome}")
        core.on_chunk_written(write, held, ok=ok)

    def read(self, member: Member) -> bool:
        """The next read of the disk is done."""
        core = self.running(member.number)
        if member.log_reads:
            request = member.log_reads.popleft()
            core.on_read(request, member.disk.read(request.first, request.last))
        elif member.chunk_reads:
            part = member.chunk_reads.popleft()
            core.on_chunk_read(part, member.disk.shelf.read(part.snapshot, part.offset, part.size))
        else:
            return False
        self.observe(member)
        return True

    def apply(self, member: Member) -> bool:
        """Bring the state machine up to what is committed and durable."""
        core = self.running(member.number)
        restore = core.restore
        if restore is not None:
            if core.durable_commit_index < restore.index:
                return False
            self._restore(member, core, restore)
            return True
        moved = False
        while core.durable_commit_index > member.applied:
            first = LogIndex(member.applied + 1)
            entries = core.committed(first)
            if entries is None:
                entries = member.disk.read(first, core.durable_commit_index)
            assert entries, f"entry {first} of {member.number} is gone"
            self.invariants.applied(member.number, entries)
            member.words += [entry.payload.decode() for entry in entries if entry.kind == 1]
            member.applied = entries[-1].index
            shown = ", ".join(map(show_entry, entries))
            self.out.append(f"  {member.number}: applies {shown}")
            moved = True
        return moved

    def _restore(self, member: Member, core: RaftCore, snapshot: Snapshot) -> None:
        if snapshot.index < member.applied:
            raise ViolationError(f"the state of {member.number} went back to {snapshot.index}")
        data = member.disk.shelf.read(snapshot, 0, snapshot.size)
        assert data is not None, "the snapshot that is to be restored is gone"
        member.words = data.decode().split()
        member.applied = snapshot.index
        core.restored(snapshot)
        self.out.append(f"  {member.number}: restores snapshot {show_snapshot(snapshot)}")
        self.observe(member)

    def capture(self, member: Member) -> Snapshot:
        """Store a snapshot of the applied state."""
        core = self.running(member.number)
        base = core.position(member.applied)
        assert base.membership is not None
        data = " ".join(member.words).encode()
        snapshot = member.disk.shelf.create(base, base.membership, data)
        core.snapshot_made(snapshot)
        self.observe(member)
        return snapshot

    def deliver(self, mail: Mail) -> None:
        """One message arrives, or does not."""
        sender, to, data = mail
        member = self.members.get(to)
        lost = ""
        if (sender, to) in self.cut:
            lost = " cut off"
        elif member is None or member.core is None:
            lost = " nobody there"
        if not self.quiet:
            self.out.append(show_message(sender, to, self.decode(data, sender)) + lost)
        if not lost:
            assert member is not None
            assert member.core is not None
            member.core.step(NodeId(sender), codec.decode(data, NodeId(sender), member.config))
            self.observe(member)

    def decode(self, data: bytes, sender: int) -> Message:
        """A message on its way."""
        return codec.decode(data, NodeId(sender), self.members[sender].config)

    def kind(self, mail: Mail) -> str:
        """The kind of a message on its way."""
        sender, _, data = mail
        return kind_of(self.decode(data, sender))

    def tick(self, member: Member) -> None:
        """One tick passes for one member."""
        member.clock_ms += member.config.tick_ms
        if member.core is not None:
            member.core.tick()
            self.observe(member)

    # --- What changed --------------------------------------------------------------------------

    def observe(self, member: Member) -> None:
        """Print what changed at a member, and hold it against the invariants."""
        core = member.core
        if core is None:
            return
        before, now = member.seen, member.look()
        member.seen = now
        lines: list[str] = []
        if now["place"] != before["place"]:
            lines.append(show_place(core))
        lines += _show_log(before, now, core)
        if now["members"] != before["members"]:
            lines.append(f"members are {show_membership(core.membership)}")
        if now["commit"] != before["commit"]:
            lines.append(f"commits {core.commit_index}")
        if now["suspect"] != before["suspect"]:
            lines.append("is suspect" if core.suspect else "is trusted again")
        if now["conflicts"] != before["conflicts"]:
            lines.append("keeps a protected entry")
        self.out += [f"  {member.number}: {line}" for line in lines]
        self.invariants.look(member.number, core, self.disks, before["commit"])

    def _note_reads(self, member: Member, reads: Iterable[ReadAnswer]) -> None:
        for answer in reads:
            member.answers[answer.ticket] = answer.index
            outcome = "fails" if answer.index is None else f"at index {answer.index}"
            self.out.append(f"  {member.number}: read {answer.ticket} {outcome}")


def _show_log(before: dict[str, Any], now: dict[str, Any], core: RaftCore) -> list[str]:
    last, last_hash = before["last"]
    if now["base"] != before["base"]:
        return [f"log begins after {core.log.base.term}/{core.log.base.index}"]
    if core.log.last_index >= last and core.log.hash_at(last) == last_hash:
        return []
    return ["log was cut: " + show_positions(core)]


def _has_content(ready: Ready) -> bool:
    return bool(
        ready.messages
        or ready.write
        or ready.log_reads
        or ready.chunk_reads
        or ready.chunk_writes
        or ready.reads
    )

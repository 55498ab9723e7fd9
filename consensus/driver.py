"""The only module here that waits. Owns the loop around `RaftCore`: time, disk, sending, applying.

One turn takes in everything that has arrived, ticks if time has passed, and carries out one
`Ready`. Three things run beside each other: turns (plain callbacks of the event loop), the task of
the stores (`consensus.storing`) and the task that applies (`consensus.applying`). The first error
in any of them stops the node for good: after a failed fsync nothing can be promised any more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from consensus import codec
from consensus.applying import Applying
from consensus.config import RaftConfig
from consensus.core import RaftCore
from consensus.durability import Addressed
from consensus.errors import (
    MembershipError,
    NotLeaderError,
    PayloadTooLargeError,
    ProposalError,
    ProtocolError,
    ReadError,
    StoppedError,
    TermChangedError,
    TransferringError,
    WindowFullError,
)
from consensus.messages import AppendRequest, Message, SnapshotChunk
from consensus.outcomes import Committed, Outcome, Rejected, RejectReason, Unknown, UnknownReason
from consensus.ports import Applier, Authority, LogStore, NoAuthority, Sender, SnapshotStore
from consensus.snapshot import Snapshot
from consensus.status import RaftStatus, status_of
from consensus.storing import Storing
from consensus.types import LogIndex, NodeId, Rng, Role, Term
from consensus.waiting import Proposals, Reads

TERM_LEAD_MAX = 1 << 20
"""A message this far ahead in terms is refused: a week of one election after another. Else one
lie could move the term so far that no election can follow."""
_LATE_TURNS = 3
"""Loop turns between a tick's time and the tick, so that what a blocked loop left unread in its
sockets is read first and a leader's heartbeat is not overlooked."""
_TURN_ENTRIES = 1_024
"""Entries (or messages without any) that one turn takes in, so that it stays below 5 ms."""
_BURST = 128
"""Proposals after which a turn is taken at once. Else a caller that proposes a thousand in one go
keeps them all back, and followers and disk have nothing to do meanwhile."""


Observer = Callable[[RaftStatus], None]
_REASONS: dict[type[ProposalError], RejectReason] = {
    TermChangedError: RejectReason.TERM_CHANGED,
    WindowFullError: RejectReason.WINDOW_FULL,
    PayloadTooLargeError: RejectReason.TOO_LARGE,
    TransferringError: RejectReason.TRANSFERRING,
    MembershipError: RejectReason.MEMBERSHIP,
    StoppedError: RejectReason.STOPPED,
}


class RaftNode:
    """One member at work. All methods belong to the event loop's thread."""

    def __init__(
        self,
        config: RaftConfig,
        store: LogStore,
        sender: Sender,
        applier: Applier,
        authority: Authority | None = None,
        rng: Rng | None = None,
        observer: Observer = lambda _: None,
        snapshots: SnapshotStore | None = None,
        life: int | None = None,
    ) -> None:
        """Put a node together; `start` begins.

        Args:
            config: Pace and limits.
            store: The log.
            sender: Carries messages out.
            applier: The state machine; a `SnapshotApplier` if there is a snapshot store.
            authority: Signs and judges entries; None: members trust one another.
            rng: Draws timeouts; None: the system's.
            observer: Hears of every change of role, term, leader, suspicion and membership.
            snapshots: None: nothing is ever compacted.
            life: Greater at each start, also after the disk was lost; None: the system's clock.
        """
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception when disk, applier or an invariant failed; the process must stop."""
        self._config = config
        self._store = store
        self._snapshots = snapshots
        self._sender = sender
        self._applier = applier
        self._authority = authority or NoAuthority()
        self._rng = rng or _system_rng()
        self._life = time.time_ns() // 1_000 if life is None else life
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._core: RaftCore | None = None
        self._running = False
        self._protected = LogIndex(0)
        self._distrusted = False
        self._tasks: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = 0.0
        self._ticks_due = 0
        self._turn_scheduled = False
        self._in_turn = False
        self._burst = 0
        self._inbox: deque[tuple[NodeId, Message, int]] = deque()
        self._inbox_bytes = 0
        self._proposals = Proposals()
        self._reads = Reads()
        self._storing = Storing(store, snapshots, self._want_turn)
        self._applying = Applying(
            config, applier, snapshots, self._storing, self._proposals, self._reads, self._want_turn
        )
        self._observed: tuple[object, ...] = ()
        self._watchers: list[asyncio.Future[None]] = []

    # --- What the embedder calls ---------------------------------------------------------------

    async def start(self) -> None:
        """Load the log and begin as a follower.

        Raises:
            SnapshotError: when the log begins after the applied index and no snapshot helps.
            Exception: whatever the stores raise; the node is then not started.
        """
        recovered = await self._store.load()
        snapshot = None if self._snapshots is None else await self._snapshots.newest()
        core = self._core = RaftCore(
            self._config,
            recovered,
            self._authority,
            self._rng,
            self._applier.applied_index,
            self._protected,
            snapshot,
            self._life,
        )
        if self._distrusted:
            core.distrust()
        self._applying.begin(core, snapshot)
        self._running = True
        self._tasks = asyncio.ensure_future(self._run(core))
        self._ticked_at = self._loop.time()
        self._arm()
        self._want_turn()

    async def stop(self, *, hand_over: bool = True) -> None:
        """Stop; what is being written or applied is completed or abandoned by its owner.

        Args:
            hand_over: A leader first lets another voter lead, for at most an election timeout, so
                that nobody waits for one.
        """
        core = self._core
        if hand_over and core is not None and self._running and core.followers():
            await self.transfer_leadership()
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks is not None:
            self._tasks.cancel()
            await asyncio.gather(self._tasks, return_exceptions=True)
            self._tasks = None
        self._abandon()

    def receive(self, sender: NodeId, message: bytes) -> None:
        """Take a message of `sender`, as authenticated by the channel; it acts in the next turn.

        Raises:
            ProtocolError: when it is malformed. Nothing changed.
        """
        decoded = codec.decode(message, sender, self._config)
        if self._core is not None and decoded.term > self._core.term + TERM_LEAD_MAX:
            raise ProtocolError(f"term {decoded.term} is out of reach")
        if self._snapshots is None and isinstance(decoded, SnapshotChunk):
            raise ProtocolError("a snapshot, and there is no store for it")
        if (
            self._running
            and len(self._inbox) < self._config.inbox_messages_max
            and self._inbox_bytes + len(message) <= self._config.inbox_bytes_max
        ):
            self._inbox.append((sender, decoded, len(message)))
            self._inbox_bytes += len(message)
            self._want_turn()

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Append `payload` to the log of the leader of `term`, without waiting.

        It is committed when an entry with this index and term is applied; if one with this
        index and another term is applied, it never will be. Until then the outcome is unknown.
        `submit` watches for that.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term.
            TransferringError: while leadership is handed over.
            WindowFullError: when too much is uncommitted; try again after the next commit.
            PayloadTooLargeError: when it exceeds `payload_bytes_max`.
            StoppedError: when the node does not run.
        """
        index = self._running_core().propose(payload, term)
        self._proposed()
        return index

    def submit(self, payload: bytes, term: Term | None = None) -> asyncio.Future[Outcome]:
        """Propose `payload` and learn what became of it. Never raises.

        Args:
            payload: At most `payload_bytes_max` bytes.
            term: Only if this node leads in that term; None: in whatever term it leads.

        Returns:
            A future of `Committed` (once applied here), `Rejected` or `Unknown`. It may stay open
            for as long as there is no leader: see `execute` for a limit of time. Cancelling it
            withdraws nothing.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()
        try:
            core = self._running_core()
            term = core.term if term is None else term
            self._proposals.add(core.propose(payload, term), term, future)
        except ProposalError as error:
            future.set_result(_rejected(error))
        else:
            self._proposed()
        return future

    async def execute(self, payload: bytes, timeout_s: float) -> Outcome:
        """As `submit`, but `Unknown` when nothing is known after `timeout_s` seconds."""
        future = self.submit(payload)
        done, _ = await asyncio.wait([future], timeout=timeout_s)
        if done:
            return future.result()
        core = self._running_core()
        return Unknown(UnknownReason.TIMEOUT, core.log.last_index, core.term)

    async def read_index(self) -> LogIndex:
        """Wait until a read of the applied state is linearizable, on leader or follower.

        Returns:
            An index that includes every write acknowledged before the call; it is applied here.

        Raises:
            ReadError: no leader, too many reads, or leadership was not confirmed; try again.
            StoppedError: when the node does not run.
        """
        core = self._running_core()
        future: asyncio.Future[LogIndex] = self._loop.create_future()
        ticket = self._reads.add(future)
        try:
            core.read_index(ticket, self._loop.time() * 1_000)
        except ReadError:
            self._reads.drop(ticket)
            raise
        self._want_turn()
        return await future

    async def transfer_leadership(self, to: NodeId | None = None) -> bool:
        """Hand leadership to a voter, by default the one with most of the log.

        Returns:
            Whether this node leads no more; False when it does after an election timeout.

        Raises:
            StoppedError: when the node does not run.
        """
        core = self._running_core()
        try:
            core.transfer(to)
        except (NotLeaderError, MembershipError):
            return core.role is not Role.LEADER
        self._want_turn()
        with suppress(NotLeaderError, StoppedError):
            while core.handing_over:
                await self._next_turn(core)
        return core.role is not Role.LEADER

    async def change_membership(
        self, voters: Sequence[NodeId], learners: Sequence[NodeId] = ()
    ) -> Outcome:
        """Make these the members: new voters learn first, then one joint change. Leader only.

        Returns:
            `Committed` when the final membership is committed; `Rejected` when nothing, or only
            the adding of learners, was done; `Unknown` when leadership was lost in the middle:
            look at `status.membership`, on the new leader, and repeat.
        """
        try:
            core = self._running_core()
            joining = sorted(set(voters) - core.membership.members)
            if joining:
                learning = sorted({*core.membership.learners, *joining})
                await self._settled(core, core.change_membership(core.membership.voters, learning))
            promoted = sorted(set(voters) - core.membership.voting)
            while not all(core.is_caught_up(node) for node in promoted):
                await self._next_turn(core)
            index = core.change_membership(voters, learners)
        except ProposalError as error:
            return _rejected(error)
        term = core.term
        try:
            await self._settled(core, index)
        except ProposalError:
            return Unknown(UnknownReason.STOPPED, index, term)
        return Committed(core.membership_index, term)

    async def take_snapshot(self) -> Snapshot | None:
        """Capture the applied state now and compact the log; None without a snapshot store."""
        return await self._applying.take_snapshot(self._running_core())

    def protect(self, index: LogIndex) -> None:
        """Never truncate up to `index`, nor vote for who lacks it. Kept by the embedder."""
        self._protected = max(self._protected, index)
        if self._core is not None:
            self._core.protect(index)
            self._want_turn()

    def distrust(self) -> None:
        """This node's memory is older than its promises: be suspect until it has caught up.

        For an embedder that sees, at any time, its own signature under more than it remembers. As
        after `rejoin`: no vote, no candidacy, not counted; kept over restarts.
        """
        self._distrusted = True
        if self._core is not None:
            self._core.distrust()
            self._want_turn()

    @property
    def status(self) -> RaftStatus:
        """The state of this node.

        Raises:
            StoppedError: when the node was never started.
        """
        core = self._core
        if core is None:
            raise StoppedError("the node was never started")
        return status_of(core, self._applying.applied)

    # --- Turns ---------------------------------------------------------------------------------

    def _proposed(self) -> None:
        self._burst += 1
        if self._burst >= _BURST and not self._in_turn:
            self._turn()
        else:
            self._want_turn()

    def _running_core(self) -> RaftCore:
        if self._core is None or not self._running:
            raise StoppedError("the node does not run")
        return self._core

    def _want_turn(self) -> None:
        if self._running and not self._turn_scheduled:
            self._turn_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_scheduled = False
        self._burst = 0
        core = self._core
        if core is None or not self._running:
            return
        self._in_turn = True
        try:
            self._take_in(core)
            while self._ticks_due and not self._inbox:
                self._ticks_due -= 1
                core.tick()
            self._carry_out(core)
        except Exception as error:  # noqa: BLE001 - whatever it is, the node must not go on
            self._fail(error)
        finally:
            self._in_turn = False

    def _take_in(self, core: RaftCore) -> None:
        """Step through the inbox, for as long as a turn may take; the rest has its own turn."""
        if self._inbox:
            # What this loop slept through ended with these messages: the leader lives.
            self._ticks_due = min(self._ticks_due, 1)
        budget = _TURN_ENTRIES
        while self._inbox and budget > 0:
            sender, message, size = self._inbox.popleft()
            self._inbox_bytes -= size
            core.step(sender, message)
            budget -= len(message.entries) if isinstance(message, AppendRequest) else 1
        if self._inbox:
            self._want_turn()

    def _carry_out(self, core: RaftCore) -> None:
        ready = core.ready(self._loop.time() * 1_000)
        self._storing.take(ready)
        self._send(ready.messages)
        if ready.reads:
            self._reads.answered(ready.reads, self._applying.applied)
        self._applying.look(core, wanted=ready.snapshot_wanted)
        observed = (
            core.role,
            core.term,
            core.leader,
            core.suspect,
            core.membership_index,
        )
        if observed != self._observed:
            self._observed = observed
            self._observer(self.status)
        if self._watchers:
            self._turned()

    def _send(self, messages: list[Addressed]) -> None:
        encoded: dict[int, bytes] = {}  # followers at the same place get the same object
        for to, message in messages:
            data = encoded.get(id(message))
            if data is None:
                data = encoded[id(message)] = codec.encode(message)
            self._sender.send(to, data)

    def _arm(self) -> None:
        self._timer = self._loop.call_later(self._config.tick_ms / 1_000, self._on_time, 0)

    def _on_time(self, turns: int) -> None:
        if turns < _LATE_TURNS:
            self._loop.call_soon(self._on_time, turns + 1)
            return
        if not self._running:
            return
        now = self._loop.time()
        ticks = int((now - self._ticked_at) * 1_000 / self._config.tick_ms)
        self._ticked_at += ticks * self._config.tick_ms / 1_000
        self._ticks_due = min(self._ticks_due + ticks, self._config.catch_up_ticks_max)
        self._arm()
        self._want_turn()

    # --- Tasks ---------------------------------------------------------------------------------

    async def _run(self, core: RaftCore) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._storing.serve(core))
                group.create_task(self._applying.apply(core))
                group.create_task(self._applying.capture(core))
        except* Exception as errors:  # noqa: BLE001 - as in a turn
            self._fail(errors.exceptions[0])

    def _fail(self, error: BaseException) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks is not None:
            self._tasks.cancel()
        if not self.failed.done():
            self.failed.set_exception(error)
            self.failed.exception()  # an embedder that never looks is not a second error
        self._abandon()

    def _abandon(self) -> None:
        self._proposals.abandon()
        self._reads.abandon()
        self._turned()

    async def _settled(self, core: RaftCore, index: LogIndex) -> None:
        """Wait until the change that began at `index` has ended and is committed.

        Raises:
            NotLeaderError: when this node leads no more and cannot see the end.
            StoppedError: when it stops.
        """
        self._want_turn()
        while core.membership.joint or not index <= core.membership_index <= core.commit_index:
            await self._next_turn(core)

    async def _next_turn(self, core: RaftCore) -> None:
        if core.role is not Role.LEADER:
            raise NotLeaderError(core.leader)
        turn: asyncio.Future[None] = self._loop.create_future()
        self._watchers.append(turn)
        await turn
        if not self._running:
            raise StoppedError("the node stopped")

    def _turned(self) -> None:
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)


def _rejected(error: ProposalError) -> Rejected:
    if isinstance(error, NotLeaderError):
        return Rejected(RejectReason.NOT_LEADER, error.leader, str(error))
    return Rejected(_REASONS[type(error)], None, str(error))


def _system_rng() -> Rng:
    from random import SystemRandom  # noqa: PLC0415, TID251 - the default of an injected Rng

    return SystemRandom()

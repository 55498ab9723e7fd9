"""The only part here that waits. Owns a running `RaftCore`: its start, its end, and its embedder.

Three things run beside each other: turns (`turns`, plain callbacks of the event loop), the task of
the stores (`storing`) and the tasks of the state machine (`applying`). The first error in any of
them stops the node for good: after a failed fsync nothing can be promised any more (`lifetime`).
From the moment at which a node is stopped or failed, no callback and no late answer changes
anything, and whoever waited has been told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import SystemRandom  # noqa: TID251 - the default of an injected Rng

from consensus import codec
from consensus.config import RaftConfig
from consensus.core.durability import Addressed
from consensus.core.raft import RaftCore
from consensus.core.state import Start
from consensus.core.status import RaftStatus, status_of
from consensus.driver.applying import Applying
from consensus.driver.lifetime import Lifetime
from consensus.driver.storing import Storing
from consensus.driver.turns import Turns
from consensus.driver.waiting import Proposals, Reads, Watchers
from consensus.errors import (
    MembershipError,
    NotLeaderError,
    ProposalError,
    ProtocolError,
    ReadError,
    StoppedError,
)
from consensus.messages import AppendRequest, SnapshotChunk
from consensus.outcomes import Committed, Outcome, Unknown, UnknownReason, rejected
from consensus.ports import Applier, Authority, Life, LogStore, NoAuthority, Sender, SnapshotStore
from consensus.snapshot import Snapshot
from consensus.types import LogIndex, NodeId, Rng, Role, Term

Observer = Callable[[RaftStatus], None]
_OF_THE_SYSTEM = Life()


class RaftNode:
    """One member at work. All methods belong to the event loop's thread."""

    def __init__(
        self,
        config: RaftConfig,
        store: LogStore,
        sender: Sender,
        applier: Applier,
        authority: Authority | None = None,
        observer: Observer = lambda _: None,
        snapshots: SnapshotStore | None = None,
        life: Life = _OF_THE_SYSTEM,
    ) -> None:
        """Put a node together; `start` begins.

        Args:
            config: Pace and limits.
            store: The log.
            sender: Carries messages out.
            applier: The state machine; a `SnapshotApplier` if there is a snapshot store.
            authority: Signs and judges entries; None: members trust one another.
            observer: Hears of every change of role, term, leader, suspicion and membership.
            snapshots: None: nothing is ever compacted.
            life: What differs from one start of the member to the next, and what does not.
        """
        self._config = config
        self._store = store
        self._snapshots = snapshots
        self._sender = sender
        self._applier = applier
        self._authority = authority or NoAuthority()
        self._rng: Rng = life.rng or SystemRandom()
        self._secret = life.secret
        self._life = time.time_ns() // 1_000 if life.number is None else life.number
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._core: RaftCore | None = None
        self._protected = LogIndex(0)
        self._distrusted = False
        self._lifetime = Lifetime(self._halt)
        self._turns = Turns(config, self._carry_out, self._lifetime.fail)
        self._proposals = Proposals()
        self._reads = Reads(config.reads_max)
        self._watchers = Watchers()
        want = self._turns.want
        self._storing = Storing(store, snapshots, want)
        self._applying = Applying(
            config, applier, snapshots, self._storing, self._proposals, self._reads, want
        )
        self._observed: tuple[object, ...] = ()
        self._term = Term(0)
        """Of the last turn."""

    # --- What the embedder calls ---------------------------------------------------------------

    async def start(self) -> None:
        """Load the log and begin as a follower. Once; who was stopped meanwhile does not begin.

        Raises:
            StoppedError: when it was started or stopped before.
            SnapshotError: when the log begins after the applied index and no snapshot helps.
            Exception: whatever the stores raise; the node is then not started.
        """
        self._lifetime.starts()
        recovered = await self._store.load()
        snapshot = None if self._snapshots is None else await self._snapshots.newest()
        self._lifetime.may_run()
        start = Start(
            recovered=recovered,
            applied_index=self._applier.applied_index,
            protected_index=self._protected,
            snapshot=snapshot,
            life=self._life,
            secret=self._secret,
        )
        core = self._core = RaftCore(self._config, start, self._authority, self._rng)
        if self._distrusted:
            core.distrust()
        self._applying.begin(core, snapshot)
        self._lifetime.run(
            self._storing.serve(core), self._applying.apply(core), self._applying.capture(core)
        )
        self._turns.begin(core)

    async def stop(self, *, hand_over: bool = True) -> None:
        """Stop; what is being written or applied is completed or abandoned by its owner.

        However this ends, also cancelled, the node does not run any more. What a cancelled call
        leaves out is the waiting for its tasks: call again before the stores are closed.

        Args:
            hand_over: A leader first lets another voter lead, for at most an election timeout, so
                that nobody waits for one.
        """
        core = self._core
        try:
            if hand_over and core is not None and self._lifetime.running and core.followers():
                await self.transfer_leadership()
        finally:
            self._lifetime.end()
        await self._lifetime.ended()

    @property
    def failed(self) -> asyncio.Future[None]:
        """Gets the exception when disk, applier or an invariant failed; the process must stop.

        Who waits for it and is cancelled cancels this future; the next caller gets another one.
        """
        return self._lifetime.failed

    def receive(self, sender: NodeId, message: bytes) -> None:
        """Take a message of `sender`, as authenticated by the channel; it acts in the next turn.

        Raises:
            ProtocolError: when it is malformed. Nothing changed.
        """
        decoded = codec.decode(message, sender, self._config)
        if isinstance(decoded, AppendRequest):
            self._authority.offered(sender, decoded.entries)
        if self._snapshots is None and isinstance(decoded, SnapshotChunk):
            raise ProtocolError("a snapshot, and there is no store for it")
        self._turns.receive(sender, decoded, len(message))

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
        index = self._append(self._running_core(), payload, term)
        self._turns.proposed()
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
        return self._submit(payload, term)[0]

    async def execute(self, payload: bytes, timeout_s: float) -> Outcome:
        """As `submit`, but `Unknown` when nothing is known after `timeout_s` seconds."""
        future, index, term = self._submit(payload, None)
        done, _ = await asyncio.wait([future], timeout=timeout_s)
        return future.result() if done else Unknown(UnknownReason.TIMEOUT, index, term)

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
            with self._lifetime.entering():
                core.read_index(ticket, self._loop.time() * 1_000)
        except ReadError:
            self._reads.drop(ticket)
            raise
        self._turns.want()
        return await future

    async def transfer_leadership(self, to: NodeId | None = None) -> bool:
        """Hand leadership to a voter, by default the one with most of the log.

        Returns:
            Whether this node leads no more; False when it does after an election timeout.

        Raises:
            StoppedError: when the node does not run.
        """
        core = self._running_core()
        term = core.term
        try:
            with self._lifetime.entering():
                core.transfer(to)
        except (NotLeaderError, MembershipError):
            return core.role is not Role.LEADER
        self._turns.want()
        with suppress(NotLeaderError, StoppedError):
            while core.handing_over:
                await self._watchers.turn(core, term)
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
            term = core.term
            joining = sorted(set(voters) - core.membership.members)
            if joining:
                learning = sorted({*core.membership.learners, *joining})
                index = self._begin_change(core, core.membership.voters, learning)
                await self._watchers.settled(core, index, term)
            promoted = sorted(set(voters) - core.membership.voting)
            while not all(core.is_caught_up(node) for node in promoted):
                await self._watchers.turn(core, term)
            index = self._begin_change(core, voters, learners)
        except ProposalError as error:
            return rejected(error)
        try:
            await self._watchers.settled(core, index, term)
        except ProposalError:
            return Unknown(UnknownReason.STOPPED, index, term)
        return Committed(core.membership_index, term)

    async def take_snapshot(self) -> Snapshot | None:
        """Capture the applied state now and compact the log.

        Returns:
            None without a snapshot store, when nothing was applied since the newest snapshot, or
            when it cannot be vouched for now: a suspect has yet to learn what its log should hold.

        Raises:
            StoppedError: when the node does not run, or ends meanwhile.
        """
        self._running_core()
        return await self._applying.ask_for_snapshot()

    def protect(self, index: LogIndex) -> None:
        """Never truncate up to `index`, nor vote for who lacks it. Kept by the embedder."""
        self._protected = max(self._protected, index)
        if self._core is not None:
            self._core.protect(index)
            self._turns.want()

    def distrust(self) -> None:
        """This node's memory is older than its promises: be suspect until it has caught up.

        For an embedder that sees, at any time, its own signature under more than it remembers. As
        after `rejoin`: no vote, no candidacy, not counted; kept over restarts.
        """
        self._distrusted = True
        if self._core is not None:
            self._core.distrust()
            self._turns.want()

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

    # --- Into the core and out of it -----------------------------------------------------------

    def _running_core(self) -> RaftCore:
        if self._core is None or not self._lifetime.running:
            raise StoppedError("the node does not run")
        return self._core

    def _append(self, core: RaftCore, payload: bytes, term: Term) -> LogIndex:
        # As `Lifetime.entering`, on the way that each proposal takes.
        try:
            return core.propose(payload, term)
        except ProposalError:
            raise
        except Exception as error:
            self._lifetime.fail(error)
            raise StoppedError(f"the node failed: {error!r}") from error

    def _submit(
        self, payload: bytes, term: Term | None
    ) -> tuple[asyncio.Future[Outcome], LogIndex, Term]:
        """A proposal, and its place; that of a rejected one is nowhere."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        try:
            core = self._running_core()
            term = core.term if term is None else term
            index = self._append(core, payload, term)
        except ProposalError as error:
            future.set_result(rejected(error))
            return future, LogIndex(0), Term(0)
        self._proposals.add(index, term, future)
        self._turns.proposed()
        return future, index, term

    def _begin_change(
        self, core: RaftCore, voters: Sequence[NodeId], learners: Sequence[NodeId]
    ) -> LogIndex:
        with self._lifetime.entering():
            index = core.change_membership(voters, learners)
        self._turns.want()
        return index

    def _carry_out(self, core: RaftCore) -> None:
        ready = core.ready(self._loop.time() * 1_000)
        self._storing.take(ready)
        self._send(ready.messages)
        if ready.reads:
            self._reads.answered(ready.reads, self._applying.applied)
        self._applying.look(core, wanted=ready.snapshot_wanted)
        if core.term != self._term:
            self._term = core.term
            self._reads.term_changed()
        observed = (core.role, core.term, core.leader, core.suspect, core.membership_index)
        if observed != self._observed:
            self._observed = observed
            self._observer(self.status)
        self._watchers.wake()

    def _send(self, messages: list[Addressed]) -> None:
        encoded: dict[int, bytes] = {}  # followers at the same place get the same object
        for to, message in messages:
            data = encoded.get(id(message))
            if data is None:
                data = encoded[id(message)] = codec.encode(message)
            self._sender.send(to, data)

    def _halt(self) -> None:
        """The end has come: nothing changes any more, and everybody who waits is told."""
        self._turns.halt()
        self._storing.halt()
        self._applying.halt()
        self._proposals.abandon()
        self._reads.abandon()
        self._watchers.abandon()

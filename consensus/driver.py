"""The only module here that waits. Owns the loop around `RaftCore`: time, disk, sending, applying.

One turn takes in everything that has arrived, ticks if time has passed, and carries out one
`Ready`. Three things run beside each other: turns (plain callbacks of the event loop), the task of
the log store (one call at a time; entries that come while the disk syncs form the next write),
and the task that applies. The first error in any of them stops the node for good: after a
failed fsync nothing can be promised any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from consensus import codec
from consensus.config import RaftConfig
from consensus.core import ProtectedConflict, RaftCore
from consensus.durability import Addressed, Write
from consensus.errors import ConsensusError, ProtocolError, StoppedError
from consensus.messages import AppendRequest, Message
from consensus.ports import Applier, Authority, LogStore, Sender
from consensus.replication import ReadRequest
from consensus.types import Entry, LogIndex, NodeId, Rng, Role, Term

TERM_LEAD_MAX = 1 << 20
"""A message this far ahead in terms is refused: a week of one election after another. Else one
lie could move the term so far that no election can follow."""
_LATE_TURNS = 3
"""Loop turns between a tick's time and the tick, so that what a blocked loop left unread in its
sockets is read first and a leader's heartbeat is not overlooked."""


_TURN_ENTRIES = 1_024
"""Entries (or messages without any) that one turn takes in, so that it stays below 10 ms."""


class RaftStatus(msgspec.Struct, frozen=True):
    """What an embedder may want to know, at one instant."""

    role: Role
    term: Term
    leader: NodeId | None
    """A hint when this node does not lead."""
    commit_index: LogIndex
    applied_index: LogIndex
    last_index: LogIndex
    stable_index: LogIndex
    """Durable on this node's disk."""
    protected_index: LogIndex
    conflict: ProtectedConflict | None
    """The newest attempt to replace protected entries; see `core.ProtectedConflict`."""
    suspect: bool
    """The disk lost something: the node does not vote until it has caught up."""


Observer = Callable[[RaftStatus], None]


class RaftNode:
    """One voter at work. All methods belong to the event loop's thread."""

    def __init__(
        self,
        config: RaftConfig,
        store: LogStore,
        sender: Sender,
        applier: Applier,
        authority: Authority,
        rng: Rng,
        observer: Observer = lambda _: None,
    ) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the exception when disk, applier or an invariant failed; the process must stop."""
        self._config = config
        self._store = store
        self._sender = sender
        self._applier = applier
        self._authority = authority
        self._rng = rng
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._core: RaftCore | None = None
        self._running = False
        self._protected = LogIndex(0)
        self._applied = LogIndex(0)
        self._tasks: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticked_at = 0.0
        self._ticks_due = 0
        self._turn_scheduled = False
        self._inbox: deque[tuple[NodeId, Message]] = deque()
        self._write: Write | None = None
        self._reads: deque[ReadRequest] = deque()
        self._apply_read: tuple[LogIndex, asyncio.Future[list[Entry]]] | None = None
        self._store_wanted = asyncio.Event()
        self._apply_wanted = asyncio.Event()
        self._observed: tuple[object, ...] = ()

    # --- What the embedder calls ---------------------------------------------------------------

    async def start(self) -> None:
        """Load the log and begin as a follower.

        Raises:
            Exception: whatever the store raises; the node is then not started.
        """
        recovered = await self._store.load()
        self._applied = self._applier.applied_index
        core = self._core = RaftCore(
            self._config,
            recovered,
            self._authority,
            self._rng,
            self._applied,
            self._protected,
        )
        self._running = True
        self._tasks = asyncio.ensure_future(self._run(core))
        self._ticked_at = self._loop.time()
        self._arm()
        self._want_turn()

    async def stop(self) -> None:
        """Stop at once; what is being written or applied is completed or abandoned by its owner."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks is not None:
            self._tasks.cancel()
            await asyncio.gather(self._tasks, return_exceptions=True)
            self._tasks = None

    def receive(self, sender: NodeId, message: bytes) -> None:
        """Take a message of `sender`, as authenticated by the channel; it acts in the next turn.

        Raises:
            ProtocolError: when it is malformed. Nothing changed.
        """
        decoded = codec.decode(message, sender, self._config)
        if self._core is not None and decoded.term > self._core.term + TERM_LEAD_MAX:
            raise ProtocolError(f"term {decoded.term} is out of reach")
        if self._running and len(self._inbox) < self._config.inbox_messages_max:
            self._inbox.append((sender, decoded))
            self._want_turn()

    def propose(self, payload: bytes, term: Term) -> LogIndex:
        """Append `payload` to the log of the leader of `term`, without waiting.

        It is committed when an entry with this index and term is applied; if one with this
        index and another term is applied, it never will be. Until then the outcome is unknown.

        Raises:
            NotLeaderError: with a hint.
            TermChangedError: when this node leads in another term.
            WindowFullError: when too much is uncommitted; try again after the next commit.
            PayloadTooLargeError: when it exceeds `payload_bytes_max`.
            StoppedError: when the node does not run.
        """
        if self._core is None or not self._running:
            raise StoppedError("the node does not run")
        index = self._core.propose(payload, term)
        self._want_turn()
        return index

    def protect(self, index: LogIndex) -> None:
        """Never truncate up to `index`, nor vote for who lacks it. Kept by the embedder."""
        self._protected = max(self._protected, index)
        if self._core is not None:
            self._core.protect(index)
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
        return RaftStatus(
            core.role,
            core.term,
            core.leader,
            core.commit_index,
            self._applied,
            core.log.last_index,
            core.log.stable_index,
            core.protected_index,
            core.conflict,
            core.suspect,
        )

    # --- Turns ---------------------------------------------------------------------------------

    def _want_turn(self) -> None:
        if self._running and not self._turn_scheduled:
            self._turn_scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_scheduled = False
        core = self._core
        if core is None or not self._running:
            return
        try:
            self._take_in(core)
            while self._ticks_due and not self._inbox:
                self._ticks_due -= 1
                core.tick()
            self._carry_out(core)
        except Exception as error:  # noqa: BLE001 - whatever it is, the node must not go on
            self._fail(error)

    def _take_in(self, core: RaftCore) -> None:
        """Step through the inbox, for as long as a turn may take; the rest has its own turn."""
        budget = _TURN_ENTRIES
        while self._inbox and budget > 0:
            sender, message = self._inbox.popleft()
            core.step(sender, message)
            budget -= len(message.entries) if isinstance(message, AppendRequest) else 1
        if self._inbox:
            self._want_turn()

    def _carry_out(self, core: RaftCore) -> None:
        ready = core.ready()
        if ready.write is not None:
            self._write = ready.write
            self._store_wanted.set()
        if ready.reads:
            self._reads.extend(ready.reads)
            self._store_wanted.set()
        self._send(ready.messages)
        if core.durable_commit_index > self._applied:
            self._apply_wanted.set()
        observed = (core.role, core.term, core.leader, core.suspect, core.conflict)
        if observed != self._observed:
            self._observed = observed
            self._observer(self.status)

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
                group.create_task(self._serve_store(core))
                group.create_task(self._apply(core))
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

    async def _serve_store(self, core: RaftCore) -> None:
        while True:
            if self._write is not None:
                write, self._write = self._write, None
                await self._store.append(write.batch)
                core.on_persisted(write.seq)
                self._want_turn()
            elif self._apply_read is not None:
                (first, future), self._apply_read = self._apply_read, None
                entries = await self._read(first, core.durable_commit_index)
                if not future.done():
                    future.set_result(entries)
            elif self._reads:
                request = self._reads.popleft()
                core.on_read(
                    request,
                    await self._store.read(request.first, request.last, request.bytes_max),
                )
                self._want_turn()
            else:
                self._store_wanted.clear()
                await self._store_wanted.wait()

    async def _read(self, first: LogIndex, last: LogIndex) -> list[Entry]:
        last = min(last, LogIndex(first + self._config.apply_entries_max - 1))
        return await self._store.read(first, last, self._config.apply_bytes_max)

    async def _apply(self, core: RaftCore) -> None:
        while True:
            if core.durable_commit_index <= self._applied:
                self._apply_wanted.clear()
                await self._apply_wanted.wait()
                continue
            first = LogIndex(self._applied + 1)
            entries = core.committed(first)
            if entries is None:
                future: asyncio.Future[list[Entry]] = self._loop.create_future()
                self._apply_read = (first, future)
                self._store_wanted.set()
                entries = await future
            if not entries or entries[0].index != first:
                raise ConsensusError(f"the log store has no entry {first}")
            await self._applier.apply(entries)
            self._applied = entries[-1].index

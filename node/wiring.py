"""Puts the parts of a node together: the only module that imports both consensus and p2p.

Owns construction, the adapters between the packages and the lifetime of the node's tasks.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - the one place where an Rng is made
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Literal

import msgspec
import prometheus_client
import structlog

from consensus.config import RaftConfig
from consensus.driver import RaftNode, RaftStatus
from consensus.errors import ProposalError, ProtocolError, StoppedError
from consensus.ports import Admission as EntryAdmission
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Role, Term
from node import __version__, proposer
from node.admission import Admission, VerifiedCache
from node.api.app import ApiServer
from node.api.config import ApiConfig
from node.api.ports import Check, NodeStatus, PeerView, PoolView, RaftView, WriteRefusal
from node.api.security import Scope, TokenSet
from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import attest, verify_attestation
from node.chain.voters import VoterSet
from node.clock import SystemClock
from node.config import NodeConfig, split_address
from node.cosigner import Cosigner, SigningHaltedError
from node.desk import Desk
from node.engine import Engine, HaltedError, Leadership
from node.finality import Cosigned, DivergedError, Finality
from node.indexing import Indexer
from node.intake import Intake
from node.keystore import NodeKeys
from node.ledger.genesis import Genesis
from node.ledger.signing import secret_key
from node.links import Links
from node.pool import Pool, PoolLimits
from node.storage.index import QueryIndex
from node.storage.ledger import AppliedBlock, CommittedEntry, Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.marker import Condition, Marker
from node.storage.outbox import Outbox
from node.storage.raft_log import RaftLogStore, open_raft_log
from node.tracker import Tracker
from node.witness import EvidenceKeeper
from p2p.config import P2PConfig
from p2p.errors import RemoteProtocolError
from p2p.gossip import Gossip
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, PeerId

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""
TICK_S = 0.05
STATUS_TICKS = 10
CATCH_UP_ENTRIES = 64
"""A node further behind than this in applying is not ready."""

_log = structlog.get_logger("node.wiring")


_NOT_STARTED = RaftStatus(
    role=Role.FOLLOWER,
    term=Term(0),
    leader=None,
    commit_index=LogIndex(0),
    applied_index=LogIndex(0),
    last_index=LogIndex(0),
    stable_index=LogIndex(0),
    protected_index=LogIndex(0),
    suspect=False,
)


class EntryAuthority:
    """Signs and judges entries: implements `consensus.ports.Authority`."""

    def __init__(
        self,
        voters: VoterSet,
        identity_seed: bytes,
        clock: SystemClock,
        observe: Callable[[bytes, bytes], None],
    ) -> None:
        self._voters = voters
        self._key = secret_key(identity_seed)
        self._clock = clock
        self._observe = observe

    def attest(self, header: bytes) -> bytes:
        """This node's signature over an entry header."""
        return attest(self._voters.network_id, header, self._key)

    def admit(self, entry: Entry) -> EntryAdmission:
        """Verify the leader's signature, keep it for comparison, check the entry's time."""
        if not verify_attestation(self._voters, entry.header, entry.attestation):
            return EntryAdmission.FORGED
        self._observe(entry.header, entry.attestation)
        if entry.kind is EntryKind.DATA:
            try:
                block = decode_block(entry.payload)
            except MalformedBlockError:
                return EntryAdmission.REFUSE
            if block.time_ms > self._clock.time_ms() + AHEAD_MS_MAX:
                return EntryAdmission.REFUSE
        return EntryAdmission.ACCEPT


class RaftSender:
    """Carries Raft messages over the links: implements `consensus.ports.Sender`."""

    def __init__(self, links: Links) -> None:
        self._links = links

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks."""
        self._links.send_raft(to, message)


class RaftApplier:
    """Hands committed entries to the engine: implements `consensus.ports.Applier`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def applied_index(self) -> LogIndex:
        """The last entry whose effects are durable."""
        return LogIndex(self._engine.applied_index)

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply the entries that have a payload; a leader's opening entry has no height."""
        await self._engine.apply(
            [
                CommittedEntry(entry.index, entry.term, entry.leader, entry.payload)
                for entry in entries
                if entry.kind is EntryKind.DATA
            ]
        )


class Node:
    """A whole node: built, started, stopped. Implements `desk.Vitals` and `engine.Outside`."""

    def __init__(self, config: NodeConfig, genesis: Genesis, keys: NodeKeys) -> None:
        self._config = config
        self._genesis = genesis
        self._keys = keys
        self._voters = VoterSet.from_genesis(genesis)
        self._me = self._voters.by_node[config.node.name]
        self._clock = SystemClock()
        self._rng = random.SystemRandom()
        self._tracker = Tracker()
        self._verified = VerifiedCache()
        self._pool = Pool(
            PoolLimits(
                transactions_max=config.limits.pool_transactions,
                bytes_max=config.limits.pool_bytes,
            )
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: list[Callable[[], Awaitable[object]]] = []
        self._files: list[Callable[[], Awaitable[object]]] = []
        self._stopping = False
        self._last_raft_status = _NOT_STARTED
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    # --- Life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        data = self._config.node.data_dir
        marker = Marker.open(data / "marker")
        ledger = await Ledger.open(
            data / "ledger.db", self._genesis, self._voters.hash, self._verified.get
        )
        self._files.append(ledger.close)
        reader = await LedgerReader.open(data / "ledger.db")
        self._files.append(reader.close)
        outbox = await Outbox.open(data / "outbox.db")
        self._files.append(outbox.close)
        index = await QueryIndex.open(data / "index.db")
        self._files.append(index.close)
        log_store = await open_raft_log(data / "raft.db", marker)
        self._files.append(log_store.close)
        self._build(marker, ledger, reader, outbox, index, log_store)
        for loop in (outbox.run(), self._keeper.keep(), self._engine.keep_certificates()):
            self._spawn(loop)
        await self._resume(marker, ledger, reader)
        await self._serve(self._network.start, self._network.stop)
        await self._serve(self._raft.start, self._raft.stop)
        for loop in (
            self._watch_raft(),
            self._engine.propose(),
            self._indexer.run(),
            self._beat(),
            self._settle(),
        ):
            self._spawn(loop)
        api = self._build_api(index)
        await self._serve(api.start, api.stop)
        _log.info(
            "node started",
            node=self._me.node,
            network=self._genesis.name,
            height=self._tracker.height,
            api=self._config.api.listen,
            p2p=self._config.p2p.listen,
        )

    async def stop(self) -> None:
        """Stop in the opposite order; files are closed last."""
        self._stopping = True
        for stop in reversed(self._services):
            await stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for close in reversed(self._files):
            await close()
        self._services.clear()
        self._files.clear()

    def summary(self) -> str:
        """One line for the service manager."""
        peers = sum(self._links.connected(n) for n in self._links.states)
        return f"height {self._tracker.height}, final {self._tracker.final_height}, {peers} peers"

    async def _serve(
        self, start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]
    ) -> None:
        self._services.append(stop)
        await start()

    def _spawn(self, loop: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(loop)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done() and not self._stopping:
            _log.critical("node failed", exc_info=error)
            self.failed.set_result(error)

    # --- Construction ------------------------------------------------------------------------

    def _build(
        self,
        marker: Marker,
        ledger: Ledger,
        reader: LedgerReader,
        outbox: Outbox,
        index: QueryIndex,
        log_store: RaftLogStore,
    ) -> None:
        genesis, voters = self._genesis, self._voters
        self._ledger = ledger
        self._indexer = Indexer(index, reader, self._tracker)
        self._keeper = EvidenceKeeper(voters, ledger, self._clock, self._tell_evidence)
        self._cosigner = Cosigner(
            self._me, self._keys.cosign, marker, lambda: self._clock.time_ms() // 1_000
        )
        self._finality = Finality(voters, 0, self._keeper)
        self._engine = Engine(
            voters,
            self._me.number,
            self._keys.origin,
            ledger,
            self._pool,
            self._verified,
            self._cosigner,
            self._finality,
            self._tracker,
            self._clock,
        )
        admission = Admission(genesis, self._verified, self._pool.knows)
        self._intake = Intake(admission, self._pool, outbox, self._tracker, self._clock)
        gossip = Gossip(self._wire_of, self._pool.knows)
        self._links = Links(
            voters,
            self._me.number,
            self._engine,
            self._intake,
            self._pool,
            self._tracker,
            gossip,
            self._clock,
            on_raft=self._on_raft,
            leader=self._leader,
            on_evidence=self._keeper.receive,
            on_diverged=self._halt,
        )
        self._engine.outside = self
        self._intake.carrier = self._links
        self._network = PeerNetwork(
            self._p2p_config(),
            secret_key(self._keys.identity),
            self._known_peers(),
            self._links,
            self._rng,
        )
        self._links.network = self._network
        self._raft = RaftNode(
            RaftConfig(
                node=NodeId(self._me.number),
                voters=tuple(NodeId(v.number) for v in voters.voters),
            ),
            log_store,
            RaftSender(self._links),
            RaftApplier(self._engine),
            EntryAuthority(voters, self._keys.identity, self._clock, self._keeper.observe_entry),
            self._rng,
            self._on_raft_status,
        )
        self._desk = Desk(
            genesis,
            voters,
            self._config.node.participant,
            self._keys.signing,
            self._keys.sealing,
            self._intake,
            outbox,
            self._tracker,
            reader,
            self._indexer,
            self,
        )

    def _wire_of(self, txid: bytes) -> bytes | None:
        transaction = self._pool.get(txid)
        return None if transaction is None else transaction.wire

    async def _resume(self, marker: Marker, ledger: Ledger, reader: LedgerReader) -> None:
        """Take up where the files end: finality, statements not sent, promises not kept."""
        newest = await reader.newest_certificate()
        final = newest[0] if newest is not None else 0
        head = ledger.head
        self._tracker.height = head.height
        self._tracker.final_height = final
        self._finality.resume(final)
        if newest is not None:
            self._engine.newest_certificate = (newest[0], newest[1].decode())
        lost = marker.condition in (Condition.MISSING, Condition.DAMAGED)
        self._cosigner.suspended = lost and head.height > 0
        await ledger.check_signed(self._cosigner.check)
        self._engine.resume(await reader.frontiers(final + 1, head.height))
        await self._intake.resume()

    # --- Consensus ---------------------------------------------------------------------------

    async def _watch_raft(self) -> None:
        """Consensus failed: a halt keeps serving reads, anything else ends the node."""
        failed = self._raft.failed
        await asyncio.wait({failed})
        await self._raft.stop()
        error = failed.exception() or RuntimeError("consensus stopped")
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, (HaltedError, DivergedError, SigningHaltedError)):
                self._halt(cause)
                return
            cause = cause.__cause__
        self._fail(error)

    def _halt(self, error: Exception) -> None:
        """Stop applying, keep the evidence, raise the alarm; reads go on, marked as such."""
        if self._engine.halted is None:
            self._engine.halted = str(error)
            _log.critical("halted", reason=str(error))

    def _on_raft(self, number: int, message: bytes) -> None:
        if self._engine.halted is not None:
            return
        try:
            self._raft.receive(NodeId(number), message)
        except ProtocolError as error:
            raise RemoteProtocolError(str(error)) from error

    def _on_raft_status(self, status: RaftStatus) -> None:
        _log.info("raft", role=status.role.name.lower(), term=status.term, leader=status.leader)
        self._engine.work()
        if status.leader is not None:
            self._intake.resend(at_once=True)

    def _raft_status(self) -> RaftStatus:
        """Consensus now; after a halt its last state, without a leader."""
        try:
            self._last_raft_status = self._raft.status
        except StoppedError:
            last = self._last_raft_status
            if last.leader is not None or last.role is not Role.FOLLOWER:
                self._last_raft_status = msgspec.structs.replace(
                    last, role=Role.FOLLOWER, leader=None
                )
        return self._last_raft_status

    def _leader(self) -> int | None:
        return self._raft_status().leader

    def leadership(self) -> Leadership:
        """The present role in consensus."""
        status = self._raft_status()
        return Leadership(status.role is Role.LEADER, status.term, status.leader)

    def propose(self, payload: bytes, term: int) -> int | None:
        """Propose an entry; its index, or None when there is no room or no leadership."""
        try:
            return self._raft.propose(payload, Term(term))
        except ProposalError as error:
            _log.debug("not proposed", reason=str(error))
            return None

    def tell_cosigned(self, statement: Cosigned) -> None:
        """Gossip this voter's statement."""
        self._links.tell_cosigned(statement)

    def tell_applied(self, block: AppliedBlock) -> None:
        """A block is stored, and signed if this voter may sign."""
        self._raft.protect(LogIndex(block.raft_index))
        self._intake.applied(block)

    def work_reported(self) -> bool:
        """Some voter reports pending or lapsing work."""
        return self._links.work_reported()

    def _tell_evidence(self, body: bytes) -> None:
        self._links.tell_evidence(body)

    # --- Periodic ----------------------------------------------------------------------------

    async def _beat(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            self._links.tick()
            ticks += 1
            if ticks % STATUS_TICKS == 0:
                self._links.tell_status()
                self._intake.resend()

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._intake.settle(self._indexer)
            if self._cosigner.suspended:
                self._resume_signing()

    def _resume_signing(self) -> None:
        """Sign again once caught up: with the leader's log, and to a final checkpoint."""
        status = self._raft_status()
        caught_up = status.leader is not None and not status.suspect
        if caught_up and status.applied_index >= status.commit_index and not self._finality.unfinal:
            self._cosigner.suspended = False
            _log.warning("signing resumed", height=self._tracker.height)

    # --- Peers and API -----------------------------------------------------------------------

    def _p2p_config(self) -> P2PConfig:
        host, port = split_address(self._config.p2p.listen)
        return P2PConfig(network_id=self._voters.network_id, host=host, port=port)

    def _known_peers(self) -> list[KnownPeer]:
        addresses = {peer.node: peer.address for peer in self._config.p2p.peers}
        return [
            KnownPeer(PeerId(v.identity_key), v.node, addresses.get(v.node))
            for v in self._voters.voters
            if v.number != self._me.number
        ]

    def _build_api(self, index: QueryIndex) -> ApiServer:
        host, port = split_address(self._config.api.listen)
        config = ApiConfig(
            host=host,
            port=port,
            allowed_hosts=(*ApiConfig().allowed_hosts, *self._config.api.allowed_hosts),
            allowed_origins=self._config.api.allowed_origins,
        )
        folder = self._config.api.token_dir
        tokens = TokenSet.from_files({s: folder / f"{s.name.lower()}.token" for s in Scope})
        registry = prometheus_client.CollectorRegistry()
        return ApiServer(config, self._desk, index, tokens, registry, self._clock)

    def status(self) -> NodeStatus:
        """A snapshot of the whole node."""
        raft = self._raft_status()
        head = self._ledger.head
        participant = self._genesis.participant(self._config.node.participant)
        assert participant is not None, "checked at start"
        leader = self._voters.get(raft.leader) if raft.leader is not None else None
        return NodeStatus(
            node=self._me.node,
            participant=participant.id,
            roles=participant.roles,
            network_id=self._voters.network_id.hex(),
            version=__version__,
            raft=RaftView(
                state=_RAFT_STATES[raft.role],
                term=raft.term,
                leader=None if leader is None else leader.node,
                commit_index=raft.commit_index,
                applied_index=raft.applied_index,
            ),
            height=head.height,
            final_height=self._tracker.final_height,
            tree_size=head.tree_size,
            root=head.root().hex(),
            state_digest=head.state_digest().hex(),
            head_time_ms=head.time_ms,
            rules_version=self._genesis.rules_version,
            outbox=self._intake.promised,
            peers=tuple(self._peer_views()),
            pool=PoolView(len(self._pool), self._pool.size_bytes),
        )

    def _peer_views(self) -> list[PeerView]:
        views = []
        for status in self._network.statuses():
            voter = self._voters.by_node[status.name]
            state = self._links.states[voter.number]
            views.append(
                PeerView(
                    node=voter.node,
                    connected=status.connected,
                    height=state.height,
                    rtt_ms=None if status.rtt_ms is None else round(status.rtt_ms),
                )
            )
        return views

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        raft = self._raft_status()
        blocks, size = self._engine.backlog
        behind = raft.commit_index - raft.applied_index
        return (
            Check("ledger", self._engine.halted is None, self._engine.halted or "", fatal=False),
            Check("quorum", raft.leader is not None, "no leader is known"),
            Check(
                "finality",
                not proposer.not_finalising(blocks, size),
                f"{blocks} blocks are not final",
            ),
            Check("applied", behind <= CATCH_UP_ENTRIES, f"{behind} entries behind"),
            Check("running", not self._stopping, "stopping"),
        )

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        if self._engine.halted is not None or self._stopping:
            return "NOT_READY"
        if self._raft_status().leader is None:
            return "NO_QUORUM"
        if proposer.not_finalising(*self._engine.backlog):
            return "NOT_FINALISING"
        return None


_RAFT_STATES: dict[Role, Literal["leader", "follower", "candidate", "observer"]] = {
    Role.FOLLOWER: "follower",
    Role.PRE_CANDIDATE: "candidate",
    Role.CANDIDATE: "candidate",
    Role.LEADER: "leader",
}

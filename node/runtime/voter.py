"""Puts the parts of a node together: the only module that imports both consensus and p2p.

Owns construction, the adapters between the packages and the lifetime of the node's tasks.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - the one place where an Rng is made
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import prometheus_client
import structlog

from consensus.config import RaftConfig
from consensus.core.status import RaftStatus
from consensus.driver.node import RaftNode
from consensus.errors import ProposalError, ProtocolError
from consensus.types import LogIndex, NodeId, Role, Term
from node.api.config import ApiConfig
from node.api.security import TokenFiles
from node.chain.certificate import parse_certificate
from node.chain.certified import CertifiedHead
from node.chain.cosigned import Cosigned
from node.chain.voters import VoterSet
from node.custody.keyring import Keyring
from node.custody.keystore import KeyFile
from node.custody.signer import Signer
from node.custody.wallet import Wallet
from node.domains.description import NodeParts
from node.following.applier import Engine, HaltedError, Leadership
from node.following.blockserver import BlockServer
from node.following.catchup import CatchUp
from node.following.dissent import Dissent
from node.following.evidence_keeper import EvidenceKeeper
from node.following.excuses import Excuses
from node.following.finality import DivergedError, Finality
from node.following.history import HistoryCheck
from node.following.index_follower import Indexer
from node.following.participants import Members
from node.following.standing import Standing
from node.following.tracker import Tracker
from node.ledger.codes import Code
from node.ledger.genesis import Genesis
from node.ledger.signing import secret_key
from node.peers.messages import NONCE_BYTES
from node.peers.router import Links
from node.runtime.domains import domains_of, index_parts, position_files
from node.runtime.halting import Halting
from node.runtime.installed import InstalledDomains
from node.runtime.server import ApiServer
from node.sealing.recipients import Readers
from node.services.health import NodeVitals
from node.services.submitter import Submitter
from node.storage import rebuilt
from node.storage.heads import HeadStore
from node.storage.index import QueryIndex
from node.storage.ledger import AppliedBlock, Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.marker import MARKER_FILE, Marker
from node.storage.outbox import Outbox
from node.storage.raft_log import SqliteStore, naming_damage, open_raft_log
from node.submission.admission import Admission, VerifiedCache
from node.submission.intake import Intake
from node.submission.pool import Pool, PoolLimits
from node.system.clock import SystemClock
from node.system.config import ConfigError, NodeConfig, split_address
from node.system.disk import DiskRoom
from node.voting import astray
from node.voting.consensus_adapter import (
    EntryAuthority,
    RaftApplier,
    RaftSender,
    observe_stored,
    read_signed,
    receipts_secret,
    recorded_statements,
)
from node.voting.cosigner import Cosigner, SigningHaltedError
from node.voting.rejoining import Rejoining, recall
from node.voting.resumption import RULES
from node.voting.snapshots import Naming
from p2p.config import P2PConfig
from p2p.errors import RemoteProtocolError
from p2p.gossip import Gossip
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, PeerId

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""
MISPROPOSED = frozenset({Code.BAD_SIGNATURE, Code.WRONG_NETWORK})
"""Of transactions that left no leaf: their leader cannot have verified them."""
TICK_S = 0.05
RETELL_WAITS_MAX = 30
"""Seconds for which peers are waited for that are away."""
STATUS_TICKS = 10

_log = structlog.get_logger("node.runtime.voter")


class Node:
    """A whole node: built, started, stopped. Implements `applier.Outside`."""

    def __init__(self, config: NodeConfig, genesis: Genesis, key_file: KeyFile) -> None:
        self._config = config
        self._genesis = genesis
        self._key_file = key_file
        self._keys = key_file.keys
        self._members = Members(genesis)
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
        self._keyring = Keyring(self._keys.sealing_seeds[::-1])
        self._tasks: set[asyncio.Task[None]] = set()
        self._services: list[Callable[[], Awaitable[object]]] = []
        self._files: list[Callable[[], Awaitable[object]]] = []
        self._stopping = False
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    # --- Life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        data = self._config.node.data_dir
        marker = Marker.open(data / MARKER_FILE)
        self._files.append(partial(asyncio.to_thread, marker.close))
        self._cosigner = Cosigner(
            self._me, self._keys.cosign, marker, lambda: self._clock.time_ms() // 1_000
        )
        vouched = recall(data, marker, self._cosigner)
        record = astray.set_aside(
            data, position_files(), self._voters, self._cosigner, self._clock.time_ms()
        )
        if not (data / "ledger.db").exists():
            rebuilt.begun(data)
        ledger = await Ledger.open(
            data / "ledger.db", self._genesis, self._voters.hash, self._verified.get
        )
        self._files.append(ledger.close)
        if record is not None:
            await astray.take_along(record, ledger)
        reader = await LedgerReader.open(data / "ledger.db")
        self._files.append(reader.close)
        outbox = await Outbox.open(data / "outbox.db")
        self._files.append(outbox.close)
        self._wallet = await Wallet.open(data / "wallet.db", self._keys.identity, self._keyring)
        self._files.append(self._wallet.close)
        index = await QueryIndex.open(data / "index.db", index_parts(self._genesis))
        self._files.append(index.close)
        # Who may have forgotten signatures may have forgotten votes, unless the loss is bounded.
        forgot = self._cosigner.rejoining and self._cosigner.memory.above is None
        log_store = await open_raft_log(data / "raft.db", marker, rejoin=forgot)
        self._files.append(log_store.close)
        heads = await HeadStore.open(data / "heads.db", self._voters)
        self._files.append(heads.close)
        self._build(ledger, reader, outbox, index, vouched)
        self._join(ledger, reader, log_store, heads)
        self._serve_desk(ledger, reader, outbox)
        for loop in (
            outbox.run(),
            self._keeper.keep(),
            self._keeper.settle(),
            self._engine.keep_certificates(),
            self._engine.keep_signing(),
            self._server.serve(),
            self._dissent.run(),
            self._history.run(),
        ):
            self._spawn(loop)
        await self._keeper.load()
        await self._resume(ledger, reader)
        await self._serve(self._network.start, self._network.stop)
        record = astray.newest_record(data)
        if record is not None:
            self._spawn(self._retell(record))
        with naming_damage(data / "raft.db"):
            await self._serve(self._raft.start, self._raft.stop)
        unapplied = LogIndex(ledger.head.raft_index + 1), self._raft.status.last_index
        await observe_stored(log_store, *unapplied, self._keeper.observe_entry)
        for loop in (
            self._watch_raft(),
            self._engine.propose(),
            self._indexer.run(),
            *(loop() for loop in self._domains.loops),
            self._rejoining.run(),
            self._beat(),
            self._settle(),
        ):
            self._spawn(loop)
        api = self._build_api(index)
        await self._serve(api.start, api.stop)
        self._spawn(self._watch_tokens(api))
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
        if self._services:
            self._vitals.stopping = True
        for stop in reversed(self._services):
            await stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for close in reversed(self._files):
            await close()
        self._services.clear()
        self._files.clear()

    def reload(self, config: NodeConfig) -> None:
        """Take over from a changed configuration what can change while the node runs.

        Raises:
            ConfigError: it is of another node.
        """
        if (config.node, config.keys.file) != (self._config.node, self._config.keys.file):
            raise ConfigError("node and keys cannot change while the node runs: restart it")
        for peer in set(config.p2p.peers) - set(self._config.p2p.peers):
            voter = self._voters.by_node.get(peer.node)
            if voter is not None and voter is not self._me:
                self._network.set_address(PeerId(voter.identity_key), peer.address)
        self._config = config

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
            if isinstance(error, SigningHaltedError):
                self._halt(error)
            else:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done() and not self._stopping:
            if not isinstance(error, astray.AstrayError):
                _log.critical("node failed", exc_info=error)
            self.failed.set_result(error)

    # --- Construction ------------------------------------------------------------------------

    def _build(
        self,
        ledger: Ledger,
        reader: LedgerReader,
        outbox: Outbox,
        index: QueryIndex,
        vouched: int | None,
    ) -> None:
        genesis, voters = self._genesis, self._voters
        self._ledger = ledger
        self._indexer = Indexer(index, reader, self._tracker)
        self._excuses = Excuses(voters, ledger, reader, self._tell_resumption)
        self._keeper = EvidenceKeeper(
            voters, ledger, reader, self._clock, self._tell_evidence, self._halt, self._excuses
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
        self._halting = Halting(
            self._config.node.data_dir,
            self._engine,
            lambda: self._finality.certified,
            self._fail,
            self._spawn,
        )
        admission = Admission(genesis, self._members, self._verified, self._pool.knows)
        self._intake = Intake(
            admission,
            self._pool,
            outbox,
            self._tracker,
            self._clock,
            self._config.limits.outbox_transactions,
        )
        self._standing = Standing(voters.f)
        self._disk = DiskRoom(self._config.node.data_dir)
        self._catch_up = CatchUp(voters, self._me.number, ledger, self._engine, self._clock)
        self._rejoining = Rejoining(
            self._config.node.data_dir,
            vouched,
            voters,
            self._me.number,
            self._cosigner,
            RULES,
            self._finality,
            ledger,
            reader,
            self._clock,
            make_nonce=lambda: self._rng.randbytes(NONCE_BYTES),
            on_forgotten=self._on_forgotten,
            on_signing=self._engine.sign_waiting,
        )

    def _serve_desk(self, ledger: Ledger, reader: LedgerReader, outbox: Outbox) -> None:
        """Make what the API sees of the node."""
        genesis, voters = self._genesis, self._voters
        participant = genesis.participant(self._config.node.participant)
        assert participant is not None, "checked at start"
        self._vitals = NodeVitals(
            genesis,
            voters,
            self._me,
            participant.id,
            self._members,
            self._raft,
            self._engine,
            ledger,
            self._intake,
            self._pool,
            self._tracker,
            self._links.peer_views,
            self._keeper.summary,
            self._rejoining.view,
            self._standing,
            self._disk,
            self._clock,
        )
        self._signer = Signer(self._key_file, participant.id, self._members, self._keyring)
        domains = InstalledDomains(
            domains_of(genesis),
            NodeParts(
                network_id=voters.network_id,
                participant=participant.id,
                data_dir=self._config.node.data_dir,
                members=self._members,
                signer=self._signer,
                keyring=self._keyring,
                readers=Readers(self._members),
                outbox=outbox,
                reader=reader,
                tracker=self._tracker,
                monotonic_s=lambda: self._clock.monotonic_ms() / 1000,
            ),
        )
        self._desk = Submitter(
            genesis,
            voters,
            participant.id,
            self._signer,
            self._wallet,
            self._intake,
            outbox,
            self._tracker,
            reader,
            self._indexer,
            self._vitals,
            domains.discloser,
            domains.companions,
        )
        self._domains = domains.serve(self._desk)

    def _join(
        self, ledger: Ledger, reader: LedgerReader, log_store: SqliteStore, heads: HeadStore
    ) -> None:
        """Make the links, and consensus over them."""
        voters = self._voters
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
            self._catch_up,
            self._rejoining,
            self._standing,
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
        self._catch_up.carrier = self._links
        self._rejoining.carrier = self._links
        self._server = BlockServer(self._links.states, reader, self._clock, self._links.give_blocks)
        self._links.server = self._server
        self._links.evidence = self._keeper.bodies
        naming = Naming(voters.network_id, ledger, reader, self._tracker)
        self._dissent = Dissent(
            voters,
            self._keeper,
            lambda: ledger.head,
            partial(read_signed, log_store),
            self._links.tell_dissent,
            self._clock,
        )
        self._links.dissent = self._dissent
        self._links.excuses = self._excuses
        self._finality.on_dissent = self._dissent.notice
        self._history = history = HistoryCheck(
            voters, self._finality, lambda: ledger.head, reader, self._clock, self._halt
        )
        history.final_heights = self._links.final_heights
        history.ask = history.answer = self._links.tell
        history.certified = self._certified_note
        self._links.history = history
        self._rejoining.publish = self._excuses.publish
        self._authority = EntryAuthority(
            voters,
            self._keys.identity,
            self._clock,
            self._keeper,
            self._dissent,
            self._links.allowance.takes_entry,
            self._links.forged_entry,
        )
        self._raft = RaftNode(
            RaftConfig(
                node=NodeId(self._me.number),
                voters=tuple(NodeId(v.number) for v in voters.voters),
                liars_max=voters.f,
                snapshot_entries=self._config.raft.snapshot_entries,
                snapshot_bytes=self._config.raft.snapshot_bytes,
                trailing_entries=self._config.raft.trailing_entries,
                trailing_bytes=self._config.raft.trailing_bytes,
            ),
            log_store,
            RaftSender(self._links.send_raft),
            RaftApplier(voters, self._engine, ledger, naming, self._catch_up),
            self._authority,
            self._rng,
            self._on_raft_status,
            heads,
            secret=receipts_secret(self._keys.identity),
        )

    def _certified_note(self) -> str | None:
        newest = self._engine.newest_certificate
        return None if newest is None else newest[1]

    def _wire_of(self, txid: bytes) -> bytes | None:
        transaction = self._pool.get(txid)
        return None if transaction is None else transaction.wire

    async def _resume(self, ledger: Ledger, reader: LedgerReader) -> None:
        """Take up where the files end: finality, statements not sent, promises not kept."""
        newest = await reader.newest_certificate()
        final = newest[0] if newest is not None else 0
        head = ledger.head
        self._tracker.height = head.height
        self._tracker.final_height = final
        await self._members.load(reader, head.height)
        certified = self._cosigner.memory.certified
        if newest is not None:
            note = newest[1].decode()
            self._engine.newest_certificate = (final, note)
            if certified is None or certified.height <= final:
                certified = CertifiedHead.of(final, parse_certificate(note), self._voters)
        self._finality.resume(final, certified)
        await ledger.check_signed(self._cosigner.check)
        self._engine.resume(await reader.frontiers(final + 1, head.height))
        # Else what was applied before would wait here, for good: no leader proposes it again.
        self._pool.applied(await reader.newest_transactions(self._pool.remembered_max))
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
        self._halting.halt(error)

    async def _retell(self, record: Path) -> None:
        """Tell the peers, once they are there, what this node was shown before it was set right.

        There may have been no time for it then; and at every start, since nobody says that it was
        understood.
        """
        for _ in range(RETELL_WAITS_MAX):
            if all(self._links.connected(number) for number in self._links.states):
                break
            await asyncio.sleep(1.0)
        said = await asyncio.to_thread(recorded_statements, record / "raft.db")
        self._dissent.retell(said)

    def _on_raft(self, number: int, message: bytes) -> None:
        if self._engine.halted is not None:
            return
        try:
            self._raft.receive(NodeId(number), message)
        except ProtocolError as error:
            self._authority.salvage(NodeId(number), message)
            raise RemoteProtocolError(str(error)) from error

    def _on_forgotten(self) -> None:
        # The marker is not what it was, so the votes in it are not either.
        self._raft.distrust()

    def _on_raft_status(self, status: RaftStatus) -> None:
        _log.info("raft", role=status.role.name.lower(), term=status.term, leader=status.leader)
        self._engine.work()
        if status.leader is not None:
            self._intake.resend(at_once=True)

    def _leader(self) -> int | None:
        return self._vitals.raft().leader

    def leadership(self) -> Leadership:
        """The present role in consensus."""
        status = self._vitals.raft()
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
        self._members.applied(block.height, block.participants)
        if block.participants:
            self._signer.follow()
        self._raft.protect(LogIndex(block.raft_index))
        self._dissent.applied(block.height, block.raft_index)
        if any(code in MISPROPOSED for _, code in block.skipped):
            self._dissent.misproposed(block.raft_index)
        self._indexer.applied(block)
        self._intake.applied(block)

    def work_reported(self) -> bool:
        """Some voter reports pending or lapsing work."""
        return self._links.work_reported()

    def _tell_resumption(self, body: bytes) -> None:
        self._links.tell_resumption(body)

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
                self._standing.look(self._tracker.final_height, self._clock.monotonic_ms())
                self._disk.look()
                self._links.tell_status()
                self._intake.resend()

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self._intake.settle(self._indexer)

    async def _watch_tokens(self, api: ApiServer) -> None:
        """Who rotates a token has it take effect at once, without a signal."""
        while True:
            await asyncio.sleep(1.0)
            found = self._token_files.changed()
            if found is not None:
                tokens, faults = found
                for fault in faults:
                    _log.error("token not usable, nobody is let in by it", reason=fault)
                api.change_tokens(tokens)

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
        public_url = self._config.api.public_url
        config = ApiConfig(
            host=host,
            port=port,
            allowed_hosts=(
                *ApiConfig().allowed_hosts,
                *self._config.api.allowed_hosts,
                *([] if public_url is None else [urlsplit(public_url).netloc.lower()]),
            ),
            allowed_origins=self._config.api.allowed_origins,
            public_url=public_url,
            public_read=self._config.api.public_read,
        )
        self._token_files = TokenFiles(self._config.api.token_dir)
        tokens = self._token_files.load()
        registry = prometheus_client.CollectorRegistry()
        return ApiServer(
            config,
            self._desk,
            self._domains.services,
            index,
            tokens,
            registry,
            self._clock,
            domains_of(self._genesis),
        )

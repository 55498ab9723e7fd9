"""A voter: started, stopped, told of a changed configuration. Owns the order of its start and end.

What it is made of is `node.runtime.parts`. A loop that fails ends the node, or halts it while reads
go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

from node.api.security import TokenFiles
from node.custody.keystore import KeyFile
from node.ledger.genesis import Genesis
from node.runtime import loops
from node.runtime.files import VoterFiles, open_files
from node.runtime.given import Given
from node.runtime.halting import Halting
from node.runtime.links import follow_addresses
from node.runtime.parts import VoterParts, build_parts
from node.runtime.serving import Services, build_api, build_services
from node.storage.damage import damage_in, disk_failure
from node.storage.raft_log import naming_damage
from node.system.config import ConfigError, NodeConfig
from node.system.tasks import TaskSet
from node.voting import astray
from node.voting.cosigner import SigningHaltedError

_log = structlog.get_logger("node.runtime.voter")


class Node:
    """One voter, from its start to its end."""

    def __init__(self, config: NodeConfig, genesis: Genesis, key_file: KeyFile) -> None:
        self._config = config
        self._given = Given.of(config, genesis, key_file)
        self._ends = AsyncExitStack()
        """What ends with it, the newest first: services, then loops, then files."""
        self._tasks = TaskSet(self._on_failure)
        self._built: tuple[VoterParts, Services] | None = None
        """From the start on, once the files are open."""
        self._stopping = False
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        given = self._given
        files = await open_files(given, self._ends)
        self._ends.push_async_callback(self._tasks.stop)
        parts = build_parts(given, files)
        services = build_services(given, files, parts)
        self._built = parts, services
        following = parts.following
        Halting(
            files.folder,
            following.halt,
            lambda: following.finality.certified,
            self._fail,
            self._tasks.spawn,
        )
        self._tasks.spawn(files.outbox.run(), *following.loops(), parts.ordering.signing.keep())
        await loops.resume(files, parts)
        await self._join(files, parts)
        self._tasks.spawn(
            self._watch_consensus(parts),
            parts.proposer.run(),
            following.indexer.run(),
            *services.loops(),
            parts.rejoining.run(),
            loops.beat(parts, services.disk),
            loops.settle(parts),
        )
        token_files = TokenFiles(self._config.api.token_dir)
        api = build_api(given, files, services, token_files)
        await self._serve(api.start, api.stop)
        self._tasks.spawn(loops.watch_tokens(token_files, api))
        _log.info(
            "node started",
            node=given.identity.me.node,
            network=given.identity.genesis.name,
            height=following.tracker.height,
            api=self._config.api.listen,
            p2p=self._config.p2p.listen,
        )

    async def stop(self) -> None:
        """Stop in the opposite order; files are closed last."""
        self._stopping = True
        if self._built is not None:
            self._built[1].health.stopping = True
        await self._ends.aclose()

    def reload(self, config: NodeConfig) -> None:
        """Take over from a changed configuration what can change while the node runs.

        Raises:
            ConfigError: it is of another node.
        """
        if (config.node, config.keys.file) != (self._config.node, self._config.keys.file):
            raise ConfigError("node and keys cannot change while the node runs: restart it")
        if self._built is not None:
            follow_addresses(self._built[0].router, self._given.identity, self._config, config)
        self._config = config

    def summary(self) -> str:
        """One line for the service manager."""
        if self._built is None:
            return "starting"
        parts, _ = self._built
        tracker, router = parts.following.tracker, parts.router
        peers = sum(router.connected(number) for number in router.peers)
        return f"height {tracker.height}, final {tracker.final_height}, {peers} peers"

    async def _join(self, files: VoterFiles, parts: VoterParts) -> None:
        """Open the links, and take part in consensus."""
        network, raft = parts.router.network, parts.ordering.raft
        await self._serve(network.start, network.stop)
        record = astray.newest_record(files.folder)
        if record is not None:
            self._tasks.spawn(loops.retell(parts, record))
        with naming_damage(files.folder / "raft.db"):
            await self._serve(raft.start, raft.stop)
        await loops.compare_stored(files, parts)

    async def _serve(
        self, start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]
    ) -> None:
        self._ends.push_async_callback(stop)
        await start()

    # --- Failures ----------------------------------------------------------------------------

    async def _watch_consensus(self, parts: VoterParts) -> None:
        """Consensus failed: a halt keeps serving reads, anything else ends the node."""
        error = await parts.ordering.consensus.watch()
        if error is not None:
            self._fail(error)

    def _on_failure(self, error: BaseException) -> None:
        if isinstance(error, SigningHaltedError) and self._built is not None:
            self._built[0].following.halt.stop(error)
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done() and not self._stopping:
            told = damage_in(error) or disk_failure(error, self._config.node.data_dir)
            if told is not None:
                _log.critical("node failed", reason=str(told))
            elif not isinstance(error, astray.AstrayError):
                _log.critical("node failed", exc_info=error)
            self.failed.set_result(error)

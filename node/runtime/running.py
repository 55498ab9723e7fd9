"""One node, from its start to its end: what a voter and an observer have in common.

Owns the end: services, then loops, then files; and what a failure of a loop comes to. What is
started, and in which order, is the two kinds' own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import structlog

from node.custody.keystore import KeyFile
from node.ledger.genesis import Genesis
from node.runtime.given import Given
from node.runtime.links import follow_addresses
from node.runtime.serving import ServedParts, Services
from node.storage.damage import damage_in, disk_failure
from node.system.config import ConfigError, NodeConfig
from node.system.tasks import TaskSet
from node.voting.astray import AstrayError

_log = structlog.get_logger("node.runtime.running")


class RunningNode:
    """A node of either kind."""

    def __init__(self, config: NodeConfig, genesis: Genesis, key_file: KeyFile) -> None:
        self._config = config
        self._given = Given.of(config, genesis, key_file)
        self._ends = AsyncExitStack()
        """What ends with it, the newest first: services, then loops, then files."""
        self._tasks = TaskSet(self._on_failure)
        self._served: tuple[ServedParts, Services] | None = None
        """From the start on, once the files are open."""
        self._stopping = False
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop in the opposite order; files are closed last."""
        self._stopping = True
        if self._served is not None:
            self._served[1].health.stopping = True
        await self._ends.aclose()

    def reload(self, config: NodeConfig) -> None:
        """Take over from a changed configuration what can change while the node runs.

        Raises:
            ConfigError: it is of another node.
        """
        before = self._config
        if (config.node, config.keys.file) != (before.node, before.keys.file):
            raise ConfigError("node and keys cannot change while the node runs: restart it")
        if self._served is not None:
            follow_addresses(self._served[0].router, self._given.identity, before, config)
        self._config = config

    def summary(self) -> str:
        """One line for the service manager."""
        if self._served is None:
            return "starting"
        parts, _ = self._served
        tracker, router = parts.following.tracker, parts.router
        peers = sum(router.connected(number) for number in router.peers)
        return f"height {tracker.height}, final {tracker.final_height}, {peers} peers"

    async def _serve(
        self, start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]
    ) -> None:
        self._ends.push_async_callback(stop)
        await start()

    def _tell_started(self, height: int) -> None:
        given, config = self._given, self._config
        _log.info(
            "node started",
            node=given.identity.node,
            kind=config.node.kind,
            network=given.identity.genesis.name,
            height=height,
            api=config.api.listen,
            p2p=config.p2p.listen if given.identity.number is not None else None,
        )

    def _on_failure(self, error: BaseException) -> None:
        self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done() and not self._stopping:
            told = damage_in(error) or disk_failure(error, self._config.node.data_dir)
            if told is not None:
                _log.critical("node failed", reason=str(told))
            elif not isinstance(error, AstrayError):
                _log.critical("node failed", exc_info=error)
            self.failed.set_result(error)

"""An observer: started, in its order. What it is made of is `node.runtime.observer_parts`."""

from __future__ import annotations

import asyncio

from typing_extensions import override

from node.api.security import TokenFiles
from node.runtime import loops
from node.runtime.halting import Halting
from node.runtime.observer_parts import (
    ObserverFiles,
    ObserverParts,
    build_observer,
    open_observer_files,
)
from node.runtime.running import RunningNode
from node.runtime.serving import build_api, build_services
from node.services.observer_health import ObserverHealth
from node.system.disk import DiskRoom

TELL_BEATS = 4
"""Voters need no word of an observer, but to give it a certificate that it has not got."""


class Observer(RunningNode):
    """A node that follows the ledger, serves programs, and hands their transactions in."""

    @override
    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        given = self._given
        files = await open_observer_files(given, self._ends)
        self._ends.push_async_callback(self._tasks.stop)
        parts = build_observer(given, files)
        role = ObserverHealth(parts.following, parts.router, given.identity.voters.f)
        services = build_services(given, files, parts, role)
        self._served = parts, services
        following = parts.following
        Halting(
            files.folder,
            following.halt,
            lambda: following.finality.certified,
            self._fail,
            self._tasks.spawn,
        )
        self._tasks.spawn(files.outbox.run(), *following.loops())
        await _resume(files, parts)
        network = parts.router.network
        await self._serve(network.start, network.stop)
        self._tasks.spawn(
            parts.pursuit.run(),
            following.indexer.run(),
            *services.loops(),
            _beat(parts, services.disk),
            loops.settle(parts.intake, following.indexer),
        )
        token_files = TokenFiles(self._config.api.token_dir)
        api = build_api(given, files, services, token_files)
        await self._serve(api.start, api.stop)
        self._tasks.spawn(loops.watch_tokens(token_files, api))
        self._tell_started(following.tracker.height)


async def _resume(files: ObserverFiles, parts: ObserverParts) -> None:
    """Take up where the files end: finality, and promises not kept."""
    following = parts.following
    ledger, reader, _ = files.books
    await following.evidence.keeper.load()
    head = ledger.head
    following.tracker.height = head.height
    await following.participants.load(reader, head.height)
    following.certificates.resume(await reader.newest_certificate(), None)
    unfinal = await reader.frontiers(following.finality.final_height + 1, head.height)
    following.certificates.recount(unfinal, None)
    await parts.intake.resume(await reader.newest_transactions(parts.intake.pool.remembered_max))


async def _beat(parts: ObserverParts, disk: DiskRoom) -> None:
    """Say where this node stands, and send again what was not heard of; runs until cancelled."""
    following, beats = parts.following, 0
    while True:
        await asyncio.sleep(loops.TICK_S * loops.STATUS_TICKS)
        following.peers.look(following.tracker.final_height)
        disk.look()
        beats += 1
        if beats % TELL_BEATS == 0:
            parts.own_status.tell()
        parts.intake.resend()

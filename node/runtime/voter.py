"""A voter: started, in its order. What it is made of is `node.runtime.parts`.

Owns the order of its start. A loop that fails ends the node, or halts it while reads go on.
"""

from __future__ import annotations

from typing_extensions import override

from node.api.security import TokenFiles
from node.runtime import loops
from node.runtime.files import VoterFiles, open_files
from node.runtime.halting import Halting
from node.runtime.parts import VoterParts, build_parts
from node.runtime.running import RunningNode
from node.runtime.serving import build_api, build_services
from node.services.voter_health import VoterHealth
from node.storage.raft_log import naming_damage
from node.voting import astray
from node.voting.cosigner import SigningHaltedError


class Voter(RunningNode):
    """A node that votes."""

    _built: VoterParts | None = None

    @override
    async def start(self) -> None:
        """Open the files, join the peers, serve the API."""
        given = self._given
        files = await open_files(given, self._ends)
        self._ends.push_async_callback(self._tasks.stop)
        parts = build_parts(given, files)
        role = VoterHealth(
            given.identity.voters, parts.following, parts.ordering.consensus, parts.rejoining
        )
        services = build_services(given, files, parts, role)
        self._built, self._served = parts, (parts, services)
        following = parts.following
        Halting(
            files.folder,
            following.halt,
            lambda: following.finality.certified,
            self._fail,
            self._tasks.spawn,
        )
        self._tasks.spawn(files.outbox.run(), *following.loops(), parts.ordering.signing.keep())
        self._tasks.spawn(*parts.observers.loops())
        await loops.resume(files, parts)
        await self._join(files, parts)
        self._tasks.spawn(
            self._watch_consensus(parts),
            parts.proposer.run(),
            following.indexer.run(),
            *services.loops(),
            parts.rejoining.run(),
            loops.beat(parts, services.disk),
            loops.settle(parts.intake, following.indexer),
        )
        token_files = TokenFiles(self._config.api.token_dir)
        api = build_api(given, files, services, token_files)
        await self._serve(api.start, api.stop)
        self._tasks.spawn(loops.watch_tokens(token_files, api))
        self._tell_started(following.tracker.height)

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

    # --- Failures ----------------------------------------------------------------------------

    async def _watch_consensus(self, parts: VoterParts) -> None:
        """Consensus failed: a halt keeps serving reads, anything else ends the node."""
        error = await parts.ordering.consensus.watch()
        if error is not None:
            self._fail(error)

    @override
    def _on_failure(self, error: BaseException) -> None:
        if isinstance(error, SigningHaltedError) and self._built is not None:
            self._built.following.halt.stop(error)
        else:
            self._fail(error)

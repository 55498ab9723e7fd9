"""What a voter does by itself, again and again, and what it takes up at its start.

Owns the pace of the loops that belong to no single part, and how each of them goes over all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from consensus.types import LogIndex
from node.api.security import TokenFiles
from node.following.index_follower import IndexFollower
from node.runtime.files import VoterFiles
from node.runtime.parts import VoterParts
from node.runtime.server import ApiServer
from node.submission.intake import Intake
from node.system.disk import DiskRoom
from node.voting.signed_log import observe_stored, recorded_statements

TICK_S = 0.05
STATUS_TICKS = 10
SETTLE_S = 1.0
TOKENS_S = 1.0
RETELL_WAITS_MAX = 30
"""Seconds for which peers are waited for that are away."""

_log = structlog.get_logger("node.runtime.loops")


async def resume(files: VoterFiles, parts: VoterParts) -> None:
    """Take up where the files end: finality, statements not sent, promises not kept."""
    following, ordering, cosigner = parts.following, parts.ordering, files.cosigner
    ledger, reader, _ = files.books
    await following.evidence.keeper.load()
    newest = await reader.newest_certificate()
    head = ledger.head
    following.tracker.height = head.height
    await following.participants.load(reader, head.height)
    following.certificates.resume(newest, cosigner.memory.certified)
    await ledger.check_signed(cosigner.check)
    final_height = following.finality.final_height
    unfinal = await reader.frontiers(final_height + 1, head.height)
    following.certificates.recount(unfinal, ordering.signing.resume())
    await parts.intake.resume(await reader.newest_transactions(parts.intake.pool.remembered_max))


async def compare_stored(files: VoterFiles, parts: VoterParts) -> None:
    """Let entries that are stored and not applied be compared with those that come."""
    first = LogIndex(files.books.ledger.head.raft_index + 1)
    last = parts.ordering.raft.status.last_index
    await observe_stored(
        files.log_store, first, last, parts.following.evidence.keeper.observe_entry
    )


async def retell(parts: VoterParts, record: Path) -> None:
    """Tell the peers, once they are there, what this node was shown before it was set right.

    There may have been no time for it then; and at every start, since nobody says that it was
    understood.
    """
    router = parts.router
    for _ in range(RETELL_WAITS_MAX):
        if all(router.connected(number) for number in router.peers):
            break
        await asyncio.sleep(1.0)
    said = await asyncio.to_thread(recorded_statements, record / "raft.db")
    parts.following.evidence.dissent.retell(said)


async def beat(parts: VoterParts, disk: DiskRoom) -> None:
    """Announce, and say where this node stands; runs until cancelled."""
    following, ticks = parts.following, 0
    while True:
        await asyncio.sleep(TICK_S)
        parts.submission.spreading.tick()
        ticks += 1
        if ticks % STATUS_TICKS == 0:
            following.peers.look(following.tracker.final_height)
            disk.look()
            parts.own_status.tell()
            states = following.peers.states.items()
            parts.ordering.signing.repeat({n: state.final_height for n, state in states})
            parts.intake.resend()


async def settle(intake: Intake, indexer: IndexFollower) -> None:
    """Let go of promises that are kept; runs until cancelled."""
    while True:
        await asyncio.sleep(SETTLE_S)
        await intake.settle(indexer)


async def watch_tokens(files: TokenFiles, api: ApiServer) -> None:
    """A token that is rotated takes effect within a second, without a signal; until cancelled."""
    while True:
        await asyncio.sleep(TOKENS_S)
        found = files.changed()
        if found is not None:
            tokens, faults = found
            for fault in faults:
                _log.error("token not usable, nobody is let in by it", reason=fault)
            api.change_tokens(tokens)

"""The files of a voter, opened in the order that makes each of them safe to use.

Owns that order: the marker first, since it says what this voter promised; then whether anything is
to be set aside; then the rest. They are closed in the opposite order.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from node.custody.wallet import Wallet
from node.following.parts import Books
from node.runtime.domains import index_parts, position_files
from node.runtime.given import Given
from node.storage import rebuilt
from node.storage.index import QueryIndex
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.marker import MARKER_FILE, Marker
from node.storage.outbox import Outbox
from node.storage.raft_log import SqliteStore, open_raft_log
from node.storage.snapshots import SnapshotStore
from node.voting import astray
from node.voting.cosigner import Cosigner
from node.voting.recall import recall
from node.voting.rejoin_word import Vouch


class VoterFiles(NamedTuple):
    """All of them, and what the marker says."""

    folder: Path
    cosigner: Cosigner
    vouch: Vouch
    books: Books
    outbox: Outbox
    wallet: Wallet
    log_store: SqliteStore
    snapshots: SnapshotStore


async def open_files(given: Given, closing: AsyncExitStack) -> VoterFiles:
    """Open everything in the data folder; `closing` closes what was opened, also after an error."""
    folder, identity, clock = given.config.node.data_dir, given.identity, given.clock
    marker = Marker.open(folder / MARKER_FILE)
    closing.push_async_callback(partial(asyncio.to_thread, marker.close))
    cosigner = Cosigner(identity.me, given.keys.cosign, marker, lambda: clock.time_ms() // 1_000)
    vouch = recall(folder, marker, cosigner)
    record = astray.set_aside(folder, position_files(), identity.voters, cosigner, clock.time_ms())
    ledger, reader = await open_ledger(folder, given, record, closing)
    outbox = await Outbox.open(folder / "outbox.db")
    closing.push_async_callback(outbox.close)
    wallet = await Wallet.open(folder / "wallet.db", given.keys.identity, given.keyring)
    closing.push_async_callback(wallet.close)
    parts = index_parts(identity.genesis)
    index = await QueryIndex.open(folder / "index.db", parts, identity.genesis.network_id)
    closing.push_async_callback(index.close)
    # Who may have forgotten signatures may have forgotten votes, unless the loss is bounded.
    forgot = cosigner.rejoining and cosigner.memory.above is None
    log_store = await open_raft_log(folder / "raft.db", marker, rejoin=forgot)
    closing.push_async_callback(log_store.close)
    snapshots = await SnapshotStore.open(folder / "heads.db", identity.voters)
    closing.push_async_callback(snapshots.close)
    books = Books(ledger, reader, index)
    return VoterFiles(folder, cosigner, vouch, books, outbox, wallet, log_store, snapshots)


async def open_ledger(
    folder: Path, given: Given, record: Path | None, closing: AsyncExitStack
) -> tuple[Ledger, LedgerReader]:
    """The ledger's two sides; with what is kept of one that was set aside into `record`."""
    genesis, path = given.identity.genesis, folder / "ledger.db"
    if not path.exists():
        rebuilt.begun(folder)
    ledger = await Ledger.open(path, genesis, given.identity.voters.hash, given.verified.get)
    closing.push_async_callback(ledger.close)
    if record is not None:
        await astray.take_along(record, ledger)
    reader = await LedgerReader.open(path)
    closing.push_async_callback(reader.close)
    return ledger, reader

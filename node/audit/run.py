"""The whole audit of one node's data folder. Owns the order of its parts and the verdict.

First what SQLite can tell of each file; then the Raft log, while no node can start; then the walk
over the ledger, which does everything again; then whatever follows from that. Each part tells its
first fault; the verdict names the one at the lowest height.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import msgspec

from consensus.ports import Recovered
from consensus.stores.marker import Promises
from consensus.stores.sqlite import SCHEMA as RAFT_SCHEMA
from node.audit import indexed, local_files, log, stored
from node.audit.faults import AuditError, Fault, fail
from node.audit.folder import (
    HEADS,
    INDEX,
    LEDGER,
    OUTBOX,
    RAFT,
    WALLET,
    Folder,
    open_folder,
)
from node.audit.signatures import SignatureChecker
from node.audit.walk import Walk, Walked
from node.chain.voters import VoterSet
from node.custody.wallet import SCHEMA as WALLET_SCHEMA
from node.ledger.genesis import Genesis
from node.ledger.rulebook import RULEBOOK
from node.storage.index_heads import index_schema
from node.storage.index_part import IndexPart
from node.storage.ledger_rows import SCHEMA as LEDGER_SCHEMA
from node.storage.ledger_rows import Head
from node.storage.marker import SignedCheckpoint
from node.storage.outbox import SCHEMA as OUTBOX_SCHEMA
from node.storage.snapshots import SCHEMA as HEADS_SCHEMA

_SCHEMAS = {
    LEDGER: LEDGER_SCHEMA,
    OUTBOX: OUTBOX_SCHEMA,
    HEADS: HEADS_SCHEMA,
    RAFT: RAFT_SCHEMA,
    WALLET: WALLET_SCHEMA,
}
_MARKER_READS = 5

Progress = Callable[[str, int, int], None]
"""Part, leaves done, leaves in all (0 when a part is not counted in leaves)."""


class NoLedgerError(Exception):
    """The folder holds no ledger."""


class Outcome(msgspec.Struct):
    """What an audit came to."""

    running: bool = False
    """A node used the folder: its Raft log was left out."""
    heights: int = 0
    final_height: int = 0
    leaves: int = 0
    transactions: int = 0
    operations: int = 0
    signatures: int = 0
    state_rows: int = 0
    checked_rows: dict[str, int] = msgspec.field(
        default_factory=lambda: {each.name: 0 for each in RULEBOOK.invariants}
    )
    """Of which more must hold than that rules made them, by what they are: `invoices`."""
    blobs: int = 0
    erased_blobs: int = 0
    evidence: int = 0
    index_height: int = 0
    raft_entries: int = 0
    promised: int = 0
    wallet_keys: int = 0
    skipped: list[str] = []
    """Files that were not read."""
    faults: list[Fault] = []

    @property
    def first(self) -> Fault | None:
        """The fault to begin with: at the lowest height; those of a whole file come first."""
        return min(self.faults, key=lambda fault: fault.height or 0, default=None)


class Audit:
    """One audit."""

    def __init__(
        self,
        genesis: Genesis,
        node: str,
        parts: Sequence[IndexPart],
        *,
        position_files: Sequence[str] = (),
        from_height: int = 0,
        workers: int = 0,
        progress: Progress = lambda _part, _done, _total: None,
    ) -> None:
        """Prepare.

        Args:
            genesis: The network's.
            node: This node's name in the voter list.
            parts: Of the query index.
            position_files: Of listeners of final blocks; others are strangers.
            from_height: Below it signatures are taken for verified; all else is still done.
            workers: Other processes, which verify signatures and make the index anew.
            progress: Told how far it is.
        """
        self._genesis = genesis
        self._parts = tuple(parts)
        self._position_files = tuple(position_files)
        self._schemas = {**_SCHEMAS, INDEX: index_schema(parts)}
        self._voters = VoterSet.from_genesis(genesis)
        self._me = self._voters.by_node.get(node)
        self._from_height = from_height
        self._progress = progress
        self._pool: ProcessPoolExecutor | None = None
        if workers:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(workers, mp_context=context)
        self._signatures = SignatureChecker(self._voters, self._pool, workers)
        self._index: Future[int] | None = None
        self.outcome = Outcome()
        self._promises = Promises()
        self._recovered: Recovered | None = None
        self._indexes: list[int] = []
        """Of the log's entries that make blocks."""

    def run(self, path: Path) -> Outcome:
        """Audit the data folder at `path`; what is wrong is in the outcome.

        Raises:
            NoLedgerError: there is nothing to audit.
            OSError: a file cannot be opened.
        """
        if not (path / LEDGER).is_file():
            raise NoLedgerError(f"{path} holds no ledger")
        if self._pool is not None:
            self._pool.submit(indexed.begin_process, self._parts)  # while the files are opened here
        try:
            with open_folder(path, self._position_files) as (folder, lock):
                self._run(folder, lock)
        except AuditError as error:
            self.outcome.faults.append(error.fault)
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
        return self.outcome

    def _run(self, folder: Folder, lock: int) -> None:
        self.outcome.running = folder.running
        try:
            signed, positions = self._marker(folder), folder.positions
            folder.open_databases()
            self._read_files(folder)
            self._log(folder)
        finally:
            if lock >= 0:
                os.close(lock)  # from here on a node may start
        self.outcome.skipped = folder.strangers()
        if self._pool is not None and INDEX in folder.databases:
            self._index = self._pool.submit(indexed.check_index_at, folder.path, self._parts)
        try:
            with self._walk(folder) as walked:
                if walked is not None:
                    self._compare(folder, walked, signed, positions)
        finally:
            if self._index is not None:
                wait([self._index])  # it reads the folder

    # --- While no node can start -----------------------------------------------------------------

    def _marker(self, folder: Folder) -> SignedCheckpoint | None:
        """The checkpoint signed last. Before the ledger is opened: it signs what is stored."""
        if not folder.marker and not (folder.path / RAFT).exists():
            return None  # a copy of a ledger alone
        for attempt in range(_MARKER_READS):
            try:
                self._promises, memory = local_files.check_marker(folder.marker, self._me)
            except AuditError:
                if not folder.running or attempt == _MARKER_READS - 1:
                    raise
            else:
                return memory.signed
        raise AssertionError("the last attempt raises")

    def _read_files(self, folder: Folder) -> None:
        for name in folder.databases:
            self._progress(f"reading {name}", 0, 0)
            folder.check_database(name, self._schemas[name])

    def _log(self, folder: Folder) -> None:
        raft, ledger = folder.databases.pop(RAFT, None), folder.databases[LEDGER]
        if raft is None:
            return
        self._progress("raft log", 0, 0)
        try:
            recovered, indexes = log.check_log(raft, self._promises, self._voters)
            self._recovered, self._indexes = recovered, indexes
            self.outcome.raft_entries = len(recovered.positions)
            row = ledger.execute("SELECT record FROM head").fetchone()
            head = msgspec.msgpack.decode(row[0], type=Head) if row else None
            if head is not None and not head.adopting:
                log.compare_log(raft, recovered, indexes, ledger, head)
        except AuditError as error:
            self.outcome.faults.append(error.fault)  # the walk may find one below it
        except msgspec.MsgspecError:
            pass  # the head is compared later, with its true value
        finally:
            raft.close()

    # --- The ledger ------------------------------------------------------------------------------

    @contextmanager
    def _walk(self, folder: Folder) -> Iterator[Walked | None]:
        ledger, outcome = folder.databases[LEDGER], self.outcome
        (total,) = ledger.execute("SELECT coalesce(max(first_index), 0) FROM blocks").fetchone()
        walk = Walk(
            ledger,
            self._genesis,
            self._voters,
            self._signatures,
            self._from_height,
            lambda done: self._progress("ledger", done, max(total, done)),
        )
        complete = False
        try:
            walk.run()
            complete = True
        except AuditError as error:
            outcome.faults.append(error.fault)
        found = walk.walked
        outcome.heights = found.head.height
        outcome.final_height = found.final_height
        outcome.leaves = found.head.tree_size
        outcome.transactions = found.transactions
        outcome.operations = found.operations
        outcome.blobs, outcome.erased_blobs = found.blobs, found.erased_blobs
        outcome.signatures = self._signatures.count
        try:
            yield found if complete else None
        finally:
            walk.close()

    def _compare(
        self,
        folder: Folder,
        walked: Walked,
        signed: SignedCheckpoint | None,
        positions: Mapping[str, bytes],
    ) -> None:
        """Compare everything that follows from the leaves."""
        ledger, outcome = folder.databases[LEDGER], self.outcome
        self._progress("state", 0, 0)
        head = stored.check_head(ledger, walked, self._voters.network_id)
        outcome.state_rows = stored.check_state(ledger, walked)
        outcome.checked_rows = stored.check_invariants(walked)
        stored.check_strays(ledger, walked)
        for file, data in positions.items():
            local_files.check_position(file, data, head)
        outcome.evidence = stored.check_evidence(ledger, self._voters)
        stored.check_resumptions(ledger, self._voters)
        local_files.check_signed(ledger, head, signed, replayed=self._brings_more(folder, head))
        if OUTBOX in folder.databases:
            outbox = folder.databases[OUTBOX]
            outcome.promised = local_files.check_outbox(outbox, self._voters.network_id)
        if WALLET in folder.databases:
            outcome.wallet_keys = local_files.check_wallet(folder.databases[WALLET])
        if self._index is not None:
            self._progress("index", 0, 0)
            outcome.index_height = self._index.result()
        elif INDEX in folder.databases:
            outcome.index_height = indexed.check_index(
                folder.databases[INDEX],
                ledger,
                self._parts,
                lambda done: self._progress("index", done, walked.head.tree_size),
            )

    def _brings_more(self, folder: Folder, head: Head) -> bool:
        """Check the named heads; whether a start of the node goes on above the ledger's head."""
        newest, recovered = 0, self._recovered
        if HEADS in folder.databases:
            newest = log.check_heads(
                folder.databases[HEADS], folder.databases[LEDGER], head, self._voters, recovered
            )
        if recovered is None:
            return folder.running
        if head.raft_index < recovered.base.index and newest < recovered.base.index:
            raise fail(
                f"the log begins after entry {recovered.base.index}, the ledger ends before it",
                RAFT,
            )
        return bool(head.adopting) or any(index > head.raft_index for index in self._indexes)

"""The tax bureau's own look at every invoice, after it is final (DOMAIN §2). Owns that look.

Listens to final blocks, opens the details of each invoice issued in them, blue and red, and records
what is wrong on the ledger, which refuses to record anything twice: so to be told a block again
costs time only. Opening and judging are done in a thread, a few invoices in one go. Knows no rule
of what is wrong (`discrepancy_checks`), and not when it is told (`node.services.final_blocks`).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

import structlog

from node.chain.leaf import TransactionLeaf, decode_leaf
from node.domains.invoices.service.discrepancy_checks import Examined, examine
from node.domains.invoices.service.unsealing import MissingBlobError, Unsealer
from node.following.outcomes import (
    FacadeError,
    Submission,
    TransactionState,
    TransactionStatus,
    WaitFor,
)
from node.ledger.codes import Code, Table
from node.ledger.invoices.operations import (
    ActForRetired,
    IssueInvoice,
    IssueRedLetter,
    RecordDiscrepancy,
)
from node.ledger.invoices.rows import DiscrepancyKind, InvoiceRow, decode_invoice, discrepancy_key
from node.ledger.operations import Operation
from node.ledger.participants import decode_participant
from node.ledger.transaction import decode_body, transaction_id
from node.ledger.types import Role
from node.sealing.opener import BlobOpener
from node.storage.block import StoredBlock
from node.storage.ledger_reader import LedgerReader

POSITION_FILE = "examined"
"""In the data folder; `domain.py` names it too, since it loads nothing of this."""
INVOICES_READ = 100
"""Rows and blobs read at once, or a few more: a transaction's invoices share a blob, so they are
read together. Each read is a hop to another thread, which costs as much as two invoices."""
INVOICES_JUDGED = 50
"""Opened and judged in one go in the thread: about 2 ms, for which the loop may have to wait."""
RECORDS_MAX = 500
"""Records in one transaction: 30 bytes each."""
SETTLE_S = 30.0

Issued = tuple[str, bytes]
"""The number of an invoice, and the transaction that says it issued it."""

_log = structlog.get_logger("node.domains.invoices.service.examiner")


class Signer(Protocol):
    """What signs and sends for the participant: the submitter."""

    async def submit_operations(self, operations: Sequence[Operation]) -> Submission:
        """Sign one transaction and store it in the outbox."""
        ...

    async def wait(self, txid: bytes, until: WaitFor, timeout_s: float) -> TransactionStatus | None:
        """The transaction's status once it is final, or at the timeout."""
        ...


class Examiner:
    """Examines for one participant, as long as it is a tax bureau. Implements `FinalListener`."""

    position_file = POSITION_FILE

    def __init__(
        self,
        participant: str,
        unsealer: Unsealer,
        reader: LedgerReader,
        signer: Signer,
    ) -> None:
        self._participant = participant
        self._unsealer = unsealer
        self._reader = reader
        self._signer = signer
        self.examined = 0
        """Invoices looked at since the start."""

    async def take(self, blocks: Sequence[StoredBlock]) -> bool:
        """Examine what was issued in these, and record what is wrong; False to try again later."""
        return await self._record(await self._examine(blocks))

    async def wants_blocks(self) -> bool:
        """Only a tax bureau examines."""
        key = self._participant.encode()
        rows = await self._reader.rows(Table.PARTICIPANT, [key])
        return key in rows and Role.TAX_BUREAU in decode_participant(rows[key]).roles

    async def _examine(self, blocks: Sequence[StoredBlock]) -> list[RecordDiscrepancy]:
        issued = chain.from_iterable(_issued_in(block) for block in blocks)
        found: list[RecordDiscrepancy] = []
        for some in _portions(issued):
            found += await self._examine_each(some)
        return found

    async def _examine_each(self, issued: Sequence[Issued]) -> list[RecordDiscrepancy]:
        """Examine together; should that fail, by halves, until one is left out that cannot be.

        Anyone who issues chooses what is looked at. A fault of ours in looking at it must not end
        the node of the bureau, at every start again.
        """
        try:
            return await self._examine_some(issued)
        except (MemoryError, OSError, sqlite3.Error):
            raise
        except Exception:  # noqa: BLE001 - see above
            if len(issued) == 1:
                _log.exception("an invoice could not be examined", invoice=issued[0][0])
                return []
        middle = len(issued) // 2
        return [
            *await self._examine_each(issued[:middle]),
            *await self._examine_each(issued[middle:]),
        ]

    async def _examine_some(self, issued: Sequence[Issued]) -> list[RecordDiscrepancy]:
        rows = await self._rows([number for number, _ in issued])
        sealed: list[InvoiceRow] = []
        for number, txid in issued:
            row = rows.get(number)
            # A repeated order issued nothing; no details, nothing to open.
            if row is not None and row.txid == txid and row.details is not None:
                sealed.append(row)
        work = list(zip(sealed, await self._unsealer.blobs_of(sealed), strict=True))
        judged: list[Examined | None] = []
        for first in range(0, len(work), INVOICES_JUDGED):
            some = work[first : first + INVOICES_JUDGED]
            judged += await asyncio.to_thread(self._judge, some)
        records = []
        for (row, blob), result in zip(work, judged, strict=True):
            if result is None:
                result = await self._judge_with_others(row, blob)  # noqa: PLW2901
            for kind in result.kinds:
                _log.warning(
                    "discrepancy", invoice=row.number, kind=kind.name.lower(), detail=result.detail
                )
                records.append(RecordDiscrepancy(row.number, kind))
        self.examined += len(sealed)
        return records

    def _judge(self, some: Sequence[tuple[InvoiceRow, BlobOpener | None]]) -> list[Examined | None]:
        """Runs in a thread. None for what more than its own row and blob is needed."""
        results: list[Examined | None] = []
        for row, blob in some:
            opened = None if blob is None or row.red else self._unsealer.open_blob(row, blob)
            results.append(None if opened is None else examine(row, opened.details))
        return results

    async def _judge_with_others(self, row: InvoiceRow, blob: BlobOpener | None) -> Examined:
        """A red invoice, which its original bounds, or one that the first wraps do not open."""
        if blob is None and row.blobs:
            _log.warning("sealed details are not stored here", invoice=row.number)
            return Examined(())
        opened = None if blob is None else await self._unsealer.open_decoded(row, blob)
        if opened is None:
            return Examined((DiscrepancyKind.UNREADABLE,), "does not open")
        blue, earlier = await self._original(row)
        return await asyncio.to_thread(examine, row, opened.details, blue, earlier)

    async def _rows(self, numbers: Sequence[str]) -> dict[str, InvoiceRow]:
        keys = [number.encode() for number in numbers]
        rows = await self._reader.rows(Table.INVOICE, keys)
        return {key.decode(): decode_invoice(value) for key, value in rows.items()}

    async def _original(self, row: InvoiceRow) -> tuple[bytes | None, list[bytes]]:
        """Of a red invoice: details of its blue one, and of the red ones issued before it."""
        if row.original is None:
            return None, []
        blue = (await self._rows([row.original]))[row.original]
        numbers = [form.number for form in blue.forms if form.number is not None]
        reds = await self._rows(numbers)
        place = [*sorted(reds.values(), key=_order_of_issue)]
        before = place[: next(i for i, red in enumerate(place) if red.number == row.number)]
        details = [await self._details(red) for red in before]
        return await self._details(blue), [found for found in details if found is not None]

    async def _details(self, row: InvoiceRow) -> bytes | None:
        """Opened details, perhaps shared with the bureau after they were sealed."""
        try:
            opened = await self._unsealer.open_row(row)
        except MissingBlobError:
            return None
        return None if opened is None else opened.details

    async def _record(self, found: Sequence[RecordDiscrepancy]) -> bool:
        """Record what is not on the ledger yet; False to try again later."""
        keys = {discrepancy_key(record.invoice, record.kind): record for record in found}
        known = await self._reader.rows(Table.DISCREPANCY, list(keys)) if keys else {}
        wanted = [record for key, record in keys.items() if key not in known]
        for first in range(0, len(wanted), RECORDS_MAX):
            some = wanted[first : first + RECORDS_MAX]
            outcome = await self._submit(some)
            if outcome is Code.ALREADY_RECORDED and len(some) > 1:
                # Another bureau was faster with one of them.
                outcomes = [await self._submit([record]) for record in some]
                if any(code not in {Code.OK, Code.ALREADY_RECORDED} for code in outcomes):
                    return False
            elif outcome not in {Code.OK, Code.ALREADY_RECORDED}:
                return False
        return True

    async def _submit(self, records: Sequence[RecordDiscrepancy]) -> Code | None:
        """The outcome once it is final; None when there is none in time."""
        try:
            submission = await self._signer.submit_operations(records)
        except FacadeError as error:
            _log.info("discrepancies wait", reason=str(error))
            return None
        if submission.txid is None or submission.state is TransactionState.REFUSED:
            return submission.code
        status = await self._signer.wait(submission.txid, "final", SETTLE_S)
        return status.code if status is not None and status.final else None


def _order_of_issue(row: InvoiceRow) -> tuple[int, str]:
    return (row.height, row.number)


def _issued_in(block: StoredBlock) -> Iterator[list[Issued]]:
    """What each transaction of a block issued, blue and red."""
    for data in block.leaves[:-1]:
        leaf = decode_leaf(data)
        if not isinstance(leaf, TransactionLeaf) or leaf.code != Code.OK:
            continue
        txid = transaction_id(leaf.body)
        found: list[Issued] = []
        for operation in decode_body(leaf.body).operations:
            inner = operation.operation if isinstance(operation, ActForRetired) else operation
            if isinstance(inner, IssueInvoice | IssueRedLetter):
                found.append((inner.number, txid))
        yield found


def _portions(issued: Iterable[list[Issued]]) -> Iterator[list[Issued]]:
    """Whole transactions, until they are `INVOICES_READ` or more."""
    portion: list[Issued] = []
    for some in issued:
        portion += some
        if len(portion) >= INVOICES_READ:
            yield portion
            portion = []
    if portion:
        yield portion

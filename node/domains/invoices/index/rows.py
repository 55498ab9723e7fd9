"""From ledger blocks to rows of the invoices' part of the index. Pure: knows no SQL.

A *step* is one applied operation on one invoice: the trace of an invoice is its issue, which its
state row tells, and then its steps in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, cast

import msgspec

from node.ledger.codes import Table
from node.ledger.faults import MACHINE_ERRORS
from node.ledger.invoices import operations as ops
from node.ledger.invoices.operations import ActForRetired
from node.ledger.invoices.rows import FormState, InvoiceRow
from node.ledger.operations import ByKey, DirectOperation
from node.ledger.rulebook import RULEBOOK, tag_of
from node.ledger.transaction import TransactionBody
from node.storage.index_part import SEQUENCE_SHIFT, OpenedBlock, OpenedTransaction

Step = tuple[str, int, int, int, bytes, int, str, int | None, str | None, int | None]
"""number, leaf index, operation, height, txid, tag, signer, amount, other, reference."""


class InvoiceBatch(msgspec.Struct, frozen=True):
    """Rows of consecutive blocks, ready to write."""

    blocks: list[tuple[int, int, int]]
    """height, first index, time."""
    steps: list[Step]
    joined: list[tuple[str, str]]
    """number, party: its new holder, or whom it was submitted to. From operations, not from state
    rows, which may be of a later height: so any pace of following gives the same rows."""
    born: dict[tuple[str, bytes], int]
    """Number and txid: the invoice's sequence, if its state row names this transaction.

    A repeated order answers with the first number: its own number is never issued, or by another.
    """
    cancelled: list[str]
    """Numbers of invoices that these blocks cancel."""
    touched: dict[str, None]
    """Numbers whose state rows the index needs, in order."""
    rows: dict[bytes, InvoiceRow]
    """Those of the rows that came with the blocks, as the last block left them."""
    faults: list[tuple[bytes, Exception]]
    """Transactions whose steps could not be made: they stand in the index without."""

    @property
    def missing(self) -> list[bytes]:
        """Keys of the state rows to be fetched, if there are any."""
        keys = [number.encode() for number in self.touched]
        return [key for key in keys if key not in self.rows]


class WaitingKind(IntEnum):
    """Why something waits for a party. Stored: never renumbered."""

    OFFER = 1
    """Offered to it: sign or refuse."""
    SUBMISSION = 2
    """Submitted to it: claim."""
    RED_CONFIRMATION = 3
    """A red-letter form that it must confirm or deny."""
    RED_ISSUE = 4
    """A confirmed form whose red invoice it must issue."""
    LOCK = 5
    """What it claimed and still locks: pay, or release."""


_operation_decoder = msgspec.msgpack.Decoder(DirectOperation)


def invoice_batch(blocks: Sequence[OpenedBlock]) -> InvoiceBatch:
    """The rows of consecutive blocks, lowest first; at least one."""
    batch = InvoiceBatch([], [], [], {}, [], {}, {}, [])
    for block in blocks:
        batch.blocks.append((block.height, block.first_index, block.time_ms))
        written = block.rows.get(Table.INVOICE, {})
        batch.rows.update(cast("Mapping[bytes, InvoiceRow]", written))
        for leaf in block.transactions:
            if leaf.body is not None:
                _add_steps_if_possible(batch, block.height, leaf, leaf.body)
    return batch


def _add_steps_if_possible(
    batch: InvoiceBatch, height: int, leaf: OpenedTransaction, body: TransactionBody
) -> None:
    """A fault of this program over one transaction must not end the index for all others.

    It would at every start again, and the node with it.
    """
    lists: tuple[list[Any], ...] = (batch.steps, batch.joined, batch.cancelled)
    sizes = [len(rows) for rows in lists]
    try:
        _add_steps(batch, height, leaf, body)
    except MACHINE_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        for rows, size in zip(lists, sizes, strict=True):
            del rows[size:]
        for key in [key for key in batch.born if key[1] == leaf.txid]:
            del batch.born[key]
        batch.faults.append((leaf.txid, error))


def waiting_of(row: InvoiceRow) -> Sequence[tuple[str, int, int]]:
    """What waits for whom: party, `WaitingKind`, reference."""
    waits = row.submissions or row.forms or row.offer or row.locked
    return tuple(_waiting(row)) if waits else ()


def _waiting(row: InvoiceRow) -> Iterator[tuple[str, int, int]]:
    if row.closed:
        return
    if row.offer is not None:
        yield (row.offer.to, WaitingKind.OFFER, 0)
    for submission in row.submissions:
        if submission.left > 0:
            yield (submission.to, WaitingKind.SUBMISSION, 0)
    for claim in row.claims:
        if claim.locked:
            yield (claim.owner, WaitingKind.LOCK, claim.id)
    for form in row.forms:
        if form.state is FormState.REQUESTED:
            counterparty = row.buyer if form.by_issuer else row.issuer
            yield (counterparty, WaitingKind.RED_CONFIRMATION, form.id)
        elif form.state is FormState.CONFIRMED:
            yield (row.issuer, WaitingKind.RED_ISSUE, form.id)


def _add_steps(
    batch: InvoiceBatch, height: int, leaf: OpenedTransaction, body: TransactionBody
) -> None:
    index, txid, author = leaf.index, leaf.txid, str(body.author)
    born, touched = batch.born, batch.touched
    for position, operation in enumerate(body.operations):
        if isinstance(operation, ops.IssueInvoice):
            number = operation.number
            born.setdefault((number, txid), index << SEQUENCE_SHIFT | position)
            touched[number] = None
            continue
        signer, inner = author, operation
        if isinstance(inner, ByKey):
            signer = inner.key.hex()
            inner = _operation_decoder.decode(inner.operation)
        elif isinstance(inner, ActForRetired):
            inner = inner.operation
        facts = RULEBOOK.facts.get(type(inner))
        if facts is None:
            continue  # registers have no steps
        number = inner.invoice  # type: ignore[union-attr]
        place = (index, position, height, txid, tag_of(type(inner)), signer)
        amount, other, reference = facts(inner)
        touched[number] = None
        batch.steps.append((number, *place, amount, other, reference))
        if isinstance(inner, ops.CancelInvoice):
            batch.cancelled.append(number)
        if isinstance(inner, ops.SignOffer):
            batch.joined.append((number, signer))
        elif isinstance(inner, ops.SubmitInvoice):
            batch.joined.append((number, inner.to))
        if isinstance(inner, ops.IssueRedLetter):
            # The red invoice has a trace of its own, which leads back to the blue one.
            born.setdefault((inner.number, txid), index << SEQUENCE_SHIFT | position)
            touched[inner.number] = None
            batch.steps.append((inner.number, *place, amount, number, reference))

"""Requests of planned invoices: bodies with their buyer, and batches that fit. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from node.domains.invoices.importing.plan import PlannedInvoice, encode_json

_T = TypeVar("_T")
BATCH_INVOICES_MAX = 100
"""An issuing operation takes about 300 bytes of a transaction's 60,000."""
BATCH_BYTES_MAX = 500_000
"""Of JSON: the sealed details of a batch travel in one transaction's blobs of at most 1 MiB."""


def invoice_request(invoice: PlannedInvoice, buyer: str) -> bytes:
    """The body that issues an invoice, made out to its own buyer or else to `buyer`."""
    return b'{"buyer":%b,%b' % (encode_json(invoice.buyer or buyer), invoice.body[1:])


def batch_request(batch: Sequence[PlannedInvoice], buyer: str) -> bytes:
    """The body that issues a batch."""
    return b'{"invoices":[%b]}' % b",".join(invoice_request(each, buyer) for each in batch)


def batches(items: Iterable[_T], body_of: Callable[[_T], bytes]) -> Iterator[list[_T]]:
    """Documents in batches whose bodies fit one transaction, in order."""
    batch: list[_T] = []
    size = 0
    for item in items:
        length = len(body_of(item))
        if batch and (len(batch) == BATCH_INVOICES_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch

"""Request bodies of planned documents, and their batches. Pure; owns what goes into the details."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from node.importing.plan import CURRENCY, PlannedInvoice, PlannedLine, PlannedRed

BATCH_INVOICES_MAX = 50
BATCH_BYTES_MAX = 400_000
"""Of JSON: the sealed details of a batch travel in one transaction's blobs of at most 1 MiB."""

Body = dict[str, object]


def invoice_body(invoice: PlannedInvoice, buyer: str, rate: int) -> Body:
    """The body that issues an invoice."""
    head: Body = {
        "external_number": invoice.order_id,
        "external_date": invoice.date.replace(" ", "T"),
    }
    buyer_details = {"name": invoice.customer, "country": invoice.country}
    if known := {name: text for name, text in buyer_details.items() if text}:
        head["buyer"] = known
    return {
        "order_id": invoice.order_id,
        "buyer": buyer,
        "currency": CURRENCY,
        "groups": [
            {"rate": rate, "net": invoice.net, "tax": invoice.tax, "lines": len(invoice.lines)}
        ],
        "lines": _lines(invoice.lines, rate),
        "details": head,
    }


def red_body(letter: PlannedRed, rate: int) -> Body:
    """The body that issues a red letter."""
    return {
        "order_id": letter.order_id,
        "groups": [
            {"rate": rate, "net": letter.net, "tax": letter.tax, "lines": len(letter.lines)}
        ],
        "lines": _lines(letter.lines, rate),
        "details": {"external_number": letter.order_id},
    }


def batches(
    invoices: Iterable[PlannedInvoice], buyer: str, rate: int
) -> Iterator[list[tuple[PlannedInvoice, Body]]]:
    """Invoices with their bodies, in batches that fit one transaction."""
    batch: list[tuple[PlannedInvoice, Body]] = []
    size = 0
    for invoice in invoices:
        body = invoice_body(invoice, buyer, rate)
        length = len(json.dumps(body, ensure_ascii=False).encode())
        if batch and (len(batch) == BATCH_INVOICES_MAX or size + length > BATCH_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append((invoice, body))
        size += length
    if batch:
        yield batch


def _lines(lines: Sequence[PlannedLine], rate: int) -> list[Body]:
    return [
        {
            "code": line.stock,
            "description": line.description or line.stock,
            "quantity": str(line.quantity),
            "unit_price": format(line.price, "f"),
            "net": line.net,
            "rate": rate,
        }
        for line in lines
    ]

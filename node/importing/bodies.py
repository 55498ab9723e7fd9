"""Request bodies of planned documents, and their batches. Pure; owns what goes into the details."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from node.importing.plan import CURRENCY, PlannedInvoice, PlannedLine, PlannedRed

BATCH_INVOICES_MAX = 50
BATCH_BYTES_MAX = 400_000
"""Of JSON: the sealed details of a batch travel in one transaction's blobs of at most 1 MiB."""
_DETAILS_BYTES_MAX = 32_000
"""The node seals at most 32 KiB for one invoice."""

Body = dict[str, object]


def invoice_body(invoice: PlannedInvoice, buyer: str, rate: int) -> Body:
    """The body that issues an invoice."""
    head: Body = {
        "external_number": invoice.order_id,
        "external_date": invoice.date.replace(" ", "T"),
        "customer": invoice.customer,
        "country": invoice.country,
    }
    return {
        "order_id": invoice.order_id,
        "buyer": buyer,
        "currency": CURRENCY,
        "groups": [
            {"rate": rate, "net": invoice.net, "tax": invoice.tax, "lines": len(invoice.lines)}
        ],
        "details": head | _lines(invoice.lines, rate),
    }


def red_body(letter: PlannedRed, rate: int) -> Body:
    """The body that issues a red letter."""
    return {
        "order_id": letter.order_id,
        "groups": [
            {"rate": rate, "net": letter.net, "tax": letter.tax, "lines": len(letter.lines)}
        ],
        "details": {"external_number": letter.order_id} | _lines(letter.lines, rate),
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


def _lines(lines: Sequence[PlannedLine], rate: int) -> Body:
    full = [
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
    if len(json.dumps(full, ensure_ascii=False).encode()) <= _DETAILS_BYTES_MAX - 1_000:
        return {"lines": full}
    # A wholesale order of hundreds of lines: what the lines say, without their descriptions.
    return {
        "line_columns": ["code", "quantity", "unit_price", "net"],
        "line_rows": [
            [line.stock, str(line.quantity), format(line.price, "f"), line.net] for line in lines
        ],
    }

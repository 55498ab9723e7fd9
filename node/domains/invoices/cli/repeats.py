"""Repeats in an import: orders that the ledger holds, compared with what the file says of them.

The same content is a repeat and is skipped; other content is a conflict, which the import names
with its row. Owns the requests that ask and the words for what differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter

import msgspec

from node.cli.client import ProblemError
from node.domains.invoices.cli.issuer_node import CONTENT_STATUSES, IssuerNode
from node.domains.invoices.cli.pacing import MOST, in_order
from node.domains.invoices.importing.bodies import batches
from node.domains.invoices.importing.plan import (
    LateRed,
    Letter,
    PlannedInvoice,
    PlannedRed,
    RedLine,
    Refusal,
    encode_json,
)

CONFLICT = "ORDER_CONFLICT"
_ONE_OF = {"lines": "line", "taken": "red line", "allowances": "allowance"}
Sent = PlannedInvoice | PlannedRed | LateRed


def conflicts(
    node: IssuerNode,
    pool: ThreadPoolExecutor,
    repeated: Sequence[Sent],
    buyer: str | None,
    numbers: Mapping[str, str],
) -> dict[str, Refusal]:
    """Those repeats that are other than the ledger's, by order id.

    Args:
        node: The issuer's.
        pool: For several requests at once.
        repeated: Documents whose orders the ledger holds.
        buyer: Whom invoices that name nobody are made out to; None: that is not compared.
        numbers: Order id → number of what the ledger holds.
    """
    found: dict[str, Refusal] = {}

    def compare(batch: list[tuple[Sent, bytes]]) -> list[Refusal]:
        return _compare(node, batch)

    with_bodies: list[tuple[Sent, bytes]] = []
    for each in repeated:
        if isinstance(each, PlannedInvoice):
            with_bodies.append((each, _invoice_body(each, buyer)))
            continue
        original = each.original if each.by_number else numbers.get(each.original)
        if original is None:
            reason = f"the red letter is on the ledger, but {each.original} is not"
            found[each.order_id] = _conflict(each, numbers[each.order_id], reason)
        else:
            with_bodies.append((each, _letter_body(each, original)))
    for refusals in in_order(pool, compare, batches(with_bodies, itemgetter(1)), 2 * MOST):
        found |= {str(refusal.order_id): refusal for refusal in refusals}
    return found


def said(path: str) -> str:
    """A JSON pointer as a person says it; what is counted counts from 1."""
    words: list[str] = []
    for part in path.removeprefix("/details/").strip("/").split("/"):
        if part.isdecimal() and words:
            words[-1] = f"{_ONE_OF.get(words[-1], words[-1])} {int(part) + 1}"
        else:
            words.append(part.replace("_", " "))
    return " ".join(words)


def _compare(node: IssuerNode, batch: list[tuple[Sent, bytes]]) -> list[Refusal]:
    invoices = [body for each, body in batch if isinstance(each, PlannedInvoice)]
    red = [body for each, body in batch if not isinstance(each, PlannedInvoice)]
    request = b'{"invoices":[%b],"red":[%b]}' % (b",".join(invoices), b",".join(red))
    try:
        orders = node.compare_orders(request)
    except ProblemError as error:
        if error.status not in CONTENT_STATUSES:
            raise
        # The file's bodies were checked by the same rules; what still fails is one by one.
        if len(batch) == 1:
            message = f"{batch[0][0].order_id}: {error.problem.get('detail') or error.code}"
            return [Refusal(batch[0][0].row, error.code, message, order_id=batch[0][0].order_id)]
        middle = len(batch) // 2
        return _compare(node, batch[:middle]) + _compare(node, batch[middle:])
    documents = {each.order_id: each for each, _ in batch}
    return [
        _conflict(documents[order["order_id"]], order["number"], _what(order["differs"]))
        for order in orders
        if order["differs"]
    ]


def _what(paths: Sequence[str]) -> str:
    return "issued before with other content: " + ", ".join(dict.fromkeys(map(said, paths)))


def _conflict(document: Sent, number: str, reason: str) -> Refusal:
    message = f"{document.order_id}: {reason} (invoice {number})"
    return Refusal(document.row, CONFLICT, message, order_id=document.order_id)


def _invoice_body(invoice: PlannedInvoice, buyer: str | None) -> bytes:
    named = invoice.buyer or buyer
    if named is None:
        return invoice.body
    return b'{"buyer":%b,%b' % (encode_json(named), invoice.body[1:])


def _letter_body(letter: Letter, original: str) -> bytes:
    if isinstance(letter, PlannedRed):
        return b'{"invoice":%b,%b' % (encode_json(original), letter.body[1:])
    details = msgspec.json.decode(letter.head)
    body = {
        "invoice": original,
        "order_id": letter.order_id,
        "taken": [_taken(line) for line in letter.lines],
    }
    return encode_json(body | ({"details": details} if details else {}))


def _taken(line: RedLine) -> dict[str, object]:
    values = {"line": line.line, "quantity": line.quantity, "net": line.net}
    return {name: value for name, value in values.items() if value is not None}

"""From the body of a request to the draft that a node signs. Pure: no clock, no HTTP.

Owns that way and the order's hash; the arithmetic is `node.domains.invoices.details.totals`.
"""

from __future__ import annotations

import hashlib

import msgspec

from node.domains.invoices.details.bodies import InvoiceBody, RedIssueBody
from node.domains.invoices.details.drafts import InvoiceDraft, RedDraft
from node.domains.invoices.details.totals import (
    DraftError,
    Totals,
    canonical_details,
    check_line_amount,
    red_totals,
    sums_by_rate,
    totals_of_groups,
    totals_of_lines,
)
from node.ledger.currency import minor_units
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.tax import signed_tax

_ORDER_TAG = b"piaolian/order/v1\n"


class Original(msgspec.Struct, frozen=True):
    """What a red invoice takes from the invoice and form it belongs to."""

    number: str
    currency: str
    groups: tuple[RateGroup, ...]
    gross: int
    form: int
    amount: int
    """Gross amount of the form."""


def invoice_draft(body: InvoiceBody, issuer: str, today: str) -> InvoiceDraft:
    """The draft of an invoice by `issuer`; `today` (YYYY-MM-DD) dates it unless the body does.

    Raises:
        DraftError: naming the field.
    """
    totals = totals_of_body(body, body.currency)
    if totals is None:
        raise DraftError("/groups", "give lines or groups")
    return InvoiceDraft(
        order_id=body.order_id,
        order=order_hash(issuer, body.order_id),
        buyer=body.buyer,
        special=body.kind == "special",
        currency=body.currency,
        issue_date=body.issue_date or today,
        groups=totals.groups,
        net=totals.net,
        tax=totals.tax,
        gross=totals.gross,
        replaces=body.replaces,
        details=canonical_details(body.details, body.lines or (), body.allowances or ()),
    )


def red_draft(body: RedIssueBody, issuer: str, original: Original) -> RedDraft:
    """The draft of the red invoice of a form.

    Raises:
        DraftError: naming the field; also when the totals are not the form's amount.
    """
    totals = totals_of_body(body, original.currency)
    if totals is None:
        totals = red_totals(original.groups, original.gross, original.amount)
    if totals.gross != original.amount:
        raise DraftError("/groups", f"the form is over {original.amount} gross")
    return RedDraft(
        invoice=original.number,
        form=original.form,
        order_id=body.order_id,
        order=order_hash(issuer, body.order_id),
        groups=totals.groups,
        net=totals.net,
        tax=totals.tax,
        gross=totals.gross,
        details=canonical_details(body.details, body.lines or (), body.allowances or ()),
    )


def totals_of_body(body: InvoiceBody | RedIssueBody, currency: str) -> Totals | None:
    """The totals that a body names; None when it names no amounts."""
    lines, allowances = body.lines, body.allowances or ()
    given = None
    if body.groups is not None:
        given = totals_of_groups(
            [
                RateGroup(
                    group.rate,
                    group.net,
                    signed_tax(group.net, group.rate) if group.tax is None else group.tax,
                    group.lines,
                )
                for group in body.groups
            ]
        )
    if lines is None:
        if allowances:
            raise DraftError("/allowances", "belong beside lines")
        return given
    units = minor_units(currency)
    for position, line in enumerate(lines):
        check_line_amount(line, units, f"/lines/{position}")
    if given is None:
        return totals_of_lines(lines, allowances)
    nets = {rate: item.net for rate, item in sums_by_rate(lines, allowances).items()}
    if {group.rate: group.net for group in given.groups} != nets:
        raise DraftError("/groups", f"the lines' net amounts by rate are {nets}")
    return given


def order_hash(issuer: str, order_id: str) -> bytes:
    """The 32 bytes by which the ledger knows an issuer's order."""
    return hashlib.sha256(_ORDER_TAG + issuer.encode() + b"\n" + order_id.encode()).digest()

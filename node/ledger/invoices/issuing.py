"""Issuing and cancelling of blue invoices (DOMAIN §3 rows 1 and 9). Pure rules.

Also what every issuing shares with red letters: the order register and the check of totals.
"""

from __future__ import annotations

import hashlib

import msgspec

from node.ledger.codes import Code
from node.ledger.invoices.bureau.registers import (
    charge_quota,
    home_amount,
    is_date,
    rates_allowed,
    restore_quota,
    take_number,
)
from node.ledger.invoices.holds.rows import HOLDS, hold_key
from node.ledger.invoices.on_invoice import edit_invoice
from node.ledger.invoices.operations import CancelInvoice, IssueInvoice, RateGroup
from node.ledger.invoices.rows import (
    INVOICES,
    ORDERS,
    Document,
    GroupRow,
    InvoiceRow,
    OrderRow,
    Response,
    order_key,
)
from node.ledger.invoices.tax import tax_half_up
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.step import Note, Step
from node.ledger.types import Role

_ACCEPTED = frozenset({Response.ACCEPTED, Response.PARTLY_ACCEPTED, Response.DEEMED_ACCEPTED})

_encode = msgspec.msgpack.Encoder().encode


def issue(step: Step, op: IssueInvoice) -> Code:
    """Row 1. The order comes first: repeating an issued order is a success that changes nothing.

    The net is charged to the quota of the block's month, converted with the rate in force at the
    block's date. `issue_date` is the issuer's statement; it must only be a day of the calendar.
    """
    if not step.has_role(Role.ISSUER):
        return Code.NOT_PERMITTED
    body = _order_body(op)
    key = order_key(step.actor, op.order)
    held = step.state[ORDERS].get(key)
    if held is not None:
        return repeat_order(step, held, body)
    assert step.participant is not None
    if step.participant.issuing_suspended:
        return Code.ISSUING_SUSPENDED
    hold = step.state[HOLDS].get(hold_key(step.actor))
    if hold is not None and hold.live(step.now):
        return Code.ISSUING_HELD
    refusal = _refuse_public_part(step, op)
    if refusal:
        return refusal
    refusal = take_number(step, op.number)
    if refusal:
        return refusal
    quota = home_amount(step, op.currency, op.net)
    if quota is None:
        return Code.NO_EXCHANGE_RATE
    refusal = charge_quota(step, quota)
    if refusal:
        return refusal
    _link_replaced(step, op)
    _add_blue(step, op, quota)
    step.state[ORDERS].put(key, OrderRow(op.number, body))
    return Code.OK


def cancel(step: Step, invoice: InvoiceRow, op: CancelInvoice) -> Code:  # noqa: ARG001 (table)
    """Row 9. Everything but a fresh, untouched invoice needs a red letter. Restores the quota."""
    if step.actor != invoice.issuer:
        return Code.WRONG_PARTY
    untouched = (
        invoice.document is Document.ISSUED
        and invoice.holder == invoice.buyer
        and invoice.open_offer(step.now) is None
        and not (invoice.claims_made or invoice.bookings or invoice.forms)
        and not (invoice.paid or invoice.payment_refund_due or invoice.used)
        and invoice.response not in _ACCEPTED
    )
    fresh = (
        step.now - invoice.issued_at <= step.terms.of(InvoicesTerms).cancel_ms
        and step.context.month_at(invoice.issued_at) == step.month
    )
    if not (untouched and fresh):
        return Code.USE_RED_LETTER
    invoice.document = Document.CANCELLED
    invoice.cancelled_at = step.now
    invoice.offer = None
    invoice.submissions = ()
    restore_quota(step, invoice.quota)
    return Code.OK


# --- Shared with red letters ------------------------------------------------------------------


def refuse_amounts(groups: tuple[RateGroup, ...], net: int, tax: int, gross: int) -> Code:
    """What the ledger's state does not matter to: NOTHING_TO_INVOICE, TOTALS_MISMATCH."""
    if net <= 0 or gross <= 0:
        return Code.NOTHING_TO_INVOICE
    return refuse_totals(groups, net, tax, gross)


def refuse_totals(groups: tuple[RateGroup, ...], net: int, tax: int, gross: int) -> Code:
    """TOTALS_MISMATCH unless the totals hold (DOMAIN §2).

    Rates ascend and differ, so that each set of groups has one encoding. Each tax is within one
    minor unit per line of round half up(net × rate), and of the sign of its net; the sums are
    exact; net + tax = gross.
    """
    net_sum = tax_sum = 0
    rate_before = -1
    for group in groups:
        sign = 1 if group.net >= 0 else -1
        size, tax_size = sign * group.net, sign * group.tax
        off = abs(tax_size - tax_half_up(size, group.rate))
        if group.rate <= rate_before or tax_size < 0 or off > group.lines:
            return Code.TOTALS_MISMATCH
        rate_before = group.rate
        net_sum += group.net
        tax_sum += group.tax
    if net_sum != net or tax_sum != tax or net + tax != gross:
        return Code.TOTALS_MISMATCH
    return Code.OK


def order_body(fields: tuple[object, ...]) -> bytes:
    """Hash of an issuing operation without its number: what makes two orders the same.

    Hashes of sealed blobs are left out: sealing the same details again makes another blob. The
    commitment, which stays, says whether they are the same.
    """
    return hashlib.sha256(_encode(fields)).digest()


def repeat_order(step: Step, held: OrderRow, body: bytes) -> Code:
    """The first result again, or ORDER_CONFLICT when the order was for something else."""
    if held.body != body:
        return Code.ORDER_CONFLICT
    step.notes.append(Note(step.position, number=held.number))
    step.repeated = True
    return Code.OK


# --- Parts of issuing -------------------------------------------------------------------------


def _order_body(op: IssueInvoice) -> bytes:
    return order_body(
        (
            op.special,
            op.buyer,
            op.currency,
            op.issue_date,
            op.groups,
            op.net,
            op.tax,
            op.gross,
            op.replaces,
            op.details,
        )
    )


def _refuse_public_part(step: Step, op: IssueInvoice) -> Code:
    if not step.party_exists(op.buyer):
        return Code.UNKNOWN_PARTY
    if not is_date(op.issue_date):
        return Code.DATE_INVALID
    refusal = refuse_amounts(op.groups, op.net, op.tax, op.gross)
    if refusal:
        return refusal
    if not rates_allowed(step, op.groups):
        return Code.RATE_NOT_ALLOWED
    return Code.OK if op.replaces is None else _refuse_replaced(step, op.replaces)


def _refuse_replaced(step: Step, number: str) -> Code:
    replaced = step.state[INVOICES].get(number.encode())
    if replaced is None:
        return Code.UNKNOWN_INVOICE
    if replaced.issuer != step.actor:
        return Code.WRONG_PARTY
    return Code.RED_TAKES_NO_OPERATION if replaced.red else Code.OK


def _link_replaced(step: Step, op: IssueInvoice) -> None:
    if op.replaces is not None:
        replaced = edit_invoice(step, op.replaces)
        assert replaced is not None, "checked before"
        replaced.replaced_by = op.number


def _add_blue(step: Step, op: IssueInvoice, quota: int) -> None:
    row = InvoiceRow(
        op.number,
        step.actor,
        op.buyer,
        op.special,
        op.currency,
        op.issue_date,
        tuple([GroupRow(g.rate, g.net, g.tax, g.lines) for g in op.groups]),
        op.net,
        op.tax,
        op.gross,
        op.order,
        op.replaces,
        None,
        op.details,
        op.blobs,
        step.txid,
        step.height,
        step.now,
        quota,
        op.buyer,
    )
    step.state[INVOICES].put(op.number.encode(), row)

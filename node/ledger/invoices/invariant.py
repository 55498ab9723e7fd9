"""What must hold of every invoice row in every state (DOMAIN §3). For tests and audits."""

from __future__ import annotations

from node.ledger.invoices.rows import Document, FormState, InvoiceRow, Response


def check_invariant(invoice: InvoiceRow) -> list[str]:
    """What is wrong with a row; empty when nothing is.

    available = gross − credited − red_reserved − locked − reimbursed ≥ 0 with every term ≥ 0,
    cancelled means available = 0, a red invoice is untouched, and every total is the sum of its
    parts.
    """
    open_forms = [form for form in invoice.forms if form.state is not FormState.ISSUED]
    issued = [form for form in invoice.forms if form.state is FormState.ISSUED]
    facts = [
        ("gross > 0", invoice.gross > 0),
        ("net + tax = gross", invoice.net + invoice.tax == invoice.gross),
        ("groups' net", sum(g.net for g in invoice.groups) == invoice.net),
        ("groups' tax", sum(g.tax for g in invoice.groups) == invoice.tax),
        ("groups credited ≤ total", _groups_within(invoice)),
        ("groups' credit", _groups_credited(invoice) == invoice.credited),
        ("available ≥ 0", invoice.available >= 0),
        ("credited ≥ 0", invoice.credited >= 0),
        ("red_reserved ≥ 0", invoice.red_reserved >= 0),
        ("locked ≥ 0", invoice.locked >= 0),
        ("reimbursed ≥ 0", invoice.reimbursed >= 0),
        ("refund_due ≥ 0", invoice.refund_due >= 0),
        ("claims' locks", sum(c.locked for c in invoice.claims) == invoice.locked),
        ("claims' payments", sum(c.reimbursed for c in invoice.claims) == invoice.reimbursed),
        ("claims' refunds", sum(c.refund_due for c in invoice.claims) == invoice.refund_due),
        ("every claim's terms ≥ 0", _claims_within(invoice)),
        ("forms' reserves", sum(f.reserved for f in open_forms) == invoice.red_reserved),
        ("issued forms' credit", sum(f.amount for f in issued) == invoice.credited),
        (
            "open forms ≤ uncredited",
            sum(f.amount for f in open_forms) <= invoice.gross - invoice.credited,
        ),
        ("partly accepted names a part", _accepted_fits(invoice)),
        ("rejected or disputed has no claim", _claim_free(invoice)),
        ("submissions' rest", all(0 <= s.left <= s.amount for s in invoice.submissions)),
        ("paid ≥ 0", invoice.paid >= 0),
        ("payment_refund_due ≥ 0", invoice.payment_refund_due >= 0),
        ("paid ≤ what is to be paid", invoice.payable >= 0),
        ("used is special and accepted", _use_fits(invoice)),
        ("document facet", _document_fits(invoice)),
        ("red is untouched", not invoice.red or _untouched(invoice)),
    ]
    return [f"{invoice.number}: {name}" for name, holds in facts if not holds]


def _groups_within(invoice: InvoiceRow) -> bool:
    parts = [(g.credited_net, g.net) for g in invoice.groups]
    parts += [(g.credited_tax, g.tax) for g in invoice.groups]
    return (
        all(min(0, whole) <= part <= max(0, whole) for part, whole in parts)
        and sum(g.credited_net for g in invoice.groups) <= invoice.net
        and sum(g.credited_tax for g in invoice.groups) <= invoice.tax
    )


def _groups_credited(invoice: InvoiceRow) -> int:
    return sum(g.credited_net + g.credited_tax for g in invoice.groups)


def _claims_within(invoice: InvoiceRow) -> bool:
    return all(c.locked >= 0 and c.reimbursed >= 0 and c.refund_due >= 0 for c in invoice.claims)


def _accepted_fits(invoice: InvoiceRow) -> bool:
    if invoice.response is not Response.PARTLY_ACCEPTED:
        return invoice.accepted == 0
    return 0 < invoice.accepted < invoice.gross and (
        invoice.locked + invoice.reimbursed <= invoice.accepted
    )


def _claim_free(invoice: InvoiceRow) -> bool:
    return invoice.response not in (Response.REJECTED, Response.DISPUTED) or not (
        invoice.locked or invoice.reimbursed
    )


def _use_fits(invoice: InvoiceRow) -> bool:
    accepted = invoice.response in (Response.ACCEPTED, Response.DEEMED_ACCEPTED)
    return not invoice.used or (invoice.special and accepted)


def _document_fits(invoice: InvoiceRow) -> bool:
    match invoice.document:
        case Document.ISSUED:
            return invoice.credited == 0
        case Document.PARTLY_CREDITED:
            return 0 < invoice.credited < invoice.gross
        case Document.CREDITED:
            return invoice.credited == invoice.gross
        case Document.CANCELLED:
            return invoice.available == 0 and _untouched(invoice)


def _untouched(invoice: InvoiceRow) -> bool:
    return not (
        invoice.claims_made
        or invoice.forms
        or invoice.bookings
        or invoice.submissions
        or invoice.offer
        or invoice.credited
        or invoice.red_reserved
        or invoice.paid
        or invoice.payment_refund_due
        or invoice.used
        or invoice.response in (Response.ACCEPTED, Response.PARTLY_ACCEPTED)
    )

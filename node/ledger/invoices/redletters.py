"""Red letters by amount (DOMAIN §3 rows 10–12). Pure rules.

A form for r reserves s = min(r, available) at once. When the red invoice is issued,
r = s + z + x + y: z more of what is available by then, x from locks and y from what was paid,
each within the consent of the reimburser it touches. Locks are taken before payments, consents in
their order. A form that was denied, withdrawn or has lapsed leaves the row.
"""

from __future__ import annotations

from msgspec.structs import replace

from node.ledger.codes import Code
from node.ledger.invoices.bureau.registers import restore_quota, take_number
from node.ledger.invoices.claims import find_claim, replace_claims, take_from_claim
from node.ledger.invoices.issuing import order_body, refuse_totals, repeat_order
from node.ledger.invoices.operations import (
    CONSENTS_MAX,
    ConfirmRedLetter,
    ConsentRedLetter,
    DenyRedLetter,
    IssueRedLetter,
    LapseRedLetter,
    RateGroup,
    RequestRedLetter,
    WithdrawRedLetter,
)
from node.ledger.invoices.paying import owe_back_what_is_over
from node.ledger.invoices.rows import (
    FORM_IDS_MAX,
    FORMS_MAX,
    INVOICES,
    OPEN_FORMS_OF_ONE_SIDE_MAX,
    ORDERS,
    ClaimRow,
    ConsentRow,
    Document,
    FormRow,
    FormState,
    GroupRow,
    InvoiceRow,
    OrderRow,
    order_key,
)
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.step import Note, Step

ISSUING_ERROR = 1
"""The one reason that takes the whole invoice."""


# --- Row 10: request --------------------------------------------------------------------------


def request(step: Step, invoice: InvoiceRow, op: RequestRedLetter) -> Code:
    """Open a form. The issuer's own needs no confirmation while nothing is booked or claimed."""
    by_issuer = step.actor == invoice.issuer
    if not by_issuer and step.actor != invoice.buyer:
        return Code.WRONG_PARTY
    if op.reason == ISSUING_ERROR and op.amount != invoice.gross:
        return Code.FULL_ONLY
    open_forms = [form for form in invoice.forms if form.state is not FormState.ISSUED]
    if op.amount > invoice.gross - invoice.credited - sum(form.amount for form in open_forms):
        return Code.OVER_CREDIT
    own = sum(form.by_issuer is by_issuer for form in open_forms)
    if (
        len(invoice.forms) >= FORMS_MAX
        or own >= OPEN_FORMS_OF_ONE_SIDE_MAX
        or invoice.forms_made > FORM_IDS_MAX
    ):
        return Code.TOO_MANY_FORMS
    untouched = not (invoice.bookings or invoice.locked or invoice.reimbursed or invoice.used)
    confirmed = by_issuer and untouched
    reserved = min(op.amount, invoice.available)
    form = FormRow(
        invoice.forms_made,
        by_issuer,
        op.amount,
        reserved,
        op.reason,
        FormState.CONFIRMED if confirmed else FormState.REQUESTED,
        step.now,
        details=op.details,
        blobs=op.blobs,
        height=step.height,
    )
    invoice.forms = (*invoice.forms, form)
    invoice.forms_made += 1
    invoice.red_reserved += reserved
    step.notes.append(Note(step.position, form=form.id, confirmed=confirmed))
    return Code.OK


# --- Row 11: confirm, deny, withdraw, lapse ---------------------------------------------------


def confirm(step: Step, invoice: InvoiceRow, op: ConfirmRedLetter) -> Code:
    """The counterparty agrees; the form must then be issued within its second term."""
    form = _requested_of_other(step, invoice, op.form)
    if isinstance(form, Code):
        return form
    if _lapsed(step, form):
        return Code.FORM_LAPSED
    _replace_form(invoice, replace(form, state=FormState.CONFIRMED, since=step.now))
    return Code.OK


def deny(step: Step, invoice: InvoiceRow, op: DenyRedLetter) -> Code:
    """The counterparty does not agree."""
    form = _requested_of_other(step, invoice, op.form)
    if isinstance(form, Code):
        return form
    _drop_form(invoice, form)
    return Code.OK


def withdraw(step: Step, invoice: InvoiceRow, op: WithdrawRedLetter) -> Code:
    """The requester takes the form back, confirmed or not."""
    form = _open_form(invoice, op.form)
    if isinstance(form, Code):
        return form
    if step.actor != (invoice.issuer if form.by_issuer else invoice.buyer):
        return Code.WRONG_PARTY
    _drop_form(invoice, form)
    return Code.OK


def lapse(step: Step, invoice: InvoiceRow, op: LapseRedLetter) -> Code:
    """Anyone closes a form that was not confirmed, or not issued, within its term."""
    form = _open_form(invoice, op.form)
    if isinstance(form, Code):
        return form
    if not _lapsed(step, form):
        return Code.TOO_EARLY
    _drop_form(invoice, form)
    return Code.OK


# --- Row 12: consent, issue -------------------------------------------------------------------


def consent(step: Step, invoice: InvoiceRow, op: ConsentRedLetter) -> Code:
    """A reimburser says how much the form may take of its claim; a later word replaces it.

    Zero and zero takes the consent back.
    """
    form = _open_form(invoice, op.form)
    if isinstance(form, Code):
        return form
    claim = find_claim(invoice, op.claim)
    if isinstance(claim, Code):
        return claim
    if step.actor != claim.owner:
        return Code.NOT_LOCK_OWNER
    if _lapsed(step, form):
        return Code.FORM_LAPSED
    if op.locked > claim.locked or op.reimbursed > claim.reimbursed:
        return Code.INSUFFICIENT_AVAILABLE
    others = tuple(c for c in form.consents if c.claim != op.claim)
    if op.locked or op.reimbursed:
        others = (*others, ConsentRow(op.claim, op.locked, op.reimbursed))
    if len(others) > CONSENTS_MAX:
        return Code.TOO_MANY_CLAIMS
    _replace_form(invoice, replace(form, consents=others))
    return Code.OK


def issue_red(step: Step, invoice: InvoiceRow, op: IssueRedLetter) -> Code:
    """Issue the red invoice of a confirmed form.

    Its gross is the form's amount, and no rate group is credited beyond what it has left. In the
    month of the blue invoice it gives the quota back. An order repeated is a success that changes
    nothing, as in row 1.
    """
    if step.actor != invoice.issuer:
        return Code.WRONG_PARTY
    body = order_body((op.invoice, op.form, op.groups, op.net, op.tax, op.gross, op.details))
    key = order_key(step.actor, op.order)
    held = step.state[ORDERS].get(key)
    if held is not None:
        return repeat_order(step, held, body)
    if invoice.frozen or invoice.closed:
        return Code.FROZEN if invoice.frozen else Code.DOCUMENT_CLOSED
    form = _open_form(invoice, op.form)
    if isinstance(form, Code):
        return form
    if _lapsed(step, form):
        return Code.FORM_LAPSED
    if form.state is not FormState.CONFIRMED:
        return Code.NOT_CONFIRMED
    refusal = refuse_totals(op.groups, op.net, op.tax, op.gross)
    if refusal or op.gross != form.amount:
        return Code.TOTALS_MISMATCH
    groups = _credit_groups(invoice, op.groups)
    if isinstance(groups, Code):
        return groups
    refusal = take_number(step, op.number) or _settle(invoice, form)
    if refusal:
        return refusal
    restored = _restored(step, invoice, groups)
    invoice.groups = groups
    _add_red(step, invoice, op, restored)
    issued = replace(
        form, state=FormState.ISSUED, since=step.now, reserved=0, consents=(), number=op.number
    )
    _replace_form(invoice, issued)
    step.state[ORDERS].put(key, OrderRow(op.number, body))
    return Code.OK


# --- Parts of issuing a red letter ------------------------------------------------------------


def _credit_groups(
    invoice: InvoiceRow, taken: tuple[RateGroup, ...]
) -> tuple[GroupRow, ...] | Code:
    """The invoice's groups with `taken` credited.

    OVER_CREDIT beyond what a group or the whole invoice has left, and for a part that would give
    back: a negative group is credited by negative amounts.
    """
    by_rate = {group.rate: group for group in taken}
    credited: list[GroupRow] = []
    for group in invoice.groups:
        part = by_rate.pop(group.rate, None)
        if part is None:
            credited.append(group)
            continue
        net, tax = group.credited_net + part.net, group.credited_tax + part.tax
        forward = _between(group.credited_net, net, group.net)
        if not forward or not _between(group.credited_tax, tax, group.tax):
            return Code.OVER_CREDIT
        credited.append(GroupRow(group.rate, group.net, group.tax, group.lines, net, tax))
    if by_rate:
        return Code.RATE_NOT_ALLOWED
    # With a negative group left, the others have more than the invoice.
    net_over = sum(group.credited_net for group in credited) > invoice.net
    tax_over = sum(group.credited_tax for group in credited) > invoice.tax
    return Code.OVER_CREDIT if net_over or tax_over else tuple(credited)


def _between(before: int, after: int, whole: int) -> bool:
    return before <= after <= whole if whole >= 0 else whole <= after <= before


def _settle(invoice: InvoiceRow, form: FormRow) -> Code:
    """Move the amounts: r = s + z + x + y. CLAIM_CONSENT_NEEDED when consents do not cover it."""
    more = min(form.amount - form.reserved, invoice.available)
    rest = form.amount - form.reserved - more
    claims: dict[int, ClaimRow] = {claim.id: claim for claim in invoice.claims}
    agreed = [(claims[c.claim], c) for c in form.consents if c.claim in claims]
    locked: list[int] = []
    for claim, given in agreed:
        locked.append(min(given.locked, claim.locked, rest))
        rest -= locked[-1]
    reimbursed: list[int] = []
    for claim, given in agreed:
        reimbursed.append(min(given.reimbursed, claim.reimbursed, rest))
        rest -= reimbursed[-1]
    if rest:
        return Code.CLAIM_CONSENT_NEEDED
    replace_claims(
        invoice,
        [
            take_from_claim(claim, x, y)
            for (claim, _), x, y in zip(agreed, locked, reimbursed, strict=True)
        ],
    )
    invoice.locked -= sum(locked)
    invoice.reimbursed -= sum(reimbursed)
    invoice.refund_due += sum(reimbursed)
    invoice.red_reserved -= form.reserved
    invoice.credited += form.amount
    owe_back_what_is_over(invoice)
    if invoice.credited == invoice.gross:
        invoice.document = Document.CREDITED
        invoice.offer = None
        invoice.submissions = ()
    else:
        invoice.document = Document.PARTLY_CREDITED
    return Code.OK


def _restored(step: Step, invoice: InvoiceRow, groups: tuple[GroupRow, ...]) -> int:
    """Give back the quota of what is newly credited, if it was charged in this month.

    Cumulative, so that rounding leaves nothing over once the invoice is credited in full.
    """
    if step.context.month_at(invoice.issued_at) != step.month:
        return 0
    before = sum(group.credited_net for group in invoice.groups)
    after = sum(group.credited_net for group in groups)
    amount = invoice.quota * after // invoice.net - invoice.quota * before // invoice.net
    if amount:
        restore_quota(step, amount)
    return amount


def _add_red(step: Step, blue: InvoiceRow, op: IssueRedLetter, restored: int) -> None:
    row = InvoiceRow(
        number=op.number,
        issuer=blue.issuer,
        buyer=blue.buyer,
        special=blue.special,
        currency=blue.currency,
        issue_date=step.date,
        groups=tuple(GroupRow(g.rate, g.net, g.tax, g.lines) for g in op.groups),
        net=op.net,
        tax=op.tax,
        gross=op.gross,
        order=op.order,
        replaces=None,
        original=blue.number,
        details=op.details,
        blobs=op.blobs,
        txid=step.txid,
        height=step.height,
        issued_at=step.now,
        quota=restored,
        holder=blue.buyer,
    )
    step.state[INVOICES].put(op.number.encode(), row)


# --- Forms ------------------------------------------------------------------------------------


def _open_form(invoice: InvoiceRow, number: int) -> FormRow | Code:
    for form in invoice.forms:
        if form.id == number:
            return Code.FORM_CLOSED if form.state is FormState.ISSUED else form
    return Code.FORM_CLOSED if number < invoice.forms_made else Code.UNKNOWN_FORM


def _requested_of_other(step: Step, invoice: InvoiceRow, number: int) -> FormRow | Code:
    """A form that waits for the actor's word; FORM_CLOSED once it is confirmed."""
    form = _open_form(invoice, number)
    if isinstance(form, Code):
        return form
    if step.actor != (invoice.buyer if form.by_issuer else invoice.issuer):
        return Code.NOT_COUNTERPARTY
    return form if form.state is FormState.REQUESTED else Code.FORM_CLOSED


def _lapsed(step: Step, form: FormRow) -> bool:
    confirmed = form.state is FormState.CONFIRMED
    terms = step.terms.of(InvoicesTerms)
    return step.now - form.since > (terms.red_issue_ms if confirmed else terms.red_confirm_ms)


def _replace_form(invoice: InvoiceRow, changed: FormRow) -> None:
    invoice.forms = tuple(changed if f.id == changed.id else f for f in invoice.forms)


def _drop_form(invoice: InvoiceRow, form: FormRow) -> None:
    invoice.red_reserved -= form.reserved
    invoice.forms = tuple(f for f in invoice.forms if f.id != form.id)

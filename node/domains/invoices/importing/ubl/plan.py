"""From a UBL file to what an import sends. Owns how a document becomes an invoice or a red letter.

A file is one document. Its refusals name the line of the file as their row. The body is checked by
the same models and arithmetic as the node's own, so that a dry run refuses what a node would.
"""

from __future__ import annotations

from pathlib import Path

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError as NumberError

from node.domains.invoices.importing.checks import (
    Checked,
    check_invoice,
    check_red_letter,
    with_buyer,
)
from node.domains.invoices.importing.plan import (
    Plan,
    PlannedCancellation,
    PlannedInvoice,
    PlannedRed,
    Refusal,
    encode_json,
)
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.mapping import UblDocument, map_ubl
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.tree import BYTES_MAX, UblError

NO_ORIGINAL = "the credit note names no invoice (cac:BillingReference)"


def read_ubl_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UblError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX + 1)
    except OSError as error:
        raise UblError(f"{path}: {error.strerror}") from error
    if len(content) > BYTES_MAX:
        raise UblError(f"{path}: larger than {BYTES_MAX} bytes")
    return content


def plan_ubl(content: bytes, *, for_ledger: bool) -> Plan:
    """Plan a document.

    Args:
        content: Of the file.
        for_ledger: Refuse a credit note that names no invoice: the ledger cannot take it. Without,
            it is read and added up like any other.

    Raises:
        UblError: no UBL document.
    """
    document = map_ubl(read_ubl(content))
    if isinstance(document, Report):
        refused = [Refusal(each.line, each.code, each.text) for each in document.breaches]
        return Plan((), (), tuple(sorted(refused, key=lambda each: each.row)))
    problem = _problem(document)
    if problem is None and for_ledger and document.credit_note and document.original is None:
        problem = ("NO_ORIGINAL", NO_ORIGINAL)
    if problem is not None:
        code, message = problem
        refusal = Refusal(
            document.line, code, f"{document.number}: {message}", order_id=document.order_id
        )
        return Plan((), (), (refusal,))
    if document.credit_note:
        return Plan((), (_cancellation(document),), (), document.notes)
    return Plan((_invoice(document),), (), (), document.notes)


def unnamed_original(plan: Plan) -> str | None:
    """What to say of a plan that the ledger would refuse, although it reads and adds up."""
    unnamed = any(isinstance(each, PlannedRed) and not each.original for each in plan.letters)
    return f"the ledger will refuse this: NO_ORIGINAL: {NO_ORIGINAL}" if unnamed else None


def _problem(document: UblDocument) -> tuple[str, str] | None:
    """Why the node or the ledger would not take the body: code and message."""
    files = [file.content for file in document.files]
    if document.credit_note:
        red = encode_json(_red_body(document))
        checked = check_red_letter(red, document.currency, files)
    else:
        checked = check_invoice(with_buyer(document.body, None), files)
    if isinstance(checked, Checked):
        return None
    return checked[0].code, f"{checked[0].pointer or '/'}: {checked[0].message}"


def _invoice(document: UblDocument) -> PlannedInvoice:
    return PlannedInvoice(
        order_id=document.order_id,
        row=document.line,
        buyer=_participant(document.buyer_ids),
        currency=document.currency,
        net=document.net,
        tax=document.tax,
        body=encode_json(document.body),
        files=tuple(file.content for file in document.files),
    )


def _cancellation(document: UblDocument) -> PlannedCancellation:
    letter = PlannedRed(
        order_id=document.order_id,
        row=document.line,
        original=document.original or "",
        by_number=False,
        reason="return",
        currency=document.currency,
        net=document.net,
        tax=document.tax,
        body=encode_json(_red_body(document)),
        files=tuple(file.content for file in document.files),
    )
    return PlannedCancellation(document.order_id, document.line, (letter,))


def _red_body(document: UblDocument) -> dict[str, object]:
    return {name: value for name, value in document.body.items() if name != "currency"}


def _participant(identifiers: tuple[str, ...]) -> str | None:
    """The first identifier that is a unified social credit code, also as a VAT number of CN."""
    for each in identifiers:
        code = each.removeprefix("CN")
        try:
            if uscc.validate(code) == code:
                return code
        except NumberError:
            continue
    return None

"""What a node and the ledger would refuse of a planned body, told before anything is sent. Pure.

The very models, arithmetic and rules that judge a request judge it here: a dry run says what an
import would hear. What only the ledger's state can say (rates in force, quotas, numbers) is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from pydantic import ValidationError

from node.api.body import message_of
from node.domains.invoices.details.bodies import InvoiceBody, RedIssueBody
from node.domains.invoices.details.details import DETAILS_BYTES_MAX
from node.domains.invoices.details.drafting import totals_of_body
from node.domains.invoices.details.totals import DraftError, Totals, canonical_details
from node.domains.invoices.importing.plan import LateRed, encode_json
from node.domains.invoices.importing.ubl.codes import is_code
from node.ledger.codes import Code
from node.ledger.invoices.issuing import refuse_amounts, refuse_totals
from node.ledger.transaction import BLOBS_BYTES_MAX

_ANYBODY = "0" * 18
"""Stands for whom an invoice is made out to where the import will name them."""
_NO_MONEY = frozenset({"XTS", "XXX"})
"""ISO 4217's codes for tests and for no currency."""
_SMALL_BYTES = DETAILS_BYTES_MAX // 8
"""Of a body as JSON: what is sealed of it is far below every limit."""
_SEALING_BYTES = 4_096
"""What sealing adds to a file and to the details, at most."""


class Problem(msgspec.Struct, frozen=True):
    """Why a body would be refused."""

    code: str
    """Of the API or of the ledger."""
    path: tuple[str, ...]
    """Names and positions down to the field; empty: the whole document."""
    message: str

    @property
    def pointer(self) -> str:
        """JSON pointer of the field."""
        return "".join(f"/{part}" for part in self.path)


class Checked(msgspec.Struct, frozen=True):
    """A body that nothing is known against, and what it comes to."""

    totals: Totals


def check_invoice(
    body: Mapping[str, object], files: Sequence[bytes] = (), json_bytes: int | None = None
) -> Checked | list[Problem]:
    """An `InvoiceBody`, with its buyer: its totals, or all that is wrong.

    Args:
        body: The body.
        files: Its attachments.
        json_bytes: Size of the body as JSON, where it is known.
    """
    try:
        checked = InvoiceBody.model_validate(body)
        if not is_code("currency", checked.currency) or checked.currency in _NO_MONEY:
            message = f"{checked.currency} is no currency of ISO 4217"
            return [Problem(Code.NO_EXCHANGE_RATE.name, ("currency",), message)]
        totals = totals_of_body(checked, checked.currency)
        size = _details_bytes(checked, json_bytes)
    except ValidationError as error:
        return list(_invalid(error))
    except DraftError as error:
        return [_draft_problem(error)]
    assert totals is not None, "the model wants lines or groups"
    refusal = refuse_amounts(totals.groups, totals.net, totals.tax, totals.gross)
    return _judged(totals, refusal, size, files)


def check_red_letter(
    body: bytes, currency: str, files: Sequence[bytes] = ()
) -> Checked | list[Problem]:
    """A `RedIssueBody` as JSON: its totals, or all that is wrong."""
    try:
        checked = RedIssueBody.model_validate_json(body)
        totals = totals_of_body(checked, currency)
        size = _details_bytes(checked)
    except ValidationError as error:
        return list(_invalid(error))
    except DraftError as error:
        return [_draft_problem(error)]
    assert totals is not None, "a planned letter names its amounts"
    refusal = refuse_totals(totals.groups, totals.net, totals.tax, totals.gross)
    if totals.gross <= 0:
        refusal = Code.NOTHING_TO_INVOICE  # no form is over nothing
    return _judged(totals, refusal, size, files)


def check_late_letter(letter: LateRed) -> list[Problem]:
    """What is wrong with a letter whose amounts only the ledger can tell."""
    return check_head(letter.order_id, msgspec.json.decode(letter.head))


def check_head(order_id: str, details: dict[str, object]) -> list[Problem]:
    """What is wrong with an order id and the details beside lines."""
    amounts = [{"rate": 0, "net": 1, "tax": 0}]
    body = {"order_id": order_id, "groups": amounts, "details": details}
    try:
        RedIssueBody.model_validate_json(encode_json(body))
    except ValidationError as error:
        return list(_invalid(error))
    return []


def _details_bytes(body: InvoiceBody | RedIssueBody, json_bytes: int | None = None) -> int:
    """Size of what is sealed, or a bound that no limit comes near.

    Raises:
        DraftError: the details cannot be sealed.
    """
    if json_bytes is not None and json_bytes <= _SMALL_BYTES and not _has_extensions(body):
        # Working out the form that is sealed costs a tenth of the whole check. A small body cannot
        # pass a limit by the defaults that it leaves out, and only extensions may be malformed.
        return json_bytes
    details = canonical_details(body.details, body.lines or (), body.allowances or ())
    return len(details or b"")


def _has_extensions(body: InvoiceBody | RedIssueBody) -> bool:
    return body.details is not None and body.details.extensions is not None


def _judged(
    totals: Totals, refusal: Code, details_bytes: int, files: Sequence[bytes]
) -> Checked | list[Problem]:
    if refusal is Code.NOTHING_TO_INVOICE:
        return [Problem(refusal.name, (), f"the total is {totals.net} net, {totals.gross} gross")]
    if refusal:
        message = "net, tax and gross do not agree: a rate's tax may be off by one unit a line"
        return [Problem(refusal.name, ("groups",), message)]
    size = sum(len(file) + _SEALING_BYTES for file in files) + details_bytes + _SEALING_BYTES
    if size > BLOBS_BYTES_MAX:
        message = f"details and attachments have {size} bytes sealed; a transaction has at most "
        path = ("details", "attachments")
        return [Problem("BODY_TOO_LARGE", path, f"{message}{BLOBS_BYTES_MAX}")]
    return Checked(totals)


def _invalid(error: ValidationError) -> Iterator[Problem]:
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(str(part) for part in item["loc"])
        yield Problem("INVALID_FIELDS", path, message_of(item))


def _draft_problem(error: DraftError) -> Problem:
    path = tuple(part for part in error.path.split("/") if part)
    return Problem("INVALID_FIELDS", path, error.message)


def with_buyer(body: dict[str, object], buyer: str | None) -> dict[str, object]:
    """A body with its buyer, or one that stands for whoever the import names."""
    return body | {"buyer": buyer or _ANYBODY}

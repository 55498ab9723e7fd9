"""The route that says what an invoice would be, before anybody issues it.

Owns what a person is shown to agree to: the parties, the sums that the node itself would sign, and
the gross in words. Draws no number, makes no key, reads no ledger: quota and tax rates are judged
when the invoice is issued.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from node.api.requests import read_json
from node.api.routing import Api, Route, json_response
from node.api.security import Scope
from node.domains.invoices.api.issuing import draft_error, today_of
from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.drafting import invoice_draft
from node.domains.invoices.details.totals import DraftError
from node.domains.invoices.documents.capitals import capital_amount
from node.ledger.currency import decimals


class RateTotals(msgspec.Struct, frozen=True):
    """Totals of one tax rate."""

    rate: int
    """Basis points."""
    net: int
    tax: int


class InvoicePreview(msgspec.Struct, frozen=True):
    """What would be issued; amounts are minor units."""

    seller: str
    buyer: str
    """A participant, a public key, or `claim`: a key that is made on issuing."""
    order_id: str
    kind: str
    currency: str
    issue_date: str
    """YYYY-MM-DD; today where the body names none."""
    groups: list[RateTotals]
    net: int
    tax: int
    gross: int
    capitals: str
    """The gross in Chinese capital numerals."""


async def preview_invoice(api: Api, request: web.Request) -> web.Response:
    """What this body would issue; nothing is signed."""
    body, _ = await read_json(request, InvoiceBody, api.config)
    try:
        draft = invoice_draft(body, api.node.participant, today_of(api))
    except DraftError as error:
        raise draft_error(error) from error
    return json_response(
        InvoicePreview(
            seller=api.node.participant,
            buyer=draft.buyer,
            order_id=draft.order_id,
            kind=body.kind,
            currency=draft.currency,
            issue_date=draft.issue_date,
            groups=[RateTotals(group.rate, group.net, group.tax) for group in draft.groups],
            net=draft.net,
            tax=draft.tax,
            gross=draft.gross,
            capitals=capital_amount(draft.gross, draft.currency, decimals(draft.currency)),
        )
    )


ROUTES = (
    Route(
        "POST",
        "/v1/invoices:preview",
        preview_invoice,
        "What an invoice would be: parties, sums by rate, the gross in words; issues nothing",
        "invoices",
        Scope.OPERATE,
        body=InvoiceBody,
        answers={200: InvoicePreview},
        refusals=(400, 408, 413, 415, 422),
    ),
)

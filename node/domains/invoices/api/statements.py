"""The monthly statement of an issuer. Made from the ledger alone, by any node, byte for byte equal.

A month is that of the block time which issued a document. Nothing in a statement depends on who
asks or on the height, so that the issuer's and the bureau's can be compared as files.
"""

from __future__ import annotations

import asyncio
import re

import msgspec
from aiohttp import web

from node.api.errors import ApiError, not_found
from node.api.routing import Api, Route, json_response
from node.api.security import Scope
from node.domains.invoices.api.registers import QuotaView, quota_view
from node.domains.invoices.index.queries import InvoiceQueries
from node.domains.invoices.index.statement_rows import WHOLE, StatementKind, StatementLine
from node.ledger.codes import Table
from node.ledger.invoices.bureau.register_rows import quota_key
from node.ledger.participants import decode_participant
from node.ledger.types import Role

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])", re.ASCII)
_ISSUER = re.compile(r"[0-9A-Z]{18}", re.ASCII)
_INDEX_S = 2.0
"""How long to wait for the query index to reach the ledger's height."""
_POLL_S = 0.02


class SumView(msgspec.Struct, frozen=True):
    """Documents and what they add up to, in minor units."""

    documents: int
    net: int
    tax: int
    gross: int


class RateView(msgspec.Struct, frozen=True):
    """What one tax rate comes to, in basis points and minor units."""

    rate: int
    issued_net: int
    issued_tax: int
    cancelled_net: int
    cancelled_tax: int
    red_net: int
    red_tax: int
    net: int
    """Issued less cancelled less red."""
    tax: int


class CurrencyView(msgspec.Struct, frozen=True):
    """The part of a statement in one currency."""

    currency: str
    issued: SumView
    cancelled: SumView
    """Of those issued."""
    red: SumView
    """Red invoices, as magnitudes; their originals may be of earlier months."""
    net: int
    """Issued less cancelled less red."""
    tax: int
    gross: int
    rates: list[RateView]


class StatementView(msgspec.Struct, frozen=True):
    """An issuer's month."""

    issuer: str
    month: str
    currencies: list[CurrencyView]
    quota: QuotaView | None
    """In the home currency; null when none was granted."""


async def show_statement(api: Api, request: web.Request) -> web.Response:
    """The statement of one issuer and month."""
    issuer, text = request.match_info["issuer"], request.match_info["month"]
    month = _MONTH.fullmatch(text)
    if month is None or not _ISSUER.fullmatch(issuer):
        raise not_found("the path is /v1/statements/{participant}/{YYYY-MM}")
    await _reach(api, api.node.heights().committed)
    rows = await api.node.state_rows(Table.PARTICIPANT, (issuer.encode(),))
    found = rows.get(issuer.encode())
    if found is None or Role.ISSUER not in decode_participant(found).roles:
        raise not_found("there is no such issuer")
    number = int(month[1]) * 100 + int(month[2])
    lines = await InvoiceQueries(api.index).statement(issuer, number)
    key = quota_key(issuer, number)
    quotas = await api.node.state_rows(Table.QUOTA, (key,))
    quota = quota_view(quotas[key]) if key in quotas else None
    try:
        return json_response(StatementView(issuer, text, currency_views(lines), quota))
    except OverflowError as error:
        # Sums past 64 bits need thousands of invoices over the largest amount there is.
        raise ApiError(500, "INTERNAL", "the sums are too large to be told") from error


def currency_views(lines: list[StatementLine]) -> list[CurrencyView]:
    """The parts of a statement, by currency."""
    by_key = {(line.currency, line.kind, line.rate): line for line in lines}
    views = []
    for currency in sorted({line.currency for line in lines}):
        rates = sorted({line.rate for line in lines if line.currency == currency} - {WHOLE})
        issued, red, cancelled = (
            _sum(by_key.get((currency, kind, WHOLE)))
            for kind in (StatementKind.ISSUED, StatementKind.RED, StatementKind.CANCELLED)
        )
        net = issued.net - cancelled.net - red.net
        tax = issued.tax - cancelled.tax - red.tax
        views.append(
            CurrencyView(
                currency=currency,
                issued=issued,
                cancelled=cancelled,
                red=red,
                net=net,
                tax=tax,
                gross=net + tax,
                rates=[
                    _rate(rate, *(by_key.get((currency, kind, rate)) for kind in StatementKind))
                    for rate in rates
                ],
            )
        )
    return views


def _sum(line: StatementLine | None) -> SumView:
    if line is None:
        return SumView(0, 0, 0, 0)
    return SumView(line.documents, line.net, line.tax, line.net + line.tax)


def _rate(
    rate: int,
    issued: StatementLine | None,
    red: StatementLine | None,
    cancelled: StatementLine | None,
) -> RateView:
    one, two, three = _sum(issued), _sum(cancelled), _sum(red)
    return RateView(
        rate=rate,
        issued_net=one.net,
        issued_tax=one.tax,
        cancelled_net=two.net,
        cancelled_tax=two.tax,
        red_net=three.net,
        red_tax=three.tax,
        net=one.net - two.net - three.net,
        tax=one.tax - two.tax - three.tax,
    )


async def _reach(api: Api, height: int) -> None:
    """Wait for the index: a statement must not lack what is committed already.

    Raises:
        ApiError: 503.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + _INDEX_S
    index = InvoiceQueries(api.index)
    while index.height < height:
        if loop.time() >= end:
            raise ApiError(503, "NOT_READY", "the query index is behind the ledger; ask again")
        await asyncio.sleep(_POLL_S)


ROUTES = (
    Route(
        "GET",
        "/v1/statements/{issuer}/{month}",
        show_statement,
        "The monthly statement of an issuer: issued, cancelled, red, net, tax by rate, quota",
        "registers",
        Scope.READ,
        answers={200: StatementView},
        refusals=(404, 503),
    ),
)

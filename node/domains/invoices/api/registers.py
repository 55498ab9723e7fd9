"""Routes that read the tax bureau's registers: segments, regions, quotas, rates; from the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web

from node.api.requests import encode_cursor, query_cursor, query_limit, time_text
from node.api.routing import PAGE_QUERY, Api, Handler, Route, json_response
from node.api.security import Scope
from node.ledger.codes import Table
from node.ledger.invoices.bureau.region_rows import decode_regions
from node.ledger.invoices.bureau.register_rows import (
    RATES_FOR_ALL_KEY,
    decode_exchange_rate,
    decode_quota,
    decode_segments,
    decode_tax_rates,
)
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.membership.terms import MembershipTerms

_KEY_BYTES_MAX = 256


class TermsView(msgspec.Struct, frozen=True):
    """The network's terms, in milliseconds, and limits: those of its genesis."""

    home_currency: str
    """Of quotas, and of what rates of exchange lead to."""
    utc_offset_minutes: int
    """How far the network's clock, by which its days go, is ahead of UTC."""

    cancel_ms: int
    """After the issue an invoice may be cancelled."""
    red_confirm_ms: int
    """The other side has to confirm a red-letter form."""
    red_issue_ms: int
    """The issuer has to issue the red invoice of a confirmed form."""
    respond_ms: int
    """The buyer has to answer; then the invoice counts as accepted."""
    lock_ms: int
    """A reimburser has to pay what it locked; then anyone may release it."""
    offer_ms_max: int
    """The longest term of an offer."""
    validity_heights: int
    """A transaction's last height may lie so far ahead."""
    proposal_ms: int
    """A proposal is open for votes."""
    hold_ms_max: int
    """The longest issuing hold."""
    uphold_ms_max: int
    """The longest that one is upheld by two keys."""


class SegmentView(msgspec.Struct, frozen=True):
    """Consecutive numbers."""

    first: str
    last: str
    used: int


class SegmentsView(msgspec.Struct, frozen=True):
    """Numbers allotted to an issuer."""

    issuer: str
    segments: list[SegmentView]


class RangeView(msgspec.Struct, frozen=True):
    """Consecutive numbers."""

    first: str
    last: str


class RegionView(msgspec.Struct, frozen=True):
    """Numbers that a regional bureau may allot."""

    bureau: str
    ranges: list[RangeView]


class QuotaView(msgspec.Struct, frozen=True):
    """An issuer's quota of one month: net amounts in the home currency."""

    issuer: str
    month: str
    granted: int
    used: int
    remaining: int
    valid_from: str
    valid_to: str


class TaxRatesView(msgspec.Struct, frozen=True):
    """Tax rates in force, in basis points."""

    issuer: str | None
    """null: for all issuers without a list of their own."""
    rates: list[int]


class DatedRateView(msgspec.Struct, frozen=True):
    """A rate from a date on."""

    date: str
    micro: int


class ExchangeRatesView(msgspec.Struct, frozen=True):
    """Home-currency minor units for 10^6 minor units of a currency."""

    currency: str
    rates: list[DatedRateView]


class SegmentsPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Segments by issuer."""

    segments: list[SegmentsView]
    next_cursor: str | None = None


class RegionsPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ranges by regional bureau."""

    regions: list[RegionView]
    next_cursor: str | None = None


class QuotasPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Quotas by issuer and month."""

    quotas: list[QuotaView]
    next_cursor: str | None = None


class TaxRatesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tax rates by issuer."""

    tax_rates: list[TaxRatesView]
    next_cursor: str | None = None


class ExchangeRatesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Exchange rates by currency."""

    exchange_rates: list[ExchangeRatesView]
    next_cursor: str | None = None


class _KeyCursor(msgspec.Struct, frozen=True, array_like=True):
    after: Annotated[bytes, msgspec.Meta(max_length=_KEY_BYTES_MAX)]


def _segments(_: bytes, value: bytes) -> SegmentsView:
    row = decode_segments(value)
    return SegmentsView(row.issuer, [SegmentView(s.first, s.last, s.used) for s in row.segments])


def _region(_: bytes, value: bytes) -> RegionView:
    row = decode_regions(value)
    return RegionView(row.bureau, [RangeView(held.first, held.last) for held in row.ranges])


def quota_view(value: bytes) -> QuotaView:
    """The quota of a state row."""
    row = decode_quota(value)
    return QuotaView(
        issuer=row.issuer,
        month=f"{row.month // 100:04}-{row.month % 100:02}",
        granted=row.granted,
        used=row.used,
        remaining=row.remaining,
        valid_from=time_text(row.valid_from),
        valid_to=time_text(row.valid_to),
    )


def _tax_rates(key: bytes, value: bytes) -> TaxRatesView:
    issuer = None if key == RATES_FOR_ALL_KEY else key.decode()
    return TaxRatesView(issuer, list(decode_tax_rates(value).rates))


def _exchange_rates(_: bytes, value: bytes) -> ExchangeRatesView:
    row = decode_exchange_rate(value)
    return ExchangeRatesView(row.currency, [DatedRateView(r.date, r.micro) for r in row.rates])


async def show_terms(api: Api, _: web.Request) -> web.Response:
    """The network's terms."""
    terms = api.node.terms
    return json_response(
        TermsView(
            home_currency=api.node.home_currency,
            utc_offset_minutes=api.node.utc_offset_minutes,
            validity_heights=terms.validity_heights,
            proposal_ms=terms.of(MembershipTerms).proposal_ms,
            **msgspec.structs.asdict(terms.of(InvoicesTerms)),
        )
    )


def _page(
    table: Table,
    low: bytes,
    high: bytes,
    view: Callable[[bytes, bytes], object],
    page: Callable[[list[Any], str | None], object],
) -> Handler:
    async def handle(api: Api, request: web.Request) -> web.StreamResponse:
        limit = query_limit(request)
        cursor = query_cursor(request, _KeyCursor)
        start = low if cursor is None else max(low, cursor.after + b"\0")
        rows = await api.node.state_scan(table, start, high, limit)
        following = encode_cursor(rows[-1][0]) if len(rows) == limit else None
        return json_response(page([view(key, value) for key, value in rows], following))

    return handle


def _route(name: str, summary: str, handler: Handler, answer: type[msgspec.Struct]) -> Route:
    return Route(
        "GET",
        f"/v1/{name}",
        handler,
        summary,
        "registers",
        Scope.READ,
        query=PAGE_QUERY,
        answers={200: answer},
        refusals=(400,),
    )


_END = b"\xff"
"""Past every key of these tables: they are ASCII."""

ROUTES = (
    Route(
        "GET",
        "/v1/terms",
        show_terms,
        "The network's terms and limits",
        "registers",
        Scope.READ,
        answers={200: TermsView},
    ),
    _route(
        "segments",
        "Numbers allotted to issuers",
        # `segments_key` begins with "i"; the other rows of the table are single allotments.
        _page(Table.SEGMENTS, b"i", b"j", _segments, SegmentsPage),
        SegmentsPage,
    ),
    _route(
        "regions",
        "Numbers allotted to regional bureaus",
        # `regions_key` begins with "i"; the other rows of the table are single ranges.
        _page(Table.REGION, b"i", b"j", _region, RegionsPage),
        RegionsPage,
    ),
    _route(
        "quotas",
        "Quotas of issuers by month",
        _page(Table.QUOTA, b"", _END, lambda _, value: quota_view(value), QuotasPage),
        QuotasPage,
    ),
    _route(
        "tax-rates",
        "Tax rates in force",
        _page(Table.TAX_RATES, b"", _END, _tax_rates, TaxRatesPage),
        TaxRatesPage,
    ),
    _route(
        "exchange-rates",
        "Exchange rates in force",
        _page(Table.EXCHANGE_RATE, b"", _END, _exchange_rates, ExchangeRatesPage),
        ExchangeRatesPage,
    ),
)

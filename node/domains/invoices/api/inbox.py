"""The route of the inbox: what waits for a participant, its wallet, and for retired issuers."""

from __future__ import annotations

import msgspec
from aiohttp import web

from node.api.errors import not_found
from node.api.requests import (
    CursorInteger,
    encode_cursor,
    query_actor,
    query_cursor,
    query_limit,
    time_text,
)
from node.api.routing import (
    PAGE_QUERY,
    Api,
    Query,
    Route,
    json_response,
)
from node.api.security import Scope
from node.domains.invoices.api.invoice_views import (
    InvoiceView,
    invoice_view,
)
from node.domains.invoices.api.invoices import read_rows
from node.domains.invoices.api.retired_inbox import retired_issuers, waits_for_issuer
from node.domains.invoices.index.queries import (
    InvoiceQueries,
    WaitingItem,
)
from node.domains.invoices.index.rows import WaitingKind
from node.ledger.invoices.rows import InvoiceRow
from node.ledger.invoices.terms import InvoicesTerms

_WAITING_NAMES = {
    WaitingKind.OFFER: "offer",
    WaitingKind.SUBMISSION: "submission",
    WaitingKind.RED_CONFIRMATION: "red_confirmation",
    WaitingKind.RED_ISSUE: "red_issue",
    WaitingKind.LOCK: "lock",
}


_OF_FORMS = frozenset({WaitingKind.RED_CONFIRMATION, WaitingKind.RED_ISSUE})


INBOX_KEYS_MAX = 500
"""Keys of the wallet whose inbox is shown together; an older one's is asked for with `as`."""


class InboxItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that waits for this participant."""

    kind: str
    """offer, submission, lock, red_confirmation or red_issue."""
    invoice: InvoiceView
    form: int | None = None
    claim: int | None = None
    deadline: str | None = None
    """When the term ends; after it others may end this, too."""
    overdue: bool = False
    for_issuer: str | None = None
    """The retired issuer for whom the tax bureau does it."""


class InboxPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What waits, oldest invoice first."""

    items: list[InboxItem]
    next_cursor: str | None = None


class _InboxCursor(msgspec.Struct, frozen=True, array_like=True):
    sequence: CursorInteger
    kind: CursorInteger
    reference: CursorInteger


def _inbox_parties(api: Api, request: web.Request) -> list[str]:
    """The participant and the newest keys of its wallet, or the one key asked for."""
    actor, keys = query_actor(request), api.node.wallet_keys()
    if actor is None:
        return [api.node.participant, *(key.hex() for key in keys[-INBOX_KEYS_MAX:])]
    if actor not in keys:
        raise not_found("this node's wallet has no such key")
    return [actor.hex()]


async def show_inbox(api: Api, request: web.Request) -> web.Response:
    """What waits for this participant."""
    limit = query_limit(request)
    cursor = query_cursor(request, _InboxCursor) or _InboxCursor(-1, -1, -1)
    after = (cursor.sequence, cursor.kind, cursor.reference)
    index = InvoiceQueries(api.index)
    own = await index.waiting(_inbox_parties(api, request), after, limit)
    retired = [] if query_actor(request) is not None else await retired_issuers(api)
    others = await index.waiting(retired, after, limit) if retired else []
    entries = {_place(entry): (entry, False) for entry in others}
    entries |= {_place(entry): (entry, True) for entry in own}
    waiting = [entries[place] for place in sorted(entries)][:limit]
    found = [entry for entry, _ in waiting]
    following = None
    if len(found) == limit:
        last = found[-1]
        following = encode_cursor(last.invoice.sequence, int(last.kind), last.reference)
    rows = await read_rows(api, [entry.invoice.number for entry in found])
    now_ms = api.time_ms()
    terms = api.node.terms.of(InvoicesTerms)
    items = []
    for entry, is_own in waiting:
        row = rows[entry.invoice.number]
        stands_in = not is_own and row.issuer in retired
        if is_own or (
            stands_in and waits_for_issuer(entry.kind, entry.reference, row, api.node.participant)
        ):
            item = _inbox_item(entry, row, now_ms, terms)
            if item is not None:
                issuer = row.issuer if stands_in else None
                items.append(msgspec.structs.replace(item, for_issuer=issuer))
    return json_response(InboxPage(items, following))


def _place(entry: WaitingItem) -> tuple[int, int, int]:
    return entry.invoice.sequence, int(entry.kind), entry.reference


def _inbox_item(
    entry: WaitingItem, row: InvoiceRow, now_ms: int, terms: InvoicesTerms
) -> InboxItem | None:
    view = invoice_view(row, now_ms)
    kind, reference = entry.kind, entry.reference
    if kind is WaitingKind.OFFER and view.offer is None:
        return None  # it has expired, and nothing on the ledger had to say so
    ends = _ends(kind, reference, row, terms)
    return InboxItem(
        kind=_WAITING_NAMES[kind],
        invoice=view,
        form=reference if kind in _OF_FORMS else None,
        claim=reference if kind is WaitingKind.LOCK else None,
        deadline=None if ends is None else time_text(ends),
        overdue=ends is not None and now_ms > ends,
    )


def _ends(kind: WaitingKind, reference: int, row: InvoiceRow, terms: InvoicesTerms) -> int | None:
    """When the term of what waits ends; None without a term, or when it has just gone."""
    if kind is WaitingKind.OFFER:
        return None if row.offer is None else row.offer.expires
    if kind is WaitingKind.LOCK:
        claimed = (c.claimed_at for c in row.claims if c.id == reference)
        return next((time + terms.lock_ms for time in claimed), None)
    if kind in _OF_FORMS:
        confirmed = kind is WaitingKind.RED_ISSUE
        term = terms.red_issue_ms if confirmed else terms.red_confirm_ms
        return next((f.since + term for f in row.forms if f.id == reference), None)
    return None


ROUTES = (
    Route(
        "GET",
        "/v1/inbox",
        show_inbox,
        "What waits for this participant and its wallet: offers, submissions, forms; for the tax "
        "bureau the forms of retired issuers, too",
        "invoices",
        Scope.READ,
        query=(
            Query("as", "Only what waits for this bare key of the wallet (hex)."),
            *PAGE_QUERY,
        ),
        answers={200: InboxPage},
        refusals=(400, 404),
    ),
)

"""Routes that list, show and trace invoices, and the inbox."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from aiohttp import web

from node.api.errors import not_found
from node.api.requests import (
    CursorInteger,
    encode_cursor,
    number_of,
    query_actor,
    query_choice,
    query_cursor,
    query_integer,
    query_limit,
    query_time,
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
from node.domains.invoices.api.facade import invoices_of
from node.domains.invoices.api.invoice_filters import FILTER_QUERY, RowFilter, query_party
from node.domains.invoices.api.invoice_views import (
    DOCUMENT_NAMES,
    RESPONSE_NAMES,
    InvoiceView,
    InvoiceWithDetails,
    invoice_view,
)
from node.domains.invoices.api.retired_inbox import retired_issuers, waits_for_issuer
from node.domains.invoices.index.queries import (
    IndexedStep,
    InvoiceFilter,
    InvoiceQueries,
    WaitingItem,
)
from node.domains.invoices.index.rows import WaitingKind
from node.ledger.codes import Table
from node.ledger.invoices.rows import InvoiceRow, decode_invoice
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.rulebook import RULEBOOK

_RESPONSES = {name: response for response, name in RESPONSE_NAMES.items()}
_STATES = {name: state for state, name in DOCUMENT_NAMES.items()}
DETAILS_PAGE_BYTES = 2 << 20
"""Details on one page of a list: at most this and one invoice more."""
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


class InvoicesPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Invoices, newest first. A short page with a cursor is not the end."""

    invoices: list[InvoiceView]
    next_cursor: str | None = None


class StepView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step in the life of an invoice."""

    operation: str
    signer: str
    time: str
    height: int
    transaction: str
    index: int | None = None
    """Position of its leaf in the tree; left out while the index is a moment behind."""
    amount: int | None = None
    other: str | None = None
    """The other party; of a red letter the invoice on its other side."""
    claim: int | None = None
    form: int | None = None


class TraceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The steps of an invoice, oldest first; each proved by its transaction's receipt."""

    number: str
    back: list[str]
    """The invoice it replaces, and of a red invoice the blue one."""
    forward: list[str]
    """Its red invoices, and the newest one issued in its place."""
    steps: list[StepView]
    next_cursor: str | None = None


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


class _ListCursor(msgspec.Struct, frozen=True, array_like=True):
    before: CursorInteger


class _StepCursor(msgspec.Struct, frozen=True, array_like=True):
    index: CursorInteger
    operation: CursorInteger


class _InboxCursor(msgspec.Struct, frozen=True, array_like=True):
    sequence: CursorInteger
    kind: CursorInteger
    reference: CursorInteger


async def read_invoice(api: Api, number: str) -> InvoiceRow:
    """The invoice's newest state row: the index may be a moment behind.

    Raises:
        ApiError: 404.
    """
    key = number.encode()
    rows = await api.node.state_rows(Table.INVOICE, (key,))
    if key not in rows:
        raise not_found("there is no invoice of this number")
    return decode_invoice(rows[key])


async def read_rows(api: Api, numbers: Sequence[str]) -> dict[str, InvoiceRow]:
    """The newest state rows of invoices, in the order asked for, each once."""
    keys = {number: number.encode() for number in numbers}
    rows = await api.node.state_rows(Table.INVOICE, list(keys.values()))
    return {n: decode_invoice(rows[key]) for n, key in keys.items() if key in rows}


async def list_invoices(api: Api, request: web.Request) -> web.Response:
    """A page of invoices, newest first."""
    state = query_choice(request, "state", tuple(_STATES))
    rows_wanted = RowFilter(request)
    party = query_party(request, "party") or rows_wanted.party
    response = query_choice(request, "response", tuple(_RESPONSES))
    frozen = query_choice(request, "frozen", ("true", "false"))
    wanted = InvoiceFilter(
        state=None if state is None else _STATES[state],
        response=None if response is None else _RESPONSES[response],
        frozen=None if frozen is None else frozen == "true",
        party=party,
        from_ms=query_time(request, "from"),
        to_ms=query_time(request, "to"),
        min_gross=query_integer(request, "min_gross"),
    )
    cursor = query_cursor(request, _ListCursor)
    page = await InvoiceQueries(api.index).invoices(
        wanted, None if cursor is None else cursor.before, query_limit(request)
    )
    now_ms = api.time_ms()
    found = await read_rows(api, [item.number for item in page.invoices])
    rows = {number: row for number, row in found.items() if rows_wanted.fits(row)}
    views = [invoice_view(row, now_ms) for row in rows.values()]
    following = page.next_before
    if query_choice(request, "details", ("true", "false")) == "true":
        views = await _with_details(api, views)
        if len(views) < len(rows):
            last = views[-1].number
            following = next(item.sequence for item in page.invoices if item.number == last)
    cursor_text = None if following is None else encode_cursor(following)
    return json_response(InvoicesPage(views, cursor_text))


async def _with_details(api: Api, views: Sequence[InvoiceView]) -> list[InvoiceView]:
    """The first of these with their details, cut past `DETAILS_PAGE_BYTES`."""
    shown: list[InvoiceView] = []
    size = 0
    for view in views:
        details = None
        if view.details_commitment is not None:
            details = await invoices_of(api).details(view.number)
        shown.append(_with(view, details))
        size += len(details or b"")
        if size > DETAILS_PAGE_BYTES:
            break
    return shown


def _with(view: InvoiceView, details: bytes | None) -> InvoiceWithDetails:
    return InvoiceWithDetails(
        **{name: getattr(view, name) for name in view.__struct_fields__},
        details=None if details is None else msgspec.Raw(details),
    )


async def show_invoice(api: Api, request: web.Request) -> web.Response:
    """One invoice, with its details if this participant can open them."""
    number = number_of(request)
    view = invoice_view(await read_invoice(api, number), api.time_ms())
    details = None
    if view.details_commitment is not None:
        details = await invoices_of(api).details(number)
    return json_response(_with(view, details))


class DetailPaths(msgspec.Struct, frozen=True):
    """What of an invoice's details a receipt can show, item by item."""

    number: str
    transaction: str
    """The transaction that issued it: its receipt takes `disclose`."""
    paths: list[str]


async def show_detail_paths(api: Api, request: web.Request) -> web.Response:
    """The items of an invoice's details, for a party that can open them."""
    number = number_of(request)
    row = await read_invoice(api, number)
    paths = await invoices_of(api).detail_paths(number)
    if paths is None:
        raise not_found("this participant cannot open details of this invoice")
    return json_response(DetailPaths(number, row.txid.hex(), list(paths)))


async def trace_invoice(api: Api, request: web.Request) -> web.Response:
    """Every step of an invoice."""
    number = number_of(request)
    row = await read_invoice(api, number)
    limit = query_limit(request)
    cursor = query_cursor(request, _StepCursor) or _StepCursor(-1, -1)
    index = InvoiceQueries(api.index)
    steps = await index.steps(number, (cursor.index, cursor.operation), limit)
    following = None
    if len(steps) == limit:
        following = encode_cursor(steps[-1].index, steps[-1].operation)
    views = [_step_view(step) for step in steps]
    if cursor.index < 0 and row.original is None:
        issued = await index.invoice(number)
        views.insert(0, _issue_view(row, None if issued is None else issued.leaf_index))
    return json_response(
        TraceView(
            number=number,
            back=[n for n in (row.replaces, row.original) if n is not None],
            forward=[
                *(form.number for form in row.forms if form.number is not None),
                *(() if row.replaced_by is None else (row.replaced_by,)),
            ],
            steps=views,
            next_cursor=following,
        )
    )


def _issue_view(row: InvoiceRow, index: int | None) -> StepView:
    return StepView(
        operation="issue",
        signer=row.issuer,
        time=time_text(row.issued_at),
        height=row.height,
        transaction=row.txid.hex(),
        index=index,
        amount=row.gross,
        other=row.replaces,
    )


def _step_view(step: IndexedStep) -> StepView:
    operation = RULEBOOK.tag_names[step.tag]
    of_form = operation.startswith("red_")
    return StepView(
        operation=operation,
        signer=step.signer,
        time=time_text(step.time_ms),
        height=step.height,
        index=step.index,
        transaction=step.txid.hex(),
        amount=step.amount,
        other=step.other,
        claim=None if of_form else step.reference,
        form=step.reference if of_form else None,
    )


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
        "/v1/invoices",
        list_invoices,
        "Invoices, newest first",
        "invoices",
        Scope.READ,
        query=(
            Query("state", "Document state.", {"type": "string", "enum": list(_STATES)}),
            Query("response", "The buyer's word.", {"type": "string", "enum": list(_RESPONSES)}),
            Query("frozen", "Held for a case.", {"type": "string", "enum": ["true", "false"]}),
            Query("party", "Issuer, buyer, reimburser, or holder at any time."),
            *FILTER_QUERY,
            Query("from", "Issued at or after this date or time."),
            Query("to", "Issued before this date or time."),
            Query(
                "details",
                "With the details that this participant can open.",
                {"type": "string", "enum": ["true", "false"]},
            ),
            Query("min_gross", "Smallest gross, in minor units.", {"type": "integer"}),
            *PAGE_QUERY,
        ),
        answers={200: InvoicesPage},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}",
        show_invoice,
        "One invoice; details for its parties",
        "invoices",
        Scope.READ,
        answers={200: InvoiceWithDetails},
        refusals=(404,),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}/details/paths",
        show_detail_paths,
        "What of the details a receipt can disclose, item by item",
        "invoices",
        Scope.READ,
        answers={200: DetailPaths},
        refusals=(404,),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}/trace",
        trace_invoice,
        "Every step of an invoice, forward and back",
        "invoices",
        Scope.READ,
        query=PAGE_QUERY,
        answers={200: TraceView},
        refusals=(400, 404),
    ),
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

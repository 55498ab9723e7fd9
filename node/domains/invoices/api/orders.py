"""The route that finds orders on the ledger: what an importer asks before it sends anything."""

from __future__ import annotations

import msgspec
from aiohttp import web
from pydantic import Field, TypeAdapter, ValidationError

from node.api.body import Body, message_of
from node.api.requests import read_json
from node.api.routing import Api, Route, json_response
from node.api.security import Scope
from node.domains.invoices.details.bodies import OrderId
from node.domains.invoices.details.drafting import order_hash
from node.ledger.codes import Table
from node.ledger.invoices.rows import decode_order, order_key

ORDERS_MAX = 1_000
"""Orders asked for at once; their ids may fill 128 KB."""


class OrdersBody(Body):
    """Orders of this participant."""

    order_ids: list[str] = Field(
        min_length=1,
        max_length=ORDERS_MAX,
        description="One that no order can have is told as `malformed`; the others are looked for.",
    )


class OrderView(msgspec.Struct, frozen=True):
    """An order that was used."""

    order_id: str
    number: str
    """Of the blue or red invoice that it issued."""


class MalformedOrderId(msgspec.Struct, frozen=True):
    """An id that no order can have: nothing was issued for it, and nothing can be."""

    index: int
    """Its place among those asked for, from 0."""
    message: str


class OrdersView(msgspec.Struct, frozen=True):
    """The orders that the ledger holds, in the order asked for; the others are free."""

    orders: list[OrderView]
    malformed: list[MalformedOrderId]
    """What is neither held nor free; a few misspelt ids hide nothing about the rest."""


async def find_orders(api: Api, request: web.Request) -> web.Response:
    """Which of these orders the ledger holds."""
    body, _ = await read_json(request, OrdersBody, api.config)
    issuer = api.node.participant
    malformed = [
        MalformedOrderId(index, message)
        for index, each in enumerate(body.order_ids)
        if (message := _wrong_in(each))
    ]
    refused = {each.index for each in malformed}
    keys = {
        each: order_key(issuer, order_hash(issuer, each))
        for index, each in enumerate(body.order_ids)
        if index not in refused
    }
    rows = await api.node.state_rows(Table.ORDER, list(keys.values()))
    found = [
        OrderView(order_id, decode_order(rows[key]).number)
        for order_id, key in keys.items()
        if key in rows
    ]
    return json_response(OrdersView(found, malformed))


_ORDER_ID: TypeAdapter[str] = TypeAdapter(OrderId)


def _wrong_in(order_id: str) -> str | None:
    """Why no order can have this id, as issuing it would be refused."""
    try:
        _ORDER_ID.validate_python(order_id)
    except ValidationError as error:
        return message_of(error.errors(include_url=False, include_context=False)[0])
    return None


ROUTES = (
    Route(
        "POST",
        "/v1/orders:find",
        find_orders,
        "Which of this participant's orders the ledger holds, and under which numbers",
        "invoices",
        Scope.OPERATE,
        body=OrdersBody,
        answers={200: OrdersView},
        refusals=(400, 408, 413, 415, 422),
    ),
)

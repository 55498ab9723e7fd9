"""The route that finds orders on the ledger: what an importer asks before it sends anything."""

from __future__ import annotations

import msgspec
from aiohttp import web
from pydantic import Field

from node.api.body import Body
from node.api.drafts import order_hash
from node.api.requests import read_json
from node.api.routing import Api, Route, json_response
from node.api.schemas import OrderId
from node.api.security import Scope
from node.ledger.codes import Table
from node.ledger.invoices.rows import decode_order, order_key

ORDERS_MAX = 1_000
"""Orders asked for at once; their ids may fill 128 KB."""


class OrdersBody(Body):
    """Orders of this participant."""

    order_ids: list[OrderId] = Field(min_length=1, max_length=ORDERS_MAX)


class OrderView(msgspec.Struct, frozen=True):
    """An order that was used."""

    order_id: str
    number: str
    """Of the blue or red invoice that it issued."""


class OrdersView(msgspec.Struct, frozen=True):
    """The orders that the ledger holds, in the order asked for; the others are free."""

    orders: list[OrderView]


async def find_orders(api: Api, request: web.Request) -> web.Response:
    """Which of these orders the ledger holds."""
    body, _ = await read_json(request, OrdersBody, api.config)
    issuer = api.node.participant
    keys = {each: order_key(issuer, order_hash(issuer, each)) for each in body.order_ids}
    rows = await api.node.state_rows(Table.ORDER, list(keys.values()))
    found = [
        OrderView(order_id, decode_order(rows[key]).number)
        for order_id, key in keys.items()
        if key in rows
    ]
    return json_response(OrdersView(found))


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

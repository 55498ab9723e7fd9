"""Orders on the ledger beside what a caller would issue under them."""

from __future__ import annotations

from typing import Any

import pytest

from node.api.security import Scope
from node.domains.invoices.details.drafting import order_hash
from node.ledger.codes import Table
from node.ledger.invoices.rows import FormRow, FormState, OrderRow, decode_invoice, order_key
from node.ledger.row_codec import encode_row
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode

LINES = [
    {"description": "Paper", "quantity": "2", "unit_price": "5.00", "net": 1_000, "rate": 1_300},
    {"description": "Ink", "net": 300, "rate": 1_300},
]
INVOICE: dict[str, Any] = {
    "order_id": "A-1",
    "buyer": BUYER,
    "currency": "CNY",
    "issue_date": "2026-11-18",  # the fake's
    "lines": LINES,
    "details": {"remarks": "urgent", "buyer": {"name": "Ping An"}},
}


@pytest.fixture
async def number(api: ApiClient, node: FakeNode) -> str:
    """Of the invoice on the ledger."""
    issued = str((await api.post("/v1/invoices?wait=final", INVOICE)).json["number"])
    used(node, "A-1", issued)
    return issued


def used(node: FakeNode, order_id: str, number: str) -> None:
    key = order_key(ISSUER, order_hash(ISSUER, order_id))
    node.rows[Table.ORDER, key] = encode_row(OrderRow(number, bytes(32)))


async def differs(api: ApiClient, **bodies: Any) -> list[str]:
    answer = await api.post("/v1/orders:compare", bodies, scope=Scope.OPERATE)
    assert answer.status == 200, answer.json
    (order,) = answer.json["orders"]
    found: list[str] = order["differs"]
    return found


async def test_the_same_is_the_same_and_a_free_order_is_left_out(
    api: ApiClient, number: str
) -> None:
    bodies = {"invoices": [INVOICE, INVOICE | {"order_id": "A-2"}]}
    answer = await api.post("/v1/orders:compare", bodies, scope=Scope.OPERATE)
    assert answer.json == {"orders": [{"order_id": "A-1", "number": number, "differs": []}]}


LESS = [LINES[0], LINES[1] | {"net": 299}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"buyer": REIMBURSER}, ["/buyer"]),
        ({"kind": "special"}, ["/kind"]),
        ({"currency": "EUR"}, ["/currency"]),
        ({"issue_date": "2026-11-19"}, ["/issue_date"]),
        ({"issue_date": None}, []),
        ({"buyer": None}, []),
        ({"replaces": "0" * 20}, ["/replaces"]),
        ({"lines": LESS}, ["/net", "/gross", "/groups", "/lines/1/net"]),
        ({"lines": [LINES[0], LINES[1] | {"description": "Tea"}]}, ["/lines/1/description"]),
        ({"lines": LINES[::-1], "details": INVOICE["details"]}, None),
        ({"details": {"remarks": "urgent"}}, ["/details/buyer"]),
        (
            {"details": {"remarks": "late", "buyer": {"name": "Ping An", "phone": "1"}}},
            ["/details/buyer/phone", "/details/remarks"],
        ),
    ],
)
async def test_what_differs_is_named(
    api: ApiClient, number: str, change: dict[str, Any], expected: list[str] | None
) -> None:
    found = await differs(api, invoices=[INVOICE | change])
    if expected is None:
        assert found
        assert all(path.startswith("/lines/") for path in found)
    else:
        assert found == expected


async def test_details_that_this_node_cannot_open_are_not_judged(
    api: ApiClient, node: FakeNode, number: str
) -> None:
    del node.opened[number]
    assert await differs(api, invoices=[INVOICE | {"details": {"remarks": "late"}}]) == []


async def test_details_of_the_same_commitment_are_not_opened(
    api: ApiClient, node: FakeNode, number: str
) -> None:
    row = decode_invoice(node.rows[Table.INVOICE, number.encode()])
    row.details = node.details_commitment(row.order, node.opened[number])
    node.put(row)
    node.opened[number] = b"[1]"
    assert await differs(api, invoices=[INVOICE]) == []
    other = INVOICE | {"details": {"remarks": "late"}}
    assert await differs(api, invoices=[other]) == ["/details"]


@pytest.mark.parametrize("sealed", [b"[1]", b"\xff", b"[" * 100_000])
async def test_details_that_are_none_of_ours_differ(
    api: ApiClient, node: FakeNode, number: str, sealed: bytes
) -> None:
    node.opened[number] = sealed
    assert await differs(api, invoices=[INVOICE]) == ["/details"]


async def test_red_letters_are_compared_with_amounts_or_with_what_was_asked(
    api: ApiClient, node: FakeNode, number: str
) -> None:
    row = decode_invoice(node.rows[Table.INVOICE, number.encode()])
    form = FormRow(0, True, 113, 113, 1, FormState.CONFIRMED, 0)
    row.forms = (form,)
    node.put(row)
    line = {"description": "Paper", "quantity": "0.20", "net": 100, "rate": 1_300, "original": 0}
    red: dict[str, Any] = {"order_id": "R-1", "lines": [line]}
    answer = await api.post(f"/v1/invoices/{number}/red/0/issue?wait=final", red)
    assert answer.status == 201, answer.json
    used(node, "R-1", answer.json["number"])
    same = red | {"invoice": number}

    assert await differs(api, red=[same]) == []
    assert await differs(api, red=[same | {"invoice": "9" * 20}]) == ["/invoice"]
    assert "/lines/0/quantity" in await differs(
        api, red=[same | {"lines": [line | {"quantity": "0.3"}]}]
    )
    assert await differs(api, invoices=[INVOICE | {"order_id": "R-1"}]) == ["/kind"]
    assert await differs(api, red=[same | {"order_id": "A-1"}]) == ["/kind"]

    late = {"order_id": "R-1", "invoice": number}
    for taken, expected in (
        ([{"line": 0}], []),
        ([{"line": 0, "quantity": "0.2", "net": 100}], []),
        ([{"line": 0, "quantity": "1"}], ["/taken/0/quantity"]),
        ([{"line": 0, "net": 99}], ["/taken/0/net"]),
        ([{"line": 1}], ["/taken/0/line", "/taken"]),
        ([{"line": 0}, {"line": 1}], ["/taken/1/line"]),
    ):
        assert await differs(api, red=[late | {"taken": taken}]) == expected


async def test_a_body_that_makes_no_invoice_is_named_by_its_place(
    api: ApiClient, number: str
) -> None:
    wrong = INVOICE | {"lines": [LINES[0] | {"net": 5}]}
    for bodies, path in (
        ({"invoices": [INVOICE, wrong]}, "/invoices/1/lines/0/net"),
        ({"red": [{"order_id": "A-1", "invoice": number} | {"lines": wrong["lines"]}]}, None),
        ({"invoices": [INVOICE] * 201}, "/invoices"),
    ):
        answer = await api.post("/v1/orders:compare", bodies, scope=Scope.OPERATE)
        if path is not None:
            assert answer.status == 422
            assert answer.json["errors"][0]["path"] == path
        else:  # no red letter at all: its amounts are not looked at
            assert answer.json["orders"][0]["differs"] == ["/kind"]

"""What an invoice would be, told before it is issued."""

from __future__ import annotations

from typing import Any

import pytest

from node.api.security import Scope
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, FakeNode

BODY: dict[str, Any] = {
    "order_id": "A-1",
    "buyer": BUYER,
    "currency": "CNY",
    "lines": [
        {"description": "Desk", "net": 123_450, "rate": 1_300},
        {"description": "Chair", "net": 10_000, "rate": 600},
    ],
}


async def test_it_says_what_would_be_signed_and_signs_nothing(
    api: ApiClient, node: FakeNode
) -> None:
    answer = await api.post("/v1/invoices:preview", BODY, scope=Scope.OPERATE)
    assert answer.status == 200, answer.json
    assert answer.json == {
        "seller": ISSUER,
        "buyer": BUYER,
        "order_id": "A-1",
        "kind": "ordinary",
        "currency": "CNY",
        "issue_date": "2026-11-24",
        "groups": [
            {"rate": 600, "net": 10_000, "tax": 600},
            {"rate": 1_300, "net": 123_450, "tax": 16_049},
        ],
        "net": 133_450,
        "tax": 16_649,
        "gross": 150_099,
        "capitals": "壹仟伍佰元玖角玖分",
    }
    assert node.operations == []


async def test_a_buyer_without_keys_gets_none_from_a_preview(api: ApiClient) -> None:
    body = BODY | {"buyer": "claim"}
    answer = await api.post("/v1/invoices:preview", body, scope=Scope.OPERATE)
    assert answer.json["buyer"] == "claim"


@pytest.mark.parametrize(
    ("currency", "capitals"),
    [("JPY", "壹拾伍万零玖拾玖日元整"), ("KWD", "壹佰伍拾点零玖玖科威特第纳尔")],
)
async def test_the_words_are_of_the_currency(api: ApiClient, currency: str, capitals: str) -> None:
    body = BODY | {"currency": currency}
    answer = await api.post("/v1/invoices:preview", body, scope=Scope.OPERATE)
    assert answer.json["capitals"] == capitals


async def test_what_makes_no_invoice_is_named(api: ApiClient) -> None:
    body = {name: value for name, value in BODY.items() if name != "lines"}
    answer = await api.post("/v1/invoices:preview", body, scope=Scope.OPERATE)
    assert answer.status == 422
    assert answer.json["errors"][0]["path"] == ""

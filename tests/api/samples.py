"""What requests of these tests hold in common."""

from __future__ import annotations

from typing import Any

from node.ledger.transaction import encode_wire
from tests.api.fake_node import BUYER, FakeNode, issue

NUMBER = "26110000000000000001"


INVOICE: dict[str, Any] = {
    "order_id": "A-1",
    "buyer": BUYER,
    "currency": "CNY",
    "groups": [{"rate": 1300, "net": 10_000}],
}


def wire(node: FakeNode, number: str = NUMBER) -> bytes:
    return encode_wire(node.body((issue(number),)), bytes(64))

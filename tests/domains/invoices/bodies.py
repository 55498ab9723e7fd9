"""A body for each path of invoices that takes one, for tests that break it."""

from __future__ import annotations

from typing import Any

from node.custody.wallet import claim_text
from tests.api.fake_node import BUYER
from tests.api.samples import INVOICE, NUMBER
from tests.api.test_holds import OPERATIONS as HOLDS
from tests.api.test_membership import OPERATIONS as ISSUERS
from tests.api.test_operations import OPERATIONS

_LINE = {"description": "d", "quantity": "2", "unit_price": "1.50", "net": 300, "rate": 1300}
_LINES = {"order_id": "L", "buyer": BUYER, "currency": "CNY", "lines": [_LINE, _LINE]}
_RED = {"order_id": "R", "invoice": NUMBER, "taken": [{"line": 0, "net": 5}]}
_WHOLE = {**INVOICE, "details": {"extensions": {"a": {"b": [1]}}}, "issue_date": "2026-11-01"}
_BODIES: dict[str, Any] = {
    "/v1/invoices": _WHOLE,
    "/v1/invoices:preview": _WHOLE,
    "/v1/invoices:batch": {"invoices": [INVOICE, _LINES]},
    "/v1/orders:find": {"order_ids": ["A-1", "R"]},
    "/v1/orders:compare": {"invoices": [INVOICE], "red": [_RED, _RED | {"lines": [_LINE]}]},
    "/v1/wallet/keys": {},
    "/v1/wallet/keys:import": {"claim_key": claim_text(bytes(range(32)))},
}


def example(path: str) -> Any:
    """A body that is taken."""
    if path in _BODIES:
        return _BODIES[path]
    if path.endswith("/share"):
        return {"to": BUYER}
    if path.endswith("/red/{form}/issue"):
        return {"order_id": "R", "lines": [_LINE]}
    last = path.rsplit("/", maxsplit=1)[-1]
    known = (*OPERATIONS, *ISSUERS, *HOLDS)
    return next(body for path, body, _ in known if path.split("/")[-1] == last)

"""Each write of an invoice or a register becomes its operation, or a clear refusal."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from node.following.outcomes import (
    BusyError,
    FacadeError,
    RefusedError,
    TooLargeError,
    WriteRefusal,
    WriteRefusedError,
)
from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
)
from node.ledger.invoices.rows import (
    DiscrepancyKind,
)
from node.ledger.operations import DirectOperation
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode
from tests.api.samples import INVOICE, NUMBER, wire
from tests.api.test_transactions import TRANSACTION_TYPE

BASE = f"/v1/invoices/{NUMBER}"


OPERATIONS: list[tuple[str, dict[str, object], object]] = [
    (f"{BASE}/respond", {"response": "accepted"}, ops.RespondInvoice(NUMBER, 2, 0, "")),
    (
        f"{BASE}/respond",
        {"response": "partly_accepted", "amount": 5, "reason": "broken"},
        ops.RespondInvoice(NUMBER, 3, 5, "broken"),
    ),
    (f"{BASE}/lapse", {}, ops.LapseResponse(NUMBER)),
    (f"{BASE}/rule", {"accepted": True, "reason": "r"}, ops.RuleDispute(NUMBER, True, "r")),
    (f"{BASE}/freeze", {"case": "C 1"}, ops.FreezeInvoice(NUMBER, "C 1")),
    (
        f"{BASE}/resolve",
        {"kind": "net_mismatch", "reason": "r"},
        ops.ResolveDiscrepancy(NUMBER, DiscrepancyKind.NET_MISMATCH, "r"),
    ),
    (f"{BASE}/unfreeze", {"case": "C 1"}, ops.UnfreezeInvoice(NUMBER, "C 1")),
    (
        f"{BASE}/offer",
        {"to": BUYER, "expires": "2026-12-01T00:00:00Z"},
        ops.OfferInvoice(NUMBER, BUYER, 1_796_083_200_000),
    ),
    (f"{BASE}/offer", {"to": "ab" * 32}, ops.OfferInvoice(NUMBER, "ab" * 32, NOW_MS + 604_800_000)),
    (f"{BASE}/sign", {}, ops.SignOffer(NUMBER)),
    (f"{BASE}/refuse", {}, ops.RefuseOffer(NUMBER)),
    (f"{BASE}/withdraw", {}, ops.WithdrawOffer(NUMBER)),
    (f"{BASE}/submit", {"to": REIMBURSER, "amount": 5}, ops.SubmitInvoice(NUMBER, REIMBURSER, 5)),
    (f"{BASE}/claim", {"amount": 5}, ops.ClaimInvoice(NUMBER, 5)),
    (f"{BASE}/release", {"claim": 2}, ops.ReleaseClaim(NUMBER, 2)),
    (
        f"{BASE}/reimburse",
        {"claim": 2, "amount": 4, "booking": "B", "payment": "P"},
        ops.ReimburseClaim(NUMBER, 2, 4, "B", "P"),
    ),
    (f"{BASE}/book", {"reference": "B"}, ops.BookInvoice(NUMBER, "B")),
    (f"{BASE}/unbook", {"reason": "twice"}, ops.UnbookInvoice(NUMBER, "twice")),
    (f"{BASE}/cancel", {"reason": "typo"}, ops.CancelInvoice(NUMBER, "typo")),
    (f"{BASE}/red", {"amount": 9, "reason": "return"}, ops.RequestRedLetter(NUMBER, 9, 2)),
    (f"{BASE}/red/3/confirm", {}, ops.ConfirmRedLetter(NUMBER, 3)),
    (f"{BASE}/red/3/deny", {}, ops.DenyRedLetter(NUMBER, 3)),
    (f"{BASE}/red/3/withdraw", {}, ops.WithdrawRedLetter(NUMBER, 3)),
    (f"{BASE}/red/3/lapse", {}, ops.LapseRedLetter(NUMBER, 3)),
    (
        f"{BASE}/red/3/consent",
        {"claim": 1, "locked": 5},
        ops.ConsentRedLetter(NUMBER, 3, 1, 5, 0),
    ),
    (
        "/v1/segments",
        {"issuer": ISSUER, "first": NUMBER, "count": 100},
        AllotSegment(ISSUER, NUMBER, 100),
    ),
    (
        "/v1/quotas",
        {
            "issuer": ISSUER,
            "month": "2026-11",
            "net": 7,
            "valid_from": "2026-11-01T00:00:00Z",
            "valid_to": "2026-12-01T00:00:00Z",
        },
        GrantQuota(ISSUER, 202_611, 7, 1_793_491_200_000, 1_796_083_200_000),
    ),
    ("/v1/tax-rates", {"rates": [600, 1300]}, PublishTaxRates(None, (600, 1300))),
    (
        "/v1/exchange-rates",
        {"currency": "GBP", "micro": 9_000_000, "date": "2026-11-01"},
        PublishExchangeRate("GBP", 9_000_000, "2026-11-01"),
    ),
]


@pytest.mark.parametrize(("path", "body", "expected"), OPERATIONS)
async def test_each_write_becomes_its_operation(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object], expected: object
) -> None:
    answer = await api.post(f"{path}?wait=committed", body)

    assert answer.status == 201
    assert node.operations == [expected]
    # What was built must pass the ledger's own decoder.
    msgspec.msgpack.decode(msgspec.msgpack.encode(expected), type=DirectOperation)


@pytest.mark.parametrize(("path", "body", "expected"), OPERATIONS)
async def test_each_write_refuses_unknown_fields(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object], expected: object
) -> None:
    answer = await api.post(path, {**body, "surprise": 1})

    assert answer.status == 422
    assert answer.json["errors"] == [
        {"path": "/surprise", "message": "Extra inputs are not permitted"}
    ]
    assert node.operations == []


async def test_a_write_without_fields_may_leave_the_body_out(
    api: ApiClient, node: FakeNode
) -> None:
    headers = {"Content-Type": "application/json"}

    answer = await api.call("POST", f"{BASE}/sign", headers=headers, data=b"")

    assert answer.status == 202
    assert node.operations == [ops.SignOffer(NUMBER)]


@pytest.mark.parametrize(
    ("fault", "status", "code", "retry"),
    [
        (WriteRefusedError(WriteRefusal("NO_QUORUM")), 503, "NO_QUORUM", True),
        (WriteRefusedError(WriteRefusal("DISK_FULL", "x")), 507, "DISK_FULL", True),
        (BusyError("full", 7), 429, "TOO_MANY_REQUESTS", True),
        (RefusedError(Code.NOT_HOLDER, "no"), 409, "NOT_HOLDER", False),
        (TooLargeError("big"), 413, "BODY_TOO_LARGE", False),
    ],
)
async def test_what_the_node_raises_becomes_its_status(
    api: ApiClient, node: FakeNode, fault: FacadeError, status: int, code: str, retry: bool
) -> None:
    node.fault = fault

    answer = await api.post(f"{BASE}/sign")

    assert (answer.status, answer.json["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) is retry


@pytest.mark.parametrize("reason", ["NO_QUORUM", "NOT_FINALISING", "NOT_READY"])
async def test_writes_answer_503_and_reads_go_on_while_the_node_refuses_writes(
    api: ApiClient, node: FakeNode, reason: Any
) -> None:
    node.refusal = WriteRefusal(reason)
    data = wire(node)
    attempts = [
        await api.post("/v1/invoices", INVOICE),
        await api.post("/v1/invoices:batch", {"invoices": [INVOICE]}),
        await api.post(f"{BASE}/sign"),
        await api.call(
            "POST", "/v1/transactions", data=data, headers={"Content-Type": TRANSACTION_TYPE}
        ),
    ]

    assert {(a.status, a.json["code"]) for a in attempts} == {(503, reason)}
    assert all(a.headers["Retry-After"] == "1" for a in attempts)
    assert (await api.get("/v1/status")).status == 200
    assert node.heights().committed == 0

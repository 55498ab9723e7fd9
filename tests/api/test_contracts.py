"""Every route answers with the statuses and bodies that INTERFACE.md promises."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from node.api.config import ApiConfig
from node.api.requests import time_text
from node.api.security import Scope
from node.domains.invoices.details.drafting import order_hash
from node.following.evidence_views import EvidenceItem
from node.following.outcomes import (
    BusyError,
    FacadeError,
    RefusedError,
    TooLargeError,
    WriteRefusal,
    WriteRefusedError,
)
from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
)
from node.ledger.invoices.bureau.register_rows import (
    QuotaRow,
    SegmentRow,
    SegmentsRow,
    TaxRatesRow,
    quota_key,
    segments_key,
)
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.rows import (
    ClaimRow,
    DiscrepancyKind,
    DiscrepancyRow,
    FormRow,
    FormState,
    GroupRow,
    OfferRow,
    OrderRow,
    SubmissionRow,
    discrepancy_key,
    order_key,
)
from node.ledger.operations import DirectOperation
from node.ledger.participants import KeyRow, ParticipantRow, ParticipantState
from node.ledger.row_codec import encode_row
from node.ledger.transaction import encode_wire, transaction_id
from node.ledger.types import Role
from node.runtime.routes import ROUTES
from node.services.status import Check
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, START_MS, FakeNode, invoice_row, issue
from tests.ledger.awkward import CONTROLS, DIRECTIONS, UNSIGNABLE

NUMBER = "26110000000000000001"
INVOICE: dict[str, Any] = {
    "order_id": "A-1",
    "buyer": BUYER,
    "currency": "CNY",
    "groups": [{"rate": 1300, "net": 10_000}],
}
TRANSACTION_TYPE = "application/vnd.piaolian.transaction"
BLOCK_TYPE = "application/vnd.piaolian.block"


def wire(node: FakeNode, number: str = NUMBER) -> bytes:
    return encode_wire(node.body((issue(number),)), bytes(64))


# --- Issuing ---------------------------------------------------------------------------------


async def test_issue_answers_202_with_number_transaction_and_state(api: ApiClient) -> None:
    answer = await api.post("/v1/invoices", INVOICE)

    assert answer.status == 202
    assert answer.json["number"] == "0" * 20
    assert answer.json["state"] == "pending"
    assert len(answer.json["transaction"]) == 64


@pytest.mark.parametrize(("wait", "state"), [("committed", "final"), ("final", "final")])
async def test_issue_answers_201_when_the_state_waited_for_is_reached(
    api: ApiClient, wait: str, state: str
) -> None:
    answer = await api.post(f"/v1/invoices?wait={wait}", INVOICE)

    assert (answer.status, answer.json["state"]) == (201, state)
    assert answer.json["height"] == 1
    shown = await api.get(f"/v1/invoices/{answer.json['number']}")
    assert shown.json["gross"] == 11_300


async def test_issue_answers_202_with_the_state_so_far_at_the_timeout(
    api: ApiClient, node: FakeNode
) -> None:
    node.automatic = False

    answer = await api.post("/v1/invoices?wait=final&timeout_s=0.05", INVOICE)

    assert (answer.status, answer.json["state"]) == (202, "pending")


async def test_issue_draft_carries_order_hash_today_and_totals(
    api: ApiClient, node: FakeNode
) -> None:
    await api.post("/v1/invoices", {**INVOICE, "details": {"extensions": {"b": 1, "a": ["ä"]}}})

    (draft,) = node.drafts
    expected = hashlib.sha256(b"piaolian/order/v1\n" + ISSUER.encode() + b"\nA-1").digest()
    assert draft.order == expected
    assert draft.issue_date == "2026-11-24"  # type: ignore[union-attr]
    assert (draft.net, draft.tax, draft.gross) == (10_000, 1_300, 11_300)
    assert draft.details == '{"extensions":{"a":["ä"],"b":1}}'.encode()


@pytest.mark.parametrize(
    ("rates", "detail"),
    [
        ({b"*": (300, 600)}, "no tax rate in force: 13%; in force for all issuers: 3%, 6%"),
        (
            {b"*": (1_300,), ISSUER.encode(): (0, 150)},
            "no tax rate in force: 13%; in force for this issuer: 0%, 1.5%",
        ),
        ({b"*": ()}, "no tax rate in force: 13%; in force for all issuers: none"),
        ({}, "no tax rate in force: 13%; the tax bureau has published no rates"),
        ({b"*": (1_300,)}, "A tax rate is not in force for the issuer."),
    ],
)
async def test_a_rate_that_is_not_in_force_is_named_with_those_that_are(
    api: ApiClient, node: FakeNode, rates: dict[bytes, tuple[int, ...]], detail: str
) -> None:
    for key, row in rates.items():
        node.rows[Table.TAX_RATES, key] = encode_row(TaxRatesRow(row))
    node.next_code = Code.RATE_NOT_ALLOWED

    answer = await api.post("/v1/invoices?wait=committed", INVOICE)

    assert (answer.status, answer.json["code"]) == (409, "RATE_NOT_ALLOWED")
    assert answer.json["detail"] == detail


async def test_a_refusal_by_the_rules_is_409_with_its_code_and_transaction(
    api: ApiClient, node: FakeNode
) -> None:
    node.next_code = Code.QUOTA_EXCEEDED

    answer = await api.post("/v1/invoices?wait=committed", INVOICE)

    assert answer.status == 409
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["code"] == "QUOTA_EXCEEDED"
    assert len(answer.json["transaction"]) == 64
    assert answer.json["height"] == 1


async def test_batch_answers_all_numbers_in_order(api: ApiClient, node: FakeNode) -> None:
    body = {"invoices": [{**INVOICE, "order_id": f"A-{n}"} for n in range(3)]}

    answer = await api.post("/v1/invoices:batch?wait=final", body)

    assert answer.status == 201
    assert answer.json["numbers"] == [f"{n:020d}" for n in range(3)]
    assert [draft.order_id for draft in node.drafts] == ["A-0", "A-1", "A-2"]


async def test_batch_names_the_invoice_at_fault(api: ApiClient, node: FakeNode) -> None:
    wrong = {**INVOICE, "groups": [{"rate": 1300, "net": 1}, {"rate": 1300, "net": 1}]}

    answer = await api.post("/v1/invoices:batch", {"invoices": [INVOICE, wrong]})

    assert answer.status == 422
    assert answer.json["errors"][0]["path"] == "/invoices/1/groups"
    assert node.drafts == []


async def test_idempotency_key_answers_the_same_again_and_refuses_another_body(
    api: ApiClient, node: FakeNode
) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await api.post("/v1/invoices", INVOICE, headers=headers)
    again = await api.post("/v1/invoices", INVOICE, headers=headers)
    other = await api.post("/v1/invoices", {**INVOICE, "order_id": "B"}, headers=headers)
    bad = await api.post("/v1/invoices", INVOICE, headers={"Idempotency-Key": "k" * 129})

    assert again.json["number"] == first.json["number"]
    assert again.json["transaction"] == first.json["transaction"]
    assert (other.status, other.json["code"]) == (422, "IDEMPOTENCY_CONFLICT")
    assert bad.status == 400


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"surprise": 1}, "/surprise"),
        ({"order_id": None}, "/order_id"),
        ({"order_id": ""}, "/order_id"),
        *(({"order_id": words}, "/order_id") for words in UNSIGNABLE.values()),
        ({"buyer": f"{BUYER}\n"}, "/buyer"),
        ({"currency": "CNY\n"}, "/currency"),
        ({"issue_date": "2026-11-01\n"}, "/issue_date"),
        ({"issue_date": "２０２６-11-01"}, "/issue_date"),
        *(
            ({"details": {"seller": {"name": f"a{mark}b"}}}, "/details/seller/name")
            for mark in (*CONTROLS, *DIRECTIONS)
        ),
        ({"details": {"remarks": "a\u202eb"}}, "/details/remarks"),
        ({"details": {"remarks": "a\rb"}}, "/details/remarks"),
        ({"details": {"extensions": {"x": ["a\u2066b"]}}}, "/details/extensions"),
        ({"buyer": "nobody"}, "/buyer"),
        ({"currency": "cny"}, "/currency"),
        ({"issue_date": "2026-02-30"}, "/issue_date"),
        ({"groups": [{"rate": 1300, "net": 1.5}]}, "/groups/0/net"),
        ({"groups": [{"rate": 1300, "net": "5"}]}, "/groups/0/net"),
        ({"groups": [{"rate": 1300, "net": True}]}, "/groups/0/net"),
        ({"groups": [{"rate": 1300, "net": 10**15 + 1}]}, "/groups/0/net"),
        ({"groups": []}, "/groups"),
        ({"lines": []}, "/lines"),
        ({"details": {"extensions": {"x": 1.5}}}, "/details"),
        ({"details": {"extensions": {"x": "y" * 270_000}}}, "/details"),
    ],
)
async def test_wrong_fields_are_422_with_their_path(
    api: ApiClient, node: FakeNode, change: dict[str, object], path: str
) -> None:
    answer = await api.post("/v1/invoices", {**INVOICE, **change})

    assert (answer.status, answer.json["code"]) == (422, "INVALID_FIELDS")
    assert path in [error["path"] for error in answer.json["errors"]]
    assert node.drafts == []


# --- Operations ------------------------------------------------------------------------------

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


# --- Signed transactions ---------------------------------------------------------------------


async def submit(api: ApiClient, data: bytes, query: str = "") -> Any:
    return await api.call(
        "POST", f"/v1/transactions{query}", data=data, headers={"Content-Type": TRANSACTION_TYPE}
    )


async def test_signed_transaction_is_accepted_and_followed_to_its_receipt(
    api: ApiClient, node: FakeNode
) -> None:
    node.automatic = False
    data = wire(node)
    answer = await submit(api, data)
    identity = answer.json["id"]
    pending = await api.get(f"/v1/transactions/{identity}")
    early = await api.get(f"/v1/transactions/{identity}/receipt")
    await node.commit()
    committed = await api.get(f"/v1/transactions/{identity}?wait=committed")
    node.finalise()
    final = await api.get(f"/v1/transactions/{identity}?wait=final")
    receipt = await api.get(f"/v1/transactions/{identity}/receipt")

    assert (answer.status, answer.json) == (202, {"id": identity, "state": "pending"})
    assert (pending.json["state"], pending.json["final"]) == ("pending", False)
    assert (early.status, early.json["code"]) == (409, "NOT_FINAL")
    assert (committed.json["state"], committed.json["height"]) == ("committed", 1)
    assert (final.json["state"], final.json["final"], final.json["index"]) == ("final", True, 0)
    assert final.json["author"] == ISSUER
    assert final.json["operations"][0]["kind"] == "issue"
    assert final.json["operations"][0]["signer"] == ISSUER
    assert final.json["operations"][0]["fields"]["number"] == NUMBER
    assert receipt.headers["Content-Type"].startswith("text/plain")
    assert receipt.content.startswith(b"c2sp.org/tlog-proof@v1\n")


async def test_a_receipt_shows_items_of_the_details(api: ApiClient, node: FakeNode) -> None:
    identity = (await submit(api, wire(node))).json["id"]
    path = f"/v1/transactions/{identity}/receipt"

    shown = await api.get(f"{path}?disclose=/lines/0&disclose=/seller/name&operation=3")
    assert shown.status == 200
    assert node.disclosed == (("/lines/0", "/seller/name"), 3)
    assert (await api.get(f"{path}?disclose=/lines/9")).status == 404
    assert (await api.get(f"{path}?operation=x")).status == 400
    many = "&".join(["disclose=/lines/0"] * 257)
    assert (await api.get(f"{path}?{many}")).status == 400


async def test_details_are_shared_and_their_items_listed_by_who_can_open_them(
    api: ApiClient, node: FakeNode
) -> None:
    await submit(api, wire(node))
    path = f"/v1/invoices/{NUMBER}"
    assert (await api.get(f"{path}/details/paths")).status == 404
    assert (await api.post(f"{path}/share", {"to": BUYER})).status == 404
    node.opened[NUMBER] = b"{}"

    paths = await api.get(f"{path}/details/paths")
    shared = await api.post(f"{path}/share?wait=final", {"to": BUYER})

    assert paths.json["paths"] == ["/lines/0", "/seller/name"]
    assert len(paths.json["transaction"]) == 64
    assert shared.status == 201
    assert isinstance(node.operations[-1], ops.ShareDetails)
    assert (await api.post(f"{path}/share", {"to": "x"})).status == 422
    assert (await api.get(f"/v1/invoices/{'9' * 20}/details/paths")).status == 404


async def test_submitting_again_answers_the_present_state(api: ApiClient, node: FakeNode) -> None:
    data = wire(node)
    await submit(api, data)

    again = await submit(api, data)

    assert (again.status, again.json["state"]) == (202, "final")


@pytest.mark.parametrize(
    ("code", "status"), [(Code.BAD_SIGNATURE, 409), (Code.UNKNOWN_AUTHOR, 409)]
)
async def test_a_transaction_refused_on_admission_is_a_problem(
    api: ApiClient, node: FakeNode, code: Code, status: int
) -> None:
    node.next_code = code

    answer = await submit(api, wire(node))

    assert (answer.status, answer.json["code"]) == (status, code.name)


async def test_bytes_that_are_no_transaction_are_400(api: ApiClient) -> None:
    answer = await submit(api, b"\x93garbage")

    assert (answer.status, answer.json["code"]) == (400, "MALFORMED")


async def test_batch_answers_one_state_each_in_order(api: ApiClient, node: FakeNode) -> None:
    wires = [wire(node, f"{n:020d}") for n in range(500)]
    wires[7] = b"garbage"

    answer = await api.call(
        "POST",
        "/v1/transactions:batch",
        data=msgspec.msgpack.encode(wires),
        headers={"Content-Type": "application/msgpack"},
    )

    results = answer.json["transactions"]
    assert answer.status == 202
    assert len(results) == 500
    assert (results[7]["id"], results[7]["state"], results[7]["code"]) == (
        None,
        "refused",
        "MALFORMED",
    )
    body = msgspec.msgpack.decode(wires[8])[0]
    assert results[8] == {"id": transaction_id(body).hex(), "state": "pending"}


@pytest.mark.parametrize(
    "data", [b"", b"\xc0", b"\x90", b"\x91\x01", msgspec.msgpack.encode([b"x"] * 2_001)]
)
async def test_a_batch_that_is_no_array_of_bytes_is_400(api: ApiClient, data: bytes) -> None:
    headers = {"Content-Type": "application/vnd.piaolian.transactions"}

    answer = await api.call("POST", "/v1/transactions:batch", data=data, headers=headers)

    assert answer.status == 400


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/transactions/{'0' * 64}",
        f"/v1/transactions/{'0' * 64}/receipt",
        "/v1/transactions/xyz",
        f"/v1/transactions/{'A' * 64}",
        "/v1/invoices/99999999999999999999",
        "/v1/invoices/٠١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨٩",
        "/v1/invoices/1/trace",
        "/v1/blocks/1",
        "/v1/blocks/99999999999999999",
        "/v1/blocks/-1",
        "/v1/checkpoint",
        "/v1/nothing",
        "/v1/exchange/queries",
        "/nothing",
    ],
)
async def test_what_is_not_there_is_404(api: ApiClient, path: str) -> None:
    answer = await api.get(path)

    assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")


# --- Reading invoices ------------------------------------------------------------------------


async def test_details_are_shown_to_a_party_that_can_open_them(
    api: ApiClient, node: FakeNode
) -> None:
    body = {**INVOICE, "details": {"remarks": "hello"}}
    number = (await api.post("/v1/invoices", body)).json["number"]

    opened = await api.get(f"/v1/invoices/{number}")
    node.opened.clear()
    closed = await api.get(f"/v1/invoices/{number}")

    assert opened.json["details"] == {"remarks": "hello"}
    assert closed.json["details"] is None
    assert opened.json["available"] == 11_300
    assert opened.json["state"] == "issued"
    assert opened.json["time"].endswith("Z")


async def test_a_list_with_details_ends_its_page_early_when_they_are_long(
    api: ApiClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.domains.invoices.api.invoices.DETAILS_PAGE_BYTES", 60)
    for number in range(4):
        details = {"remarks": f"{number}" * 30}
        await api.post("/v1/invoices", INVOICE | {"order_id": str(number), "details": details})

    seen: list[str] = []
    cursor = ""
    pages = 0
    while pages < 9:
        pages += 1
        page = (await api.get(f"/v1/invoices?details=true&limit=3{cursor}")).json
        assert 1 <= len(page["invoices"]) <= 2
        seen += [invoice["details"]["remarks"][0] for invoice in page["invoices"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["3", "2", "1", "0"]
    assert pages == 2
    assert "details" not in (await api.get("/v1/invoices?details=false")).json["invoices"][0]


async def test_orders_on_the_ledger_are_found_with_their_numbers(
    api: ApiClient, node: FakeNode
) -> None:
    key = order_key(ISSUER, order_hash(ISSUER, "A-2"))
    node.rows[Table.ORDER, key] = encode_row(OrderRow(NUMBER, bytes(32)))
    foreign = order_key(BUYER, order_hash(BUYER, "A-3"))
    node.rows[Table.ORDER, foreign] = encode_row(OrderRow(NUMBER, bytes(32)))

    asked = {"order_ids": ["A-1", "A-2", "A-2", "A-3"]}
    found = await api.post("/v1/orders:find", asked, scope=Scope.OPERATE)

    assert found.status == 200
    assert found.json == {"orders": [{"order_id": "A-2", "number": NUMBER}], "malformed": []}
    assert (await api.post("/v1/orders:find", {"order_ids": ["x"] * 1_001})).status == 422


async def test_an_id_that_no_order_can_have_does_not_hide_the_others(
    api: ApiClient, node: FakeNode
) -> None:
    key = order_key(ISSUER, order_hash(ISSUER, "A-2"))
    node.rows[Table.ORDER, key] = encode_row(OrderRow(NUMBER, bytes(32)))

    asked = {"order_ids": [" A-1", "x" * 129, "A-2", "", "A\u202e3"]}
    found = await api.post("/v1/orders:find", asked, scope=Scope.OPERATE)

    assert found.status == 200
    assert found.json == {
        "orders": [{"order_id": "A-2", "number": NUMBER}],
        "malformed": [
            {"index": 0, "message": "begins or ends with a blank"},
            {"index": 1, "message": "String should have at most 128 characters"},
            {"index": 3, "message": "String should have at least 1 character"},
            {"index": 4, "message": "holds a control, directional or invisible character"},
        ],
    }


async def test_list_pages_newest_first_and_ends_without_a_cursor(
    api: ApiClient, node: FakeNode
) -> None:
    for n in range(7):
        await api.post("/v1/invoices", {**INVOICE, "order_id": f"{n}"})
    numbers: list[str] = []
    path = "/v1/invoices?limit=3"
    sizes = []
    while True:
        page = (await api.get(path)).json
        sizes.append(len(page["invoices"]))
        numbers += [invoice["number"] for invoice in page["invoices"]]
        if "next_cursor" not in page:
            break
        path = f"/v1/invoices?limit=3&cursor={page['next_cursor']}"

    assert numbers == [f"{n:020d}" for n in reversed(range(7))]
    assert sizes == [3, 3, 1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 3),
        ("state=issued", 2),
        ("state=cancelled", 1),
        (f"party={BUYER}", 2),
        (f"party={ISSUER}", 3),
        (f"party={REIMBURSER}", 0),
        ("min_gross=11300", 2),
        ("min_gross=20000", 1),
        ("from=2026-11-01", 3),
        ("from=2027-01-01", 0),
        ("to=2026-11-01T00:00:00Z", 0),
    ],
)
async def test_list_filters(api: ApiClient, node: FakeNode, query: str, expected: int) -> None:
    first = issue("1" * 20)
    second = issue("2" * 20, gross=22_600)
    third = issue("3" * 20, buyer="cd" * 32, gross=113)
    for operation in (first, second, third):
        await node.submit_operations((operation,))
    row = invoice_row(first, ISSUER, bytes(32), 1)
    row.document = row.document.__class__.CANCELLED
    node.put(row)
    await node.submit_operations((ops.CancelInvoice(first.number, "typo"),))

    page = await api.get(f"/v1/invoices?{query}")

    assert len(page.json["invoices"]) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=1000000",
        "limit=x",
        "limit=-1",
        "state=odd",
        "from=yesterday",
        "from=2026-13-01",
        "to=2026-11-01T00:00:00+02:00",
        "min_gross=1.5",
        "min_gross=99999999999999999999",
        "cursor=!!!",
        "cursor=AAAA",
        "cursor=kc__________8",
        "party=%F0%9F%98%80",
        f"party={'a' * 65}",
    ],
)
async def test_a_wrong_query_is_400(api: ApiClient, query: str) -> None:
    answer = await api.get(f"/v1/invoices?{query}")

    assert (answer.status, answer.json["code"]) == (400, "BAD_REQUEST")


async def test_trace_shows_steps_with_signer_height_and_proof(
    api: ApiClient, node: FakeNode
) -> None:
    number = (await api.post("/v1/invoices", INVOICE)).json["number"]
    base = f"/v1/invoices/{number}"
    await api.post(f"{base}/submit", {"to": REIMBURSER, "amount": 500})
    await api.post(f"{base}/claim", {"amount": 400})
    node.next_code = Code.INSUFFICIENT_AVAILABLE
    await api.post(f"{base}/claim", {"amount": 400})

    trace = (await api.get(f"{base}/trace")).json
    first = (await api.get(f"{base}/trace?limit=2")).json
    rest = (await api.get(f"{base}/trace?limit=2&cursor={first['next_cursor']}")).json

    assert [(s["operation"], s.get("amount")) for s in trace["steps"]] == [
        ("issue", 11_300),
        ("submit", 500),
        ("claim", 400),
    ]
    assert trace["steps"][1]["other"] == REIMBURSER
    assert {s["signer"] for s in trace["steps"]} == {ISSUER}
    assert [s["height"] for s in trace["steps"]] == [1, 2, 3]
    assert first["steps"] + rest["steps"] == trace["steps"]
    assert "next_cursor" not in rest
    shown = await api.get(f"/v1/transactions/{trace['steps'][2]['transaction']}/receipt")
    assert shown.status == 200


async def test_red_letter_is_issued_from_its_form_and_traced_both_ways(
    api: ApiClient, node: FakeNode
) -> None:
    blue = issue(NUMBER, groups=(ops.RateGroup(1300, 10_000, 1_300, 1),))
    await node.submit_operations((blue,))
    row = invoice_row(blue, ISSUER, transaction_id(b""), 1)
    row.forms = (FormRow(0, True, 11_300, 11_300, 2, FormState.CONFIRMED, 0),)
    node.put(row)

    answer = await api.post(f"{BASE}/red/0/issue?wait=final", {"order_id": "R-1"})
    unknown = await api.post(f"{BASE}/red/1/issue", {"order_id": "R-1"})

    assert answer.status == 201
    assert (unknown.status, unknown.json["code"]) == (404, "NOT_FOUND")
    draft = node.drafts[0]
    assert (draft.net, draft.tax, draft.gross) == (10_000, 1_300, 11_300)
    red = answer.json["number"]
    forward = (await api.get(f"{BASE}/trace")).json
    back = (await api.get(f"/v1/invoices/{red}/trace")).json
    assert forward["steps"][-1]["other"] == red
    assert forward["steps"][-1]["form"] == 0
    assert back["back"] == [NUMBER]
    assert back["steps"][0]["other"] == NUMBER


async def test_a_form_over_lines_comes_to_an_amount_and_is_issued_so(
    api: ApiClient, node: FakeNode
) -> None:
    group = ops.RateGroup(1300, 10_000, 1_300, 2)
    blue = issue(NUMBER, groups=(group,), net=10_000, tax=1_300, gross=11_300)
    await node.submit_operations((blue,))
    lines = [
        {"description": "a", "net": 7_000, "rate": 1300, "quantity": "7", "unit_price": "10"},
        {"description": "b", "net": 3_000, "rate": 1300},
    ]
    ask = {"reason": "return", "lines": [{"line": 0, "quantity": "2"}, {"line": 1, "net": 500}]}
    blind = await api.post(f"{BASE}/red", ask)
    node.opened[NUMBER] = json.dumps({"lines": lines}).encode()

    asked = await api.post(f"{BASE}/red", ask)
    wrong = await api.post(f"{BASE}/red", {**ask, "amount": 1})
    neither = await api.post(f"{BASE}/red", {"reason": "return"})
    gone = await api.post(f"{BASE}/red", {"reason": "return", "lines": [{"line": 2}]})
    twice = await api.post(f"{BASE}/red", {"reason": "return", "lines": [{"line": 0}] * 2})
    over = await api.post(
        f"{BASE}/red", {"reason": "return", "lines": [{"line": 0, "quantity": "8"}]}
    )

    assert (blind.status, blind.json["code"]) == (409, "LINES_UNREADABLE")
    assert asked.status == 202
    assert [a.status for a in (wrong, neither, gone, twice)] == [422] * 4
    assert (over.status, over.json["code"]) == (409, "LINE_OVER_CREDIT")
    operation = node.operations[-1]
    assert isinstance(operation, ops.RequestRedLetter)
    assert (operation.amount, operation.reason) == (2_825, 2)
    row = invoice_row(blue, ISSUER, transaction_id(b""), 1)
    row.forms = (FormRow(0, False, 2_825, 2_825, 2, FormState.CONFIRMED, 0),)
    node.put(row)
    form = (await api.get(f"{BASE}/red/0")).json
    assert [(n["net"], n["original"]) for n in form["details"]["lines"]] == [(2_000, 0), (500, 1)]
    assert (await api.post(f"{BASE}/red/0/issue", {"order_id": "R-1"})).status == 202
    assert (node.drafts[-1].net, node.drafts[-1].tax) == (2_500, 325)


@pytest.mark.parametrize(
    "foreign",
    [
        {"lines": "all"},
        {"lines": [{"net": 1}], "extensions": {"red_letter": {"groups": []}}},
        {"extensions": {"red_letter": 5}},
        {"extensions": {"red_letter": {"groups": [{"rate": "x"}]}}},
        {"extensions": {"red_letter": {"groups": 7}}},
    ],
)
async def test_details_that_another_node_wrote_wrongly_make_no_write_fail(
    api: ApiClient, node: FakeNode, foreign: dict[str, object]
) -> None:
    blue = issue(NUMBER, groups=(ops.RateGroup(1300, 10_000, 1_300, 1),))
    await node.submit_operations((blue,))
    row = invoice_row(blue, ISSUER, transaction_id(b""), 1)
    row.forms = (FormRow(0, False, 11_300, 11_300, 2, FormState.CONFIRMED, 0),)
    node.put(row)
    node.opened[NUMBER] = node.forms[NUMBER, 0] = json.dumps(foreign).encode()

    asked = await api.post(f"{BASE}/red", {"reason": "return", "lines": [{"line": 0}]})
    issued = await api.post(f"{BASE}/red/0/issue", {"order_id": "R-1"})

    assert (asked.status, asked.json["code"]) == (409, "LINES_UNREADABLE")
    assert issued.status == 202  # by its amount, as without lines
    assert node.drafts[-1].gross == 11_300


async def test_a_repeated_order_is_answered_with_its_first_number(
    api: ApiClient, node: FakeNode
) -> None:
    key = order_key(ISSUER, order_hash(ISSUER, "A-1"))
    node.rows[Table.ORDER, key] = encode_row(OrderRow(NUMBER, bytes(32)))
    batch = {"invoices": [{**INVOICE, "order_id": "A-0"}, INVOICE]}

    first = invoice_row(issue(NUMBER), ISSUER, bytes(32), 41)
    first.height = 7
    node.put(first)

    waited = await api.post("/v1/invoices?wait=final", INVOICE)
    at_once = await api.post("/v1/invoices", INVOICE)
    several = await api.post("/v1/invoices:batch?wait=final", batch)
    new = await api.post("/v1/invoices?wait=final", {**INVOICE, "order_id": "A-9"})

    for answer in (waited, at_once):
        assert (answer.json["number"], answer.json["issued_before"]) == (NUMBER, 7)
    assert several.json["numbers"][1] == NUMBER
    assert several.json["issued_before_each"] == [None, 7]
    assert "issued_before" not in new.json


async def test_a_red_letter_takes_what_earlier_ones_left(api: ApiClient, node: FakeNode) -> None:
    operation = issue(NUMBER)
    await node.submit_operations((operation,))
    row = invoice_row(operation, ISSUER, bytes(32), 1)
    row.groups = (GroupRow(600, 100, 6, 1, 100, 6), GroupRow(1300, 10_000, 1_300, 1, 9_001, 1_167))
    row.forms = (FormRow(2, True, 1_132, 0, 2, FormState.CONFIRMED, 0),)
    node.put(row)

    answer = await api.post(f"{BASE}/red/2/issue", {"order_id": "R"})

    assert answer.status == 202
    assert node.drafts[0].groups == (ops.RateGroup(1300, 999, 133, 3),)


async def test_a_partial_red_letter_of_two_rates_must_name_them(
    api: ApiClient, node: FakeNode
) -> None:
    operation = issue(NUMBER)
    await node.submit_operations((operation,))
    row = invoice_row(operation, ISSUER, bytes(32), 1)
    row.groups = (GroupRow(600, 100, 6, 1), GroupRow(1300, 10_000, 1_300, 1))
    row.forms = (FormRow(0, True, 113, 113, 2, FormState.CONFIRMED, 0),)
    node.put(row)
    path = f"{BASE}/red/0/issue"

    silent = await api.post(path, {"order_id": "R"})
    wrong = await api.post(path, {"order_id": "R", "groups": [{"rate": 1300, "net": 50}]})
    right = await api.post(path, {"order_id": "R", "groups": [{"rate": 1300, "net": 100}]})

    assert [a.status for a in (silent, wrong, right)] == [422, 422, 202]


@pytest.mark.parametrize(
    ("role", "state", "buyer", "expected"),
    [
        (Role.TAX_BUREAU, ParticipantState.RETIRED, REIMBURSER, [3, 5]),
        (Role.TAX_BUREAU, ParticipantState.SUSPENDED, REIMBURSER, []),
        (Role.PAYER, ParticipantState.RETIRED, REIMBURSER, []),
    ],
)
async def test_the_bureaus_inbox_shows_forms_that_wait_for_a_retired_issuer(
    api: ApiClient,
    node: FakeNode,
    role: Role,
    state: ParticipantState,
    buyer: str,
    expected: list[int],
) -> None:
    for identity, roles, held in (
        (ISSUER, (role,), ParticipantState.ACTIVE),  # the node's own
        (BUYER, (Role.ISSUER,), state),  # who issued
    ):
        participant = ParticipantRow(identity, "x", roles, (), (), held)
        node.rows[Table.PARTICIPANT, identity.encode()] = encode_row(participant)
    operation = issue(NUMBER, buyer=buyer)
    await node.submit_operations((operation,))
    row = invoice_row(operation, BUYER, bytes(32), 1)
    row.offer = OfferRow(BUYER, NOW_MS + 1)  # a retired issuer's offer is nobody's to sign
    row.submissions = (SubmissionRow(BUYER, 10, 10),)
    row.forms = (
        FormRow(3, False, 10, 10, 2, FormState.REQUESTED, 0),
        FormRow(4, True, 10, 10, 2, FormState.REQUESTED, 0),  # waits for the buyer
        FormRow(5, True, 10, 10, 2, FormState.CONFIRMED, 0),
    )
    node.put(row)
    await node.submit_operations((ops.BookInvoice(NUMBER, "touch"),))

    items = (await api.get("/v1/inbox")).json["items"]

    assert [item["form"] for item in items] == expected
    assert {item["for_issuer"] for item in items} <= {BUYER}
    paged = (await api.get("/v1/inbox?limit=1")).json
    assert len(paged["items"]) <= 1
    assert ("next_cursor" in paged) is bool(expected)


async def test_inbox_shows_offers_submissions_and_forms_until_they_are_done(
    api: ApiClient, node: FakeNode
) -> None:
    operation = issue(NUMBER)
    await node.submit_operations((operation,))
    row = invoice_row(operation, BUYER, bytes(32), 1)
    row.buyer = ISSUER
    row.offer = OfferRow(ISSUER, NOW_MS + 1)
    row.submissions = (SubmissionRow(ISSUER, 10, 10), SubmissionRow(REIMBURSER, 10, 10))
    row.forms = (
        FormRow(3, True, 10, 10, 2, FormState.REQUESTED, 0),
        FormRow(4, False, 10, 10, 2, FormState.REQUESTED, 0),
    )
    row.claims = (ClaimRow(2, ISSUER, 5, 0, 0, NOW_MS - 30 * 24 * 3_600_000 + 1),)
    row.locked = 5
    node.put(row)
    await node.submit_operations((ops.BookInvoice(NUMBER, "touch"),))

    inbox = (await api.get("/v1/inbox")).json
    paged = (await api.get("/v1/inbox?limit=1")).json
    api.clock.now_ms = NOW_MS + 2
    late = (await api.get("/v1/inbox")).json
    row.submissions = ()
    row.forms = ()
    row.claims = ()
    row.locked = 0
    row.offer = None
    node.put(row)
    await node.submit_operations((ops.BookInvoice(NUMBER, "touch"),))
    done = (await api.get("/v1/inbox")).json

    assert [(i["kind"], i.get("form")) for i in inbox["items"]] == [
        ("offer", None),
        ("submission", None),
        ("red_confirmation", 3),
        ("lock", None),
    ]
    assert [i.get("overdue", False) for i in inbox["items"]] == [False, False, True, False]
    assert inbox["items"][1].get("deadline") is None
    assert inbox["items"][3]["claim"] == 2
    assert [i.get("overdue", False) for i in late["items"]] == [False, True, True]
    assert len(paged["items"]) == 1
    assert "next_cursor" in paged
    assert [i["kind"] for i in late["items"]] == ["submission", "red_confirmation", "lock"]
    assert done["items"] == []


# --- Registers, status, evidence -------------------------------------------------------------


async def test_registers_are_read_from_the_state(api: ApiClient, node: FakeNode) -> None:
    participant = ParticipantRow(
        ISSUER, "甲公司", (Role.ISSUER,), (KeyRow(bytes(32)),), (KeyRow(bytes(32)),)
    )
    segments = SegmentsRow(ISSUER, (SegmentRow(NUMBER, NUMBER, 1),))
    node.rows = {
        (Table.PARTICIPANT, ISSUER.encode()): encode_row(participant),
        (Table.SEGMENTS, segments_key(ISSUER)): encode_row(segments),
        (Table.QUOTA, quota_key(ISSUER, 202_611)): encode_row(
            QuotaRow(ISSUER, 202_611, 100, 30, 0, 1)
        ),
        (Table.TAX_RATES, b"*"): encode_row(TaxRatesRow((600, 1300))),
    }

    participants = (await api.get("/v1/participants")).json["participants"]
    quotas = (await api.get("/v1/quotas")).json["quotas"]

    assert participants[0]["name"] == "甲公司"
    assert participants[0]["roles"] == ["issuer"]
    assert (await api.get("/v1/segments")).json["segments"][0]["segments"][0]["used"] == 1
    assert (quotas[0]["month"], quotas[0]["remaining"]) == ("2026-11", 70)
    assert (await api.get("/v1/tax-rates")).json == {
        "tax_rates": [{"issuer": None, "rates": [600, 1300]}]
    }
    assert (await api.get("/v1/exchange-rates")).json == {"exchange_rates": []}


async def test_a_statement_adds_up_what_the_month_issued_and_took_back(
    api: ApiClient, node: FakeNode
) -> None:
    node.rows[Table.PARTICIPANT, ISSUER.encode()] = encode_row(
        ParticipantRow(ISSUER, "Paper Ltd", (Role.ISSUER,), (), ())
    )
    node.rows[Table.PARTICIPANT, BUYER.encode()] = encode_row(
        ParticipantRow(BUYER, "Payer", (Role.PAYER,), (), ())
    )
    await node.submit_operations((issue(NUMBER), issue("2" * 20)))
    red = ops.IssueRedLetter(
        NUMBER,
        0,
        "3" * 20,
        (RateGroup(1_300, 1_000, 130, 1),),
        1_000,
        130,
        1_130,
        bytes(32),
        None,
        (),
    )
    await node.submit_operations((red, ops.CancelInvoice("2" * 20, "wrong")))
    month = time_text(START_MS)[:7]
    quota = QuotaRow(ISSUER, int(month.replace("-", "")), 500, 120, 0, 2_000)
    node.rows[Table.QUOTA, quota_key(ISSUER, quota.month)] = encode_row(quota)

    answer = await api.get(f"/v1/statements/{ISSUER}/{month}", scope=Scope.READ)

    assert answer.status == 200
    (part,) = answer.json["currencies"]
    assert part["issued"] == {"documents": 2, "net": 20_000, "tax": 2_600, "gross": 22_600}
    assert part["cancelled"] == {"documents": 1, "net": 10_000, "tax": 1_300, "gross": 11_300}
    assert part["red"] == {"documents": 1, "net": 1_000, "tax": 130, "gross": 1_130}
    assert (part["net"], part["tax"], part["gross"]) == (9_000, 1_170, 10_170)
    (rate,) = part["rates"]
    assert (rate["rate"], rate["net"], rate["tax"]) == (1_300, 9_000, 1_170)
    assert answer.json["quota"]["remaining"] == 380
    empty = (await api.get(f"/v1/statements/{ISSUER}/1999-01")).json
    assert (empty["currencies"], empty["quota"]) == ([], None)
    for path in (f"{BUYER}/{month}", f"{'0' * 18}/{month}", f"{ISSUER}/2026-13", f"x/{month}"):
        assert (await api.get(f"/v1/statements/{path}")).status == 404


async def test_registers_page_by_key(api: ApiClient, node: FakeNode) -> None:
    for n in range(5):
        row = ParticipantRow(f"{n}", f"{n}", (), (), ())
        node.rows[Table.PARTICIPANT, b"%d" % n] = encode_row(row)
    seen: list[str] = []
    query = ""
    while True:
        page = (await api.get(f"/v1/participants?limit=2{query}")).json
        seen += [p["id"] for p in page["participants"]]
        if "next_cursor" not in page:
            break
        query = f"&cursor={page['next_cursor']}"

    assert seen == ["0", "1", "2", "3", "4"]


async def test_status_has_every_promised_field(api: ApiClient) -> None:
    status = (await api.get("/v1/status", scope=Scope.READ)).json

    promised = {
        *("node", "participant", "roles", "network_id", "version", "raft", "height"),
        *("final_height", "tree_size", "root", "peers", "pool", "state_digest", "index"),
    }
    assert promised <= status.keys()
    assert status["raft"].keys() == {
        "state",
        "term",
        "leader",
        "commit_index",
        "applied_index",
        "base_index",
    }
    assert status["peers"][0] == {
        "node": "payer",
        "connected": True,
        "height": 1,
        "rtt_ms": 2,
        "strikes": 0,
    }
    assert status["pool"] == {"transactions": 0, "bytes": 0}


async def test_evidence_names_the_voter(api: ApiClient, node: FakeNode) -> None:
    node.found = [EvidenceItem(bytes(32), "two_roots", "payer", "payer signed two", 0, b"\x01")]

    answer = await api.get("/v1/evidence")

    (item,) = answer.json["evidence"]
    assert (item["voter"], item["body"], item["found"]) == (
        "payer",
        "AQ==",
        "1970-01-01T00:00:00.000Z",
    )


async def test_evidence_is_a_file_by_its_id(api: ApiClient, node: FakeNode) -> None:
    node.found = [EvidenceItem(bytes(32), "roots", "payer", "payer signed two", 0, b"\x01")]

    answer = await api.get(f"/v1/evidence/{'00' * 32}")

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.content == b"file of payer\n"
    for other in ("11" * 32, "00", "00" * 31 + "0g", "AA" * 32, "00" * 33):
        assert (await api.get(f"/v1/evidence/{other}")).status == 404


async def test_every_ledger_code_is_explained_in_both_languages(api: ApiClient) -> None:
    listed = {code["name"]: code for code in (await api.get("/v1/codes")).json["codes"]}

    for code in Code:
        assert listed[code.name]["number"] == code
        assert listed[code.name]["en"]
        assert listed[code.name]["zh"]
    assert listed["NO_QUORUM"]["number"] is None


async def test_health_names_the_failing_checks(api: ApiClient, node: FakeNode) -> None:
    ok = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]
    node.failing = [Check("quorum", False, "2 of 4 voters"), Check("store", True)]
    slow = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]
    node.failing = [Check("store", False, "disk failed", fatal=True)]
    dead = [await api.get(path, scope=None) for path in ("/livez", "/readyz")]

    assert [a.status for a in ok + slow + dead] == [200, 200, 200, 503, 503, 503]
    assert slow[1].json["failing"] == [{"name": "quorum", "detail": "2 of 4 voters"}]


async def test_metrics_tell_the_node_and_the_requests(api: ApiClient, node: FakeNode) -> None:
    await api.get("/v1/status")
    await api.get(f"/v1/transactions/{'0' * 64}")
    node.failing = [Check("quorum", False)]

    text = (await api.get("/metrics", scope=None)).content.decode()
    openmetrics = await api.get(
        "/metrics", scope=None, headers={"Accept": "application/openmetrics-text"}
    )

    assert "piaolian_height 0.0" in text
    assert 'piaolian_build_info{version="0.1.0"} 1.0' in text
    assert 'piaolian_ready{check="quorum"} 0.0' in text
    assert 'route="/v1/transactions/{id}",status="404"' in text
    assert "piaolian_peers 1.0" in text
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.content.endswith(b"# EOF\n")


async def test_a_fault_of_the_node_is_500_and_says_nothing_of_itself(
    api: ApiClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(node, "heights", fail)

    answer = await api.get("/v1/blocks")

    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert b"secret" not in answer.content


async def test_waiting_requests_are_limited(api: ApiClient, config: ApiConfig) -> None:
    answer = await api.get(f"/v1/transactions/{'0' * 64}?wait=final&timeout_s=0.01")

    assert answer.status == 404
    assert config.waiting_max > 0


async def test_wrong_method_is_405_with_allow(api: ApiClient) -> None:
    answer = await api.call("DELETE", "/v1/blocks")

    assert (answer.status, answer.json["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET,HEAD"


def test_every_write_needs_the_operate_scope_and_who_takes_part_the_admin_scope() -> None:
    for route in ROUTES:
        if route.method == "POST" and route.path != "/v1/sessions":
            admin = route.tag in {"keys", "governance"}
            assert route.scope is (Scope.ADMIN if admin else Scope.OPERATE), route.path


async def test_discrepancies_are_listed_by_invoice_and_state(
    api: ApiClient, node: FakeNode
) -> None:
    for place in range(5):
        number = f"{place:020d}"
        row = DiscrepancyRow(number, DiscrepancyKind(1 + place % 2), ISSUER, bytes(32), NOW_MS)
        if place == 1:
            row.resolved_at, row.reason = NOW_MS + 1, "corrected"
        node.rows[Table.DISCREPANCY, discrepancy_key(number, row.kind)] = encode_row(row)

    every = (await api.get("/v1/discrepancies")).json
    resolved = (await api.get("/v1/discrepancies?state=resolved")).json["discrepancies"]
    one = (await api.get(f"/v1/discrepancies?number={3:020d}")).json["discrepancies"]
    pages, cursor = [], ""
    while True:
        page = (await api.get(f"/v1/discrepancies?limit=2&state=open{cursor}")).json
        pages.append([int(item["number"]) for item in page["discrepancies"]])
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert [int(item["number"]) for item in every["discrepancies"]] == list(range(5))
    assert [(item["kind"], item["reason"], item["open"]) for item in resolved] == [
        ("malformed", "corrected", False)
    ]
    assert [item["kind"] for item in one] == ["malformed"]
    assert [number for page in pages for number in page] == [0, 2, 3, 4]
    for query in ("state=x", "number=1", "limit=0", "cursor=x"):
        assert (await api.get(f"/v1/discrepancies?{query}")).status == 400


async def test_a_red_line_beyond_its_original_is_refused_before_it_is_signed(
    api: ApiClient, node: FakeNode
) -> None:
    operation = issue(NUMBER)
    await node.submit_operations((operation,))
    row = invoice_row(operation, ISSUER, bytes(32), 1)
    row.groups = (GroupRow(1300, 160, 21, 2),)
    row.forms = (FormRow(0, True, 113, 113, 2, FormState.CONFIRMED, 0),)
    node.put(row)
    line = {"description": "d", "net": 100, "rate": 1300}
    node.opened[NUMBER] = json.dumps({"lines": [line, {**line, "net": 60}]}).encode()

    async def issue_lines(*lines: dict[str, object]) -> Any:
        body = {"order_id": "R", "lines": [line | each for each in lines]}
        return await api.post(f"{BASE}/red/0/issue", body)

    for refused in (
        await issue_lines({"net": 100, "original": 1}),
        await issue_lines({"net": 100, "original": 2}),
        await issue_lines({"net": 61, "original": 1}, {"net": 39, "original": 0}),
        await issue_lines({"net": 60, "original": 1}, {"net": 40, "original": 1}),
    ):
        assert (refused.status, refused.json["code"]) == (409, "LINE_OVER_CREDIT")
    assert node.drafts == []
    assert (await issue_lines({"net": 60, "original": 1}, {"net": 40, "original": 0})).status == 202
    assert (await issue_lines({"net": 100})).status == 202

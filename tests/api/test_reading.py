"""Reading invoices: details, lists, traces, the inbox."""

from __future__ import annotations

import pytest

from node.api.security import Scope
from node.domains.invoices.details.drafting import order_hash
from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.rows import (
    ClaimRow,
    FormRow,
    FormState,
    OfferRow,
    OrderRow,
    SubmissionRow,
    order_key,
)
from node.ledger.row_codec import encode_row
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode, invoice_row, issue
from tests.api.samples import INVOICE, NUMBER


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

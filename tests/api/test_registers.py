"""Registers, statements and discrepancies as they are read."""

from __future__ import annotations

from node.api.requests import time_text
from node.api.security import Scope
from node.ledger.codes import Table
from node.ledger.invoices import operations as ops
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
    DiscrepancyKind,
    DiscrepancyRow,
    discrepancy_key,
)
from node.ledger.participants import KeyRow, ParticipantRow
from node.ledger.row_codec import encode_row
from node.ledger.types import Role
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, START_MS, FakeNode, issue
from tests.api.samples import NUMBER


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

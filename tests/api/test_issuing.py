"""Issuing through the API: drafts, order ids, batches, what the rules refuse."""

from __future__ import annotations

import hashlib

import pytest

from node.domains.invoices.details.drafting import order_hash
from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.register_rows import (
    TaxRatesRow,
)
from node.ledger.invoices.rows import (
    OrderRow,
    order_key,
)
from node.ledger.row_codec import encode_row
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, FakeNode, invoice_row, issue
from tests.api.samples import INVOICE, NUMBER
from tests.ledger.awkward import CONTROLS, DIRECTIONS, UNSIGNABLE


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

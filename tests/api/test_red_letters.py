"""Red letters through the API: by amount, by lines, forms that wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from node.ledger.codes import Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.rows import (
    FormRow,
    FormState,
    GroupRow,
    OfferRow,
    SubmissionRow,
)
from node.ledger.participants import ParticipantRow, ParticipantState
from node.ledger.row_codec import encode_row
from node.ledger.transaction import transaction_id
from node.ledger.types import Role
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode, invoice_row, issue
from tests.api.samples import NUMBER
from tests.api.test_operations import BASE


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

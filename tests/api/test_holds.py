"""Issuing holds at the API: bodies become operations, and a bystander finds no cause."""

from __future__ import annotations

import pytest
from msgspec.structs import asdict, replace

from node.ledger.codes import Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, LiftHold, UpholdHold
from node.ledger.invoices.holds.rows import HoldRow, hold_key
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.membership.terms import MembershipTerms
from node.ledger.row_codec import encode_row
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_holds import FakeHolds
from tests.api.fake_node import ISSUER, FakeNode
from tests.terms import make_terms

PATH = f"/v1/issuers/{ISSUER}/hold"
UNTIL = "2026-12-30T00:00:00Z"
UNTIL_MS = 1_798_588_800_000
ROW = HoldRow(
    issuer=ISSUER,
    reference="SZ-17",
    bureau="91440300MA5DA7AE09",
    cause=bytes(32),
    blobs=(),
    until=NOW_MS,
    put_at=NOW_MS - 1_000,
    height=7,
    txid=bytes(32),
)


HOLD = {"reference": "SZ-17", "until": UNTIL, "cause": "books\nnot shown", "proof": "c2sp.org"}
UPHOLD = {"reference": "SZ-17", "until": UNTIL, "reason": "no answer"}
SIGNED = UPHOLD | {"second_key": "ab" * 32, "second_signature": "cd" * 64}
_UPHELD = UpholdHold(ISSUER, "SZ-17", UNTIL_MS, "no answer", bytes(32), bytes(64))
_BLUE = "2" * 20
OPERATIONS: tuple[tuple[str, dict[str, object], object], ...] = (
    (PATH, {**HOLD}, HoldIssuing(ISSUER, "SZ-17", bytes(32), UNTIL_MS, ())),
    (f"{PATH}/uphold", {**UPHOLD}, _UPHELD),
    (
        f"{PATH}/uphold",
        {**SIGNED},
        replace(_UPHELD, second_key=b"\xab" * 32, second_signature=b"\xcd" * 64),
    ),
    (f"{PATH}/lift", {"reference": "SZ-17"}, LiftHold(ISSUER, "SZ-17")),
    (
        "/v1/issuers/self/hold/appeal",
        {"reference": "SZ-17", "grounds": "they were shown"},
        AppealHold("SZ-17", bytes(32), ()),
    ),
    (f"/v1/invoices/{_BLUE}/pay", {"amount": 5, "reference": "w"}, ops.PayInvoice(_BLUE, 5, "w")),
    (f"/v1/invoices/{_BLUE}/deduct", {}, ops.DeductInvoice(_BLUE)),
    (f"/v1/invoices/{_BLUE}/undeduct", {}, ops.UndeductInvoice(_BLUE)),
)


@pytest.mark.parametrize(("path", "body", "operation"), OPERATIONS)
async def test_a_body_becomes_an_operation(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object], operation: object
) -> None:
    answer = await api.call("POST", path, json=body)
    assert answer.status == 202, answer.json
    assert node.operations == [operation]


async def test_a_hold_names_its_reference_and_seals_its_cause(
    api: ApiClient, node: FakeNode, holds: FakeHolds
) -> None:
    answer = await api.call("POST", PATH, json=HOLD)
    assert answer.status == 202, answer.json
    assert "books" not in repr(node.operations)
    assert holds.causes == [b'{"cause":"books\\nnot shown","proof":"c2sp.org"}']


async def test_a_second_key_comes_with_its_signature(api: ApiClient) -> None:
    body = {"reference": "r", "until": UNTIL, "reason": "why", "second_key": "ab" * 32}
    answer = await api.call("POST", f"{PATH}/uphold", json=body)
    assert (answer.status, answer.json["code"]) == (422, "INVALID_FIELDS")


async def test_a_hold_is_shown_with_its_cause_to_whom_it_opens_for(
    api: ApiClient, node: FakeNode, holds: FakeHolds
) -> None:
    assert (await api.get(PATH)).status == 404
    node.rows[Table.HOLD, hold_key(ISSUER)] = encode_row(ROW)
    shown = (await api.get(PATH)).json
    assert (shown["live"], shown["cause"], shown["grounds"]) == (True, {"cause": "books"}, None)
    assert (shown["reference"], shown["upheld"], shown["lifted"]) == ("SZ-17", None, None)

    holds.opens = False
    assert (await api.get(PATH)).json["cause"] is None
    node.rows[Table.HOLD, hold_key(ISSUER)] = encode_row(replace(ROW, until=NOW_MS - 1))
    assert (await api.get(PATH)).json["live"] is False


async def test_the_terms_are_all_those_of_the_genesis(api: ApiClient) -> None:
    answer = await api.get("/v1/terms")
    terms = make_terms()
    of_domains = asdict(terms.of(MembershipTerms)) | asdict(terms.of(InvoicesTerms))
    assert answer.status == 200
    assert answer.json == {
        "home_currency": "CNY",
        "utc_offset_minutes": 0,
        "validity_heights": terms.validity_heights,
        **of_domains,
    }

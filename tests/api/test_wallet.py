"""The wallet over HTTP: keys made and taken over, acting as one of them, claim keys."""

from __future__ import annotations

from typing import Any

import pytest

from node.api.security import Scope
from node.custody.wallet import claim_text, parse_claim_text
from node.ledger.invoices import operations as ops
from node.ledger.invoices.rows import OfferRow
from node.ledger.signing import public_key
from tests.api.client import NOW_MS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, FakeNode, invoice_row, issue

NUMBER = "26110000000000000001"
INVOICE: dict[str, Any] = {
    "order_id": "A-1",
    "buyer": "claim",
    "currency": "CNY",
    "groups": [{"rate": 1300, "net": 10_000}],
}


async def test_keys_are_made_taken_over_and_listed(api: ApiClient) -> None:
    made = await api.post("/v1/wallet/keys")
    text = claim_text(bytes(range(32)))
    taken = await api.post("/v1/wallet/keys:import", {"claim_key": text})
    again = await api.post("/v1/wallet/keys:import", {"claim_key": text.upper()})

    assert (made.status, taken.status, again.status) == (201, 201, 201)
    assert taken.json == again.json == {"key": public_key(bytes(range(32))).hex()}
    assert (await api.get("/v1/wallet/keys")).json == {
        "keys": [made.json["key"], taken.json["key"]]
    }
    for wrong in (text[:-1], "", "x"):
        refused = await api.post("/v1/wallet/keys:import", {"claim_key": wrong})
        assert (refused.status, refused.json["code"]) == (422, "INVALID_FIELDS")
        assert refused.json["errors"][0]["path"] == "/claim_key"
    assert (await api.post("/v1/wallet/keys", scope=Scope.READ)).status == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("respond", {"response": "accepted"}),
        ("sign", {}),
        ("submit", {"to": ISSUER, "amount": 1}),
        ("red", {"amount": 1, "reason": "return"}),
        ("red/0/confirm", {}),
    ],
)
async def test_a_key_of_the_wallet_acts(
    api: ApiClient, node: FakeNode, path: str, body: dict[str, object]
) -> None:
    await node.submit_operations((issue(NUMBER),))
    key = (await api.post("/v1/wallet/keys")).json["key"]
    target = f"/v1/invoices/{NUMBER}/{path}"

    assert (await api.post(f"{target}?as={key}", body)).status == 202
    assert node.actors[-1] == bytes.fromhex(key)
    assert (await api.post(target, body)).status == 202
    assert node.actors[-1] is None
    stranger = await api.post(f"{target}?as={'0' * 64}", body)
    assert (stranger.status, stranger.json["code"]) == (404, "NOT_FOUND")
    assert (await api.post(f"{target}?as=x", body)).status == 400


async def test_one_idempotency_key_is_for_one_actor(api: ApiClient) -> None:
    key = (await api.post("/v1/wallet/keys")).json["key"]
    path, headers = f"/v1/invoices/{NUMBER}/sign", {"Idempotency-Key": "k"}
    assert (await api.post(path, headers=headers)).status == 202
    assert (await api.post(f"{path}?as={key}", headers=headers)).status == 422


async def test_an_invoice_for_whoever_holds_its_claim_key(api: ApiClient, node: FakeNode) -> None:
    first = (await api.post("/v1/invoices", INVOICE)).json
    again = (await api.post("/v1/invoices", INVOICE)).json
    named = (await api.post("/v1/invoices", INVOICE | {"order_id": "B", "buyer": BUYER})).json
    both = {"invoices": [INVOICE | {"order_id": "C"}, INVOICE | {"order_id": "D", "buyer": BUYER}]}
    batch = (await api.post("/v1/invoices:batch", both)).json

    seed = parse_claim_text(first["claim_key"])
    draft = node.drafts[0]
    assert draft.buyer == public_key(seed).hex()  # type: ignore[union-attr]
    assert again["claim_key"] == first["claim_key"]
    assert "claim_key" not in named
    assert batch["claim_keys"][0] not in {None, first["claim_key"]}
    assert batch["claim_keys"][1] is None


async def test_the_issuer_reads_the_claim_key_until_the_invoice_moved_on(
    api: ApiClient, node: FakeNode
) -> None:
    answer = (await api.post("/v1/invoices", INVOICE)).json
    draft = node.drafts[0]
    operation = issue(NUMBER, buyer=draft.buyer, order=draft.order)  # type: ignore[union-attr]
    row = invoice_row(operation, ISSUER, bytes(32), 1)
    node.put(row)
    path = f"/v1/invoices/{NUMBER}/claim-key"

    shown = await api.get(path)
    assert shown.json == {"number": NUMBER, "claim_key": answer["claim_key"]}
    assert (await api.get(path, scope=Scope.READ)).status == 403
    row.holder = BUYER
    node.put(row)
    assert (await api.get(path)).status == 404


async def test_the_inbox_shows_what_waits_for_a_key(api: ApiClient, node: FakeNode) -> None:
    key = (await api.post("/v1/wallet/keys")).json["key"]
    operation = issue(NUMBER)
    await node.submit_operations((operation,))
    row = invoice_row(operation, ISSUER, bytes(32), 1)
    row.offer = OfferRow(key, NOW_MS + 1)
    node.put(row)
    await node.submit_operations((ops.OfferInvoice(NUMBER, key, NOW_MS + 1),))

    for query in ("", f"?as={key}"):
        items = (await api.get(f"/v1/inbox{query}")).json["items"]
        assert [(item["kind"], item["invoice"]["number"]) for item in items] == [("offer", NUMBER)]
    other = (await api.post("/v1/wallet/keys")).json["key"]
    assert (await api.get(f"/v1/inbox?as={other}")).json["items"] == []
    assert (await api.get(f"/v1/inbox?as={'0' * 64}")).status == 404

"""Transactions that were signed elsewhere, and their receipts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.ledger.transaction import transaction_id
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, FakeNode
from tests.api.samples import NUMBER, wire

TRANSACTION_TYPE = "application/vnd.piaolian.transaction"


BLOCK_TYPE = "application/vnd.piaolian.block"


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

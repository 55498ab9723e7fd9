"""Blocks: what a client that follows and verifies reads."""

from __future__ import annotations

import asyncio

import msgspec

from node.chain.leaf import SealLeaf, decode_leaf
from node.ledger.invoices import operations as ops
from tests.api.client import ApiClient
from tests.api.fake_node import ISSUER, FakeNode

RAW = {"Accept": "application/vnd.piaolian.block"}
SIGN = ops.SignOffer("1" * 20)


async def grow(node: FakeNode, blocks: int) -> None:
    for _ in range(blocks):
        await node.submit_operations((SIGN,))


async def test_one_block_shows_seal_outcomes_and_certificate(
    api: ApiClient, node: FakeNode
) -> None:
    await grow(node, 2)

    block = (await api.get("/v1/blocks/2")).json

    assert (block["height"], block["first_index"], block["count"]) == (2, 2, 1)
    assert block["final"] is True
    assert block["certificate"] == "certificate 2\n"
    (transaction,) = block["transactions"]
    assert (transaction["code"], transaction["author"], transaction["index"]) == ("OK", ISSUER, 2)
    assert transaction["operations"] == [
        {"kind": "sign", "signer": ISSUER, "fields": {"invoice": "1" * 20}}
    ]


async def test_raw_block_is_its_leaves_unchanged(api: ApiClient, node: FakeNode) -> None:
    await grow(node, 1)

    answer = await api.get("/v1/blocks/1", headers=RAW)

    assert answer.headers["Content-Type"] == RAW["Accept"]
    height, first, leaves, certificate = msgspec.msgpack.decode(answer.content)
    assert (height, first, certificate) == (1, 0, b"certificate 1\n")
    assert leaves == list(node.stored[0].leaves)
    assert isinstance(decode_leaf(leaves[-1]), SealLeaf)


async def test_raw_run_holds_final_blocks_only(api: ApiClient, node: FakeNode) -> None:
    await grow(node, 5)
    node.automatic = False
    await node.submit_operations((SIGN,))
    await node.commit()

    answer = await api.get("/v1/blocks?from=2&limit=10", headers=RAW)
    short = await api.get("/v1/blocks?from=2&limit=2", headers=RAW)
    beyond = await api.get("/v1/blocks?from=6", headers=RAW)
    missing = await api.get("/v1/blocks", headers=RAW)

    assert [b[0] for b in msgspec.msgpack.decode(answer.content)] == [2, 3, 4, 5]
    assert [b[0] for b in msgspec.msgpack.decode(short.content)] == [2, 3]
    assert msgspec.msgpack.decode(beyond.content) == []
    assert missing.status == 400


async def test_raw_run_waits_for_finality_and_not_for_commits(
    api: ApiClient, node: FakeNode
) -> None:
    node.automatic = False
    waiting = asyncio.ensure_future(api.get("/v1/blocks?from=1&wait_s=5", headers=RAW))
    await node.submit_operations((SIGN,))
    await node.commit()
    early = await api.get("/v1/blocks?from=1&wait_s=0.05", headers=RAW)
    assert not waiting.done()
    node.finalise()

    assert msgspec.msgpack.decode(early.content) == []
    assert [b[0] for b in msgspec.msgpack.decode((await waiting).content)] == [1]


async def test_blocks_page_downwards_and_from_a_height_upwards(
    api: ApiClient, node: FakeNode
) -> None:
    await grow(node, 7)

    async def pages(query: str) -> list[int]:
        heights: list[int] = []
        cursor = ""
        while True:
            page = (await api.get(f"/v1/blocks?limit=3{query}{cursor}")).json
            heights += [block["height"] for block in page["blocks"]]
            if "next_cursor" not in page:
                return heights
            cursor = f"&cursor={page['next_cursor']}"

    assert await pages("") == [7, 6, 5, 4, 3, 2, 1]
    assert await pages("&from=3") == [3, 4, 5, 6, 7]
    assert await pages("&from=9") == []


async def test_no_blocks_is_an_empty_page(api: ApiClient) -> None:
    assert (await api.get("/v1/blocks")).json == {"blocks": []}

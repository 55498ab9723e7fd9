"""Checkpoint, tiles and entry bundles: what a log client reads, with a token or without."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from node.api.config import ApiConfig
from node.ledger.invoices import operations as ops
from node.runtime.routes import ROUTES
from tests.api.client import Answer, ApiClient
from tests.api.fake_node import FakeNode

SIGN = ops.SignOffer("1" * 20)
PUBLIC = replace(ApiConfig(), public_read=True)
open_log = pytest.mark.parametrize("config", [PUBLIC])


@pytest.fixture
def config() -> ApiConfig:
    return ApiConfig()


async def grow(node: FakeNode, blocks: int) -> None:
    for _ in range(blocks):
        await node.submit_operations((SIGN,))


def tree(node: FakeNode, final: int = 261) -> None:
    """Tiles of 262 leaves, of which so many are final."""
    node.tiles = {
        (0, 0): bytes(range(256)) * 32,
        (0, 1): b"\x01" * (6 * 32),
        (1, 0): b"\x02" * 32,
    }
    node.tree_leaves = final


async def raw(api: ApiClient, path: str, accepted: str | None) -> Answer:
    """An answer as it travelled; the client would unpack it."""
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    skipped = {"skip_auto_headers": ["Accept-Encoding"]} if accepted is None else {}
    api.session._auto_decompress = False
    return await api.get(path, headers=headers, **skipped)


@pytest.mark.parametrize("path", ["/checkpoint", "/v1/checkpoint"])
async def test_checkpoint_is_the_final_note(api: ApiClient, node: FakeNode, path: str) -> None:
    assert (await api.get(path)).status == 404
    await grow(node, 1)

    answer = await api.get(path)

    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.content == b"origin\n2\n"


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("/tile/0/000", 256 * 32),
        ("/tile/0/000.p/7", 7 * 32),
        ("/tile/0/001.p/5", 5 * 32),
        ("/tile/0/001.p/6", None),  # stored, and not final
        ("/tile/0/001", None),
        ("/tile/1/000.p/1", 32),
        ("/tile/1/000.p/2", None),
        ("/tile/2/000.p/1", None),
        ("/tile/0/x001/000", None),
        ("/tile/0/0", None),
        ("/tile/0/000.p/0", None),
        ("/tile/0/000.p/256", None),
        ("/tile/0/000/", None),
        ("/tile/x/000", None),
        ("/tile/64/000", None),
        ("/tile/63/000.p/1", None),
    ],
)
async def test_final_tiles_are_served_at_their_paths_only(
    api: ApiClient, node: FakeNode, path: str, size: int | None
) -> None:
    tree(node)

    answer = await api.get(path)

    if size is None:
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    else:
        assert (answer.status, len(answer.content)) == (200, size)


async def test_a_tile_of_a_higher_level_waits_until_all_its_leaves_are_final(
    api: ApiClient, node: FakeNode
) -> None:
    tree(node, final=255)
    assert (await api.get("/tile/1/000.p/1")).status == 404
    assert (await api.get("/tile/0/000")).status == 404
    tree(node, final=256)
    assert (await api.get("/tile/1/000.p/1")).status == 200
    assert (await api.get("/tile/0/000")).status == 200


async def test_entry_bundles_hold_the_final_leaves(api: ApiClient, node: FakeNode) -> None:
    await grow(node, 2)
    node.automatic = False
    await node.submit_operations((SIGN,))
    await node.commit()
    leaves = [leaf for block in node.stored for leaf in block.leaves]
    assert len(leaves) == 6

    answer = await api.get("/tile/entries/000.p/4")
    beyond = await api.get("/tile/entries/000.p/5")

    assert answer.content == b"".join(len(x).to_bytes(2, "big") + x for x in leaves[:4])
    assert beyond.status == 404


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("identity", False),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *;q=1", False),
        ("*;q=0", False),
        (None, False),
    ],
)
async def test_bundles_are_gzipped_on_request(
    api: ApiClient, node: FakeNode, accepted: str | None, zipped: bool
) -> None:
    await grow(node, 1)
    plain = b"".join(len(x).to_bytes(2, "big") + x for x in node.stored[0].leaves)

    answer = await raw(api, "/tile/entries/000.p/2", accepted)

    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers.get("Content-Encoding") == ("gzip" if zipped else None)
    assert (gzip.decompress(answer.content) if zipped else answer.content) == plain
    tree(node)
    tile = await raw(api, "/tile/0/000", "gzip")
    assert "Content-Encoding" not in tile.headers, "hashes do not shrink"


# --- With a token, or for anyone -----------------------------------------------------------------


async def test_without_public_read_every_path_needs_a_token_and_nobody_may_cache(
    api: ApiClient, node: FakeNode
) -> None:
    await grow(node, 1)
    tree(node)
    for path in ("/checkpoint", "/v1/checkpoint", "/tile/0/000", "/tile/entries/000.p/2"):
        assert (await api.get(path, scope=None)).status == 401
        answer = await api.get(path)
        assert answer.status == 200
        assert "public" not in answer.headers["Cache-Control"]
        assert "immutable" not in answer.headers["Cache-Control"]


@open_log
async def test_a_public_log_is_read_by_anyone_and_full_tiles_are_kept(
    api: ApiClient, node: FakeNode
) -> None:
    await grow(node, 1)
    tree(node)
    expected = {
        "/checkpoint": "no-cache",
        "/v1/checkpoint": "no-cache",
        "/tile/0/000": "public, max-age=31536000, immutable",
        "/tile/0/001.p/5": "public, max-age=60",
        "/tile/entries/000.p/2": "public, max-age=60",
    }
    for path, caching in expected.items():
        answer = await api.get(path, scope=None)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, caching)
        with_token = await api.get(path)
        assert with_token.status == 200
        assert "public" not in with_token.headers["Cache-Control"]
    false = await api.get("/checkpoint", scope=None, headers={"Authorization": "Bearer x"})
    assert false.status == 401, "who shows a token is held to it"
    missing = await api.get("/tile/0/009", scope=None)
    assert (missing.status, missing.headers["Cache-Control"]) == (404, "no-store")


@open_log
async def test_a_public_log_opens_nothing_else(api: ApiClient) -> None:
    opened = {route.path for route in ROUTES if route.public_read}
    assert opened == {"/checkpoint", "/v1/checkpoint", "/tile/{path:.+}"}
    for path in ("/v1/status", "/v1/blocks", "/v1/invoices", "/metrics"):
        assert (await api.get(path, scope=None)).status == (200 if path == "/metrics" else 401)


@pytest.mark.parametrize("config", [replace(PUBLIC, log_per_second=1.0, log_burst=3.0)])
async def test_strangers_together_are_held_to_a_rate_of_their_own(
    api: ApiClient, node: FakeNode
) -> None:
    await grow(node, 1)
    for _ in range(3):
        assert (await api.get("/checkpoint", scope=None)).status == 200
    refused = await api.get("/checkpoint", scope=None)
    assert (refused.status, "Retry-After" in refused.headers) == (429, True)
    assert (await api.get("/checkpoint")).status == 200
    asked = await api.get("/v1/verify?number=1&gross=1&hash=1", scope=None)
    assert asked.status != 429


async def test_the_description_says_where_a_token_may_be_left_out(api: ApiClient) -> None:
    paths = (await api.get("/openapi.json", scope=None)).json["paths"]
    assert {} in paths["/checkpoint"]["get"]["security"]
    assert {} in paths["/tile/{path}"]["get"]["security"]
    assert {} not in paths["/v1/blocks"]["get"]["security"]

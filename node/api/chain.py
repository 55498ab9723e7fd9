"""Routes of the ledger's blocks. What a client that follows and verifies reads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from aiohttp import web

from node.api.errors import ApiError, not_found
from node.api.requests import (
    CursorInteger,
    encode_cursor,
    path_integer,
    query_cursor,
    query_integer,
    query_limit,
    query_seconds,
)
from node.api.routing import PAGE_QUERY, Api, Query, Route, WaitSlot, json_response, scope_of
from node.api.security import Scope
from node.api.views import (
    BlockSummary,
    BlockView,
    TransactionSummary,
    block_summary,
    seal_of,
    transaction_summaries,
)
from node.following.outcomes import Heights
from node.storage.block import StoredBlock

BLOCK_TYPE = "application/vnd.piaolian.block"
BLOCKS_BYTES_MAX = 8 * 1_048_576
"""One answer of raw blocks: at least one block, cut past this."""
_SLICE = 500
"""Leaves decoded in one turn of the event loop: a few milliseconds."""


class BlocksPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Blocks, newest first unless `from` is given."""

    blocks: list[BlockSummary]
    next_cursor: str | None = None


class _BlocksCursor(msgspec.Struct, frozen=True, array_like=True):
    height: CursorInteger
    ascending: bool


def _wants_raw(request: web.Request) -> bool:
    return BLOCK_TYPE in request.headers.get("Accept", "")


def _raw(block: StoredBlock) -> tuple[int, int, Sequence[bytes], bytes | None]:
    return (block.height, block.first_index, block.leaves, block.certificate)


async def show_block(api: Api, request: web.Request) -> web.Response:
    """One block, as JSON or raw."""
    block = await api.node.block(path_integer(request, "height"))
    if block is None:
        raise not_found("there is no such block yet")
    if _wants_raw(request):
        return web.Response(body=msgspec.msgpack.encode(_raw(block)), content_type=BLOCK_TYPE)
    summary = block_summary(seal_of(block.leaves), api.node.heights().final)
    transactions: list[TransactionSummary] = []
    for start in range(0, len(block.leaves) - 1, _SLICE):
        end = min(start + _SLICE, len(block.leaves) - 1)
        transactions += transaction_summaries(block.leaves[start:end], block.first_index + start)
        await asyncio.sleep(0)
    return json_response(
        BlockView(
            **msgspec.structs.asdict(summary),
            certificate=block.certificate.decode() if block.certificate is not None else None,
            transactions=transactions,
        )
    )


async def list_blocks(api: Api, request: web.Request) -> web.Response:
    """Pages of blocks as JSON, or a run of raw final blocks."""
    if _wants_raw(request):
        return await _raw_blocks(api, request)
    limit = query_limit(request)
    cursor = query_cursor(request, _BlocksCursor)
    start = query_integer(request, "from")
    heights = api.node.heights()
    if cursor is None:
        cursor = _BlocksCursor(heights.committed if start is None else start, start is not None)
    if cursor.ascending:
        first, last = max(cursor.height, 1), min(cursor.height + limit - 1, heights.committed)
    else:
        last = min(cursor.height, heights.committed)
        first = max(last - limit + 1, 1)
    summaries = await _read_summaries(api, first, last, heights.final)
    if not cursor.ascending:
        summaries.reverse()
    following = _following(cursor, first, last, summaries, heights)
    return json_response(BlocksPage(summaries, following))


async def _read_summaries(api: Api, first: int, last: int, final: int) -> list[BlockSummary]:
    """Seals of blocks first..last. Blocks are read in pieces and dropped at once: they are big."""
    summaries: list[BlockSummary] = []
    while first <= last:
        piece = await api.node.blocks(first, last - first + 1, BLOCKS_BYTES_MAX)
        if not piece:
            break
        summaries += (block_summary(seal_of(block.leaves), final) for block in piece)
        first = piece[-1].height + 1
    return summaries


def _following(
    cursor: _BlocksCursor, first: int, last: int, page: list[BlockSummary], heights: Heights
) -> str | None:
    if not page:
        return None
    if cursor.ascending:
        return encode_cursor(last + 1, True) if last < heights.committed else None
    return encode_cursor(first - 1, False) if first > 1 else None


async def _raw_blocks(api: Api, request: web.Request) -> web.Response:
    """Final blocks only: a client that verifies has no use for others."""
    start = query_integer(request, "from")
    if start is None or start < 1:
        raise ApiError(400, "BAD_REQUEST", "from must be a height")
    limit = query_limit(request)
    wait_s = query_seconds(request, "wait_s", 0.0, api.config.wait_s_max)
    final = api.node.heights().final
    if final < start and wait_s > 0:
        final = await _wait_final(api, request, start, wait_s)
    if final < start:
        return web.Response(body=msgspec.msgpack.encode([]), content_type=BLOCK_TYPE)
    blocks = await api.node.blocks(start, min(limit, final - start + 1), BLOCKS_BYTES_MAX)
    return web.Response(
        body=msgspec.msgpack.encode([_raw(block) for block in blocks]), content_type=BLOCK_TYPE
    )


async def _wait_final(api: Api, request: web.Request, height: int, wait_s: float) -> int:
    """The final height once it reaches `height`, or at the timeout."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    heights = api.node.heights()
    with WaitSlot(api, scope_of(request)):
        while heights.final < height and (left := deadline - loop.time()) > 0:
            # Only finality matters here: a committed height that nothing passes.
            above = Heights(committed=2**62, final=heights.final)
            heights = await api.node.wait_heights(above, left)
    return heights.final


ROUTES = (
    Route(
        "GET",
        "/v1/blocks",
        list_blocks,
        "Blocks; with `Accept: application/vnd.piaolian.block` final blocks as MessagePack",
        "ledger",
        Scope.READ,
        query=(
            Query("from", "First height; pages then ascend.", {"type": "integer", "minimum": 1}),
            *PAGE_QUERY,
            Query(
                "wait_s",
                "Raw form: wait up to so many seconds for `from` to be final.",
                {"type": "number"},
            ),
        ),
        answers={200: BlocksPage},
        also={200: BLOCK_TYPE},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/blocks/{height}",
        show_block,
        "One block: seal, transactions with their outcomes, certificate",
        "ledger",
        Scope.READ,
        answers={200: BlockView},
        also={200: BLOCK_TYPE},
        refusals=(404,),
    ),
)

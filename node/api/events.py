"""The event stream: server-sent events of blocks, finality and transactions.

A stream is a cursor into the ledger, not a queue: it reads the next blocks when the client has
taken the last ones, so a slow client costs no memory and misses nothing.

`id` is a height that the client has seen in full; a reconnect with `Last-Event-ID` goes on after
it. The last event of a block carries it. `final` says that everything up to its height is final;
it is repeated on connecting, and carries an id only where nothing else would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NoReturn

import msgspec
from aiohttp import web

from node.api.errors import bad_request, too_many
from node.api.requests import query_integer
from node.api.routing import ACCESS_KEY, Api, Query, Route
from node.api.security import Scope
from node.api.views import block_summary, seal_of
from node.chain.leaf import TransactionLeaf, decode_leaf
from node.following.outcomes import Heights
from node.ledger.transaction import transaction_id
from node.services.operation_views import code_name
from node.storage.block import StoredBlock

TYPES = ("block", "final", "transaction")
_BLOCKS_MAX = 16
"""Blocks read ahead of what the client has taken."""
_BYTES_MAX = 8 * 1_048_576
_HEIGHT_MAX = 2**53
_json = msgspec.json.Encoder()


class FinalEvent(msgspec.Struct, frozen=True):
    """Everything up to `height` is final."""

    height: int


class TransactionEvent(msgspec.Struct, frozen=True):
    """A transaction is in a committed block."""

    id: str
    height: int
    index: int
    code: str
    """OK, or why it is refused."""


async def stream_events(api: Api, request: web.Request) -> web.StreamResponse:
    """Stream until the client goes, or the node stops."""
    types = _types(request)
    position = _position(api, request)
    scope = request[ACCESS_KEY].scope
    if sum(held is scope for held in api.streams.values()) >= api.config.streams_max:
        raise too_many("too many event streams are open", 5)
    task = asyncio.current_task()
    assert task is not None, "a handler runs in a task"
    api.streams[task] = scope
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    try:
        await response.prepare(request)
        await _stream(api, response, types, position)
    except ConnectionError:
        pass  # the client is gone
    except TimeoutError:
        # Ending the response properly would wait for the same client again.
        if request.transport is not None:
            request.transport.abort()
    except asyncio.CancelledError:
        if not api.closing:
            raise
        task.uncancel()
    finally:
        api.streams.pop(task, None)
    return response


async def _stream(
    api: Api, response: web.StreamResponse, types: frozenset[str], height: int
) -> NoReturn:
    """Send what is above `height`, then what comes."""
    told_final = -1
    loop = asyncio.get_running_loop()
    next_heartbeat = loop.time() + api.config.heartbeat_s
    await _send(api, response, b": piaolian events\nretry: 1000\n\n")
    while True:
        heights = api.node.heights()
        parts: list[bytes] = []
        if height < heights.committed and types & {"block", "transaction"}:
            blocks = await api.node.blocks(height + 1, _BLOCKS_MAX, _BYTES_MAX)
            for block in blocks:
                parts += _block_events(block, heights.final, types)
                height = block.height
        else:
            height = max(height, heights.committed)
        if told_final < heights.final:
            told_final = heights.final
            if "final" in types:
                identity = told_final if types == {"final"} else None
                parts.append(_event("final", FinalEvent(told_final), identity))
        if parts:
            next_heartbeat = loop.time() + api.config.heartbeat_s
            await _send(api, response, b"".join(parts))
        elif height >= heights.committed:
            left_s = max(0.0, next_heartbeat - loop.time())
            await api.node.wait_heights(Heights(height, told_final), left_s)
            if loop.time() >= next_heartbeat:
                next_heartbeat = loop.time() + api.config.heartbeat_s
                await _send(api, response, b": heartbeat\n\n")


async def _send(api: Api, response: web.StreamResponse, data: bytes) -> None:
    """Write and drain within a limit: aiohttp itself would wait for ever."""
    async with asyncio.timeout(api.config.send_timeout_s):
        await response.write(data)


def _block_events(block: StoredBlock, final: int, types: frozenset[str]) -> Iterable[bytes]:
    events: list[tuple[str, object]] = []
    if "transaction" in types:
        for position, data in enumerate(block.leaves[:-1]):
            leaf = decode_leaf(data)
            assert isinstance(leaf, TransactionLeaf)
            events.append(
                (
                    "transaction",
                    TransactionEvent(
                        id=transaction_id(leaf.body).hex(),
                        height=block.height,
                        index=block.first_index + position,
                        code=code_name(leaf.code),
                    ),
                )
            )
    if "block" in types:
        events.append(("block", block_summary(seal_of(block.leaves), final)))
    last = len(events) - 1
    return [
        _event(name, value, block.height if position == last else None)
        for position, (name, value) in enumerate(events)
    ]


def _event(name: str, value: object, identity: int | None) -> bytes:
    line = b"" if identity is None else b"id: %d\n" % identity
    return b"%sevent: %s\ndata: %s\n\n" % (line, name.encode(), _json.encode(value))


def _types(request: web.Request) -> frozenset[str]:
    text = request.query.get("types")
    if text is None:
        return frozenset(TYPES)
    types = frozenset(text.split(","))
    if not types <= set(TYPES):
        raise bad_request(f"types are {', '.join(TYPES)}, with commas between")
    return types


def _position(api: Api, request: web.Request) -> int:
    """The height after which the stream starts."""
    last = request.headers.get("Last-Event-ID")
    if last is not None:
        if not (last.isascii() and last.isdigit() and len(last) <= 16):
            raise bad_request("Last-Event-ID must be a height")
        return min(int(last), _HEIGHT_MAX)
    start = query_integer(request, "from_height")
    if start is None:
        return api.node.heights().committed
    return max(0, start - 1)


ROUTES = (
    Route(
        "GET",
        "/v1/events",
        stream_events,
        "Server-sent events, resumable by Last-Event-ID",
        "events",
        Scope.READ,
        query=(
            Query("from_height", "First height; left out: only what comes.", {"type": "integer"}),
            Query("types", "Of block, final, transaction; with commas between. Left out: all."),
        ),
        answers={200: "text/event-stream"},
        refusals=(400,),
    ),
)

"""Routes of the transparency log in C2SP's layout: checkpoint, tiles, entry bundles (tlog-tiles).

Owns what of the tree is served, under which encoding and for how long others may keep it. Nothing
beyond the newest final checkpoint is: a leaf that is only committed could still be lost with its
voters, and a monitor that kept it would call the log a liar. The prefix of the log is the node's
own URL. Where `public_read` is set, anyone reads these paths and no other.
"""

from __future__ import annotations

import asyncio
import gzip
import re

from aiohttp import web

from node.api.errors import not_found
from node.api.routing import Api, Route, WaitSlot, scope_of
from node.api.security import Scope
from node.chain.merkle import HASH_BYTES
from node.chain.tiles import (
    TILE_WIDTH,
    MalformedTilePathError,
    TileAddress,
    encode_entry_bundle,
    parse_tile_path,
)

_FULL = "public, max-age=31536000, immutable"
_PARTIAL = "public, max-age=60"
"""Its bytes never change either, but once the full tile is there nobody asks for it again."""
_GZIP_LEVEL = 5
_QUALITY_ZERO = re.compile(r"q\s*=\s*0(\.0*)?")


async def show_checkpoint(api: Api, _: web.Request) -> web.Response:
    """The newest final checkpoint."""
    note = await api.node.checkpoint()
    if note is None:
        raise not_found("nothing is final yet")
    return web.Response(text=note, content_type="text/plain", headers={"Cache-Control": "no-cache"})


async def show_tile(api: Api, request: web.Request) -> web.Response:
    """A tile of hashes or a bundle of entries."""
    try:
        address = parse_tile_path(request.path.removeprefix("/"))
    except MalformedTilePathError as error:
        raise not_found("not a tile path") from error
    if _end(address) > await api.node.final_size() >> 8 * (address.level or 0):
        raise not_found("the final tree does not reach this far")
    headers = {}
    if api.config.public_read and "Authorization" not in request.headers:
        headers["Cache-Control"] = _FULL if address.width == TILE_WIDTH else _PARTIAL
    if address.level is None:
        return await _bundle(api, request, address, headers)
    hashes = await api.node.tile(address.level, address.number)
    if hashes is None or len(hashes) < address.width * HASH_BYTES:
        raise not_found("the final tree does not reach this far")
    return web.Response(
        body=hashes[: address.width * HASH_BYTES],
        content_type="application/octet-stream",
        headers=headers,
    )


async def _bundle(
    api: Api, request: web.Request, address: TileAddress, headers: dict[str, str]
) -> web.Response:
    # 256 leaves may be 15 MiB: one bundle at a time is read and compressed, the others wait.
    with WaitSlot(api, scope_of(request)):
        async with api.bundling:
            leaves = await api.node.leaves(address.number * TILE_WIDTH, address.width)
            if len(leaves) < address.width:
                raise not_found("the final tree does not reach this far")
            body = encode_entry_bundle(leaves)
            headers["Vary"] = "Accept-Encoding"
            if _takes_gzip(",".join(request.headers.getall("Accept-Encoding", ()))):
                # No time in the header: one bundle has one spelling, whoever caches it.
                body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0)
                headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


def _end(address: TileAddress) -> int:
    return address.number * TILE_WIDTH + address.width


def _takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header lets the answer be gzipped (RFC 9110, 12.5.3)."""
    codings: dict[str, bool] = {}
    for item in accepted.lower().split(","):
        name, _, parameters = item.partition(";")
        codings[name.strip()] = not _QUALITY_ZERO.fullmatch(parameters.strip())
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", False)))


def _checkpoint_route(path: str, operation_id: str | None = None) -> Route:
    return Route(
        "GET",
        path,
        show_checkpoint,
        "The newest final checkpoint, cosigned (C2SP tlog-checkpoint)",
        "ledger",
        Scope.READ,
        public_read=True,
        operation_id=operation_id,
        answers={200: "text/plain"},
        refusals=(404,),
    )


ROUTES = (
    _checkpoint_route("/checkpoint", "get_log_checkpoint"),
    _checkpoint_route("/v1/checkpoint"),
    Route(
        "GET",
        "/tile/{path:.+}",
        show_tile,
        "A tile of hashes, or of entries under `/tile/entries/` (C2SP tlog-tiles), all final",
        "ledger",
        Scope.READ,
        public_read=True,
        answers={200: "application/octet-stream"},
        refusals=(404,),
    ),
)

"""Routes of attachments: hand in a file that an invoice will name, fetch one that it named."""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from node.api.errors import bad_request, not_found
from node.api.requests import read_body
from node.api.routing import Api, Query, Route, json_response
from node.api.security import Scope
from node.api.writes import facade_errors
from node.domains.invoices.api.facade import invoices_of
from node.domains.invoices.details.details import ATTACHMENT_BYTES_MAX

BINARY_TYPE = "application/octet-stream"
_HASH = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[0-9]{20}")


class AttachmentView(msgspec.Struct, frozen=True):
    """A file that waits for its invoice: name it in `details.attachments`."""

    hash: str
    """SHA-256 of the bytes."""
    size: int


async def add_attachment(api: Api, request: web.Request) -> web.Response:
    """Keep a file until an invoice names it."""
    content = await read_body(
        request, (BINARY_TYPE,), ATTACHMENT_BYTES_MAX, api.config.body_timeout_s
    )
    if not content:
        raise bad_request("an attachment has at least one byte")
    with facade_errors():
        file_hash = await invoices_of(api).keep_attachment(content)
    return json_response(AttachmentView(file_hash.hex(), len(content)), 201)


async def show_attachment(api: Api, request: web.Request) -> web.Response:
    """A file, for who may read the details of the invoice that names it."""
    text, number = request.match_info["hash"], request.query.get("invoice", "")
    if not _NUMBER.fullmatch(number):
        raise bad_request("say which invoice names it: invoice=, 20 digits")
    content = None
    if _HASH.fullmatch(text):
        content = await invoices_of(api).attachment(number, bytes.fromhex(text))
    if content is None:
        raise not_found("no such attachment that this node can open")
    # Whatever the parties say it is, a browser must not show it as a page of this node.
    return web.Response(
        body=content,
        content_type=BINARY_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{text[:16]}"'},
    )


ROUTES = (
    Route(
        "POST",
        "/v1/attachments",
        add_attachment,
        "Hand in a file that an invoice will name within the hour",
        "invoices",
        Scope.OPERATE,
        binary=(BINARY_TYPE,),
        answers={201: AttachmentView},
        refusals=(400, 408, 413, 415, 429),
    ),
    Route(
        "GET",
        "/v1/attachments/{hash}",
        show_attachment,
        "A file that the details of an invoice name; for those who may read them",
        "invoices",
        Scope.READ,
        query=(Query("invoice", "Number of the invoice that names it."),),
        answers={200: BINARY_TYPE},
        refusals=(400, 404),
    ),
)

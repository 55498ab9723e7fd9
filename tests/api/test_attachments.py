"""Attachments over HTTP."""

from __future__ import annotations

import hashlib
from typing import Any

from node.api.security import Scope
from node.domains.invoices.details.details import ATTACHMENT_BYTES_MAX
from node.following.outcomes import AttachmentMissingError
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, FakeNode

FILE = b"<script>alert(1)</script>"
HASH = hashlib.sha256(FILE).hexdigest()
BINARY = {"Content-Type": "application/octet-stream"}
NUMBER = "26310000000000000042"


async def hand_in(api: ApiClient, content: bytes, **options: Any) -> tuple[int, object]:
    options.setdefault("headers", BINARY)
    answer = await api.call("POST", "/v1/attachments", data=content, **options)
    return answer.status, answer.json


async def test_a_file_is_answered_with_its_hash(api: ApiClient) -> None:
    assert await hand_in(api, FILE) == (201, {"hash": HASH, "size": len(FILE)})
    assert (await hand_in(api, bytes(ATTACHMENT_BYTES_MAX)))[0] == 201


async def test_what_is_no_file_is_refused(api: ApiClient) -> None:
    assert (await hand_in(api, b""))[0] == 400
    assert (await hand_in(api, bytes(ATTACHMENT_BYTES_MAX + 1)))[0] == 413
    assert (await hand_in(api, FILE, headers={"Content-Type": "text/html"}))[0] == 415
    assert (await hand_in(api, FILE, scope=Scope.READ))[0] == 403
    assert (await hand_in(api, FILE, scope=None))[0] == 401


async def test_a_reader_of_the_details_fetches_it_as_bytes(api: ApiClient, node: FakeNode) -> None:
    node.files[NUMBER, bytes.fromhex(HASH)] = FILE
    answer = await api.get(f"/v1/attachments/{HASH}?invoice={NUMBER}", scope=Scope.READ)
    assert (answer.status, answer.content) == (200, FILE)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_nobody_here_can_open_is_not_found(api: ApiClient) -> None:
    for name in (HASH, "x", "0" * 63):
        answer = await api.get(f"/v1/attachments/{name}?invoice={NUMBER}")
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert (await api.get(f"/v1/attachments/{HASH}")).status == 400


async def test_an_invoice_that_names_a_missing_file_is_told_so(
    api: ApiClient, node: FakeNode
) -> None:
    node.fault = AttachmentMissingError(HASH)
    body = {
        "order_id": "A-1",
        "buyer": BUYER,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 100}],
    }
    answer = await api.post("/v1/invoices", body)
    assert (answer.status, answer.json["code"]) == (422, "INVALID_FIELDS")
    assert answer.json["errors"] == [
        {"path": "/details/attachments", "message": f"{HASH} does not wait here"}
    ]

"""Invoices of a list, page by page, for as long as there are any. Owns no output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from node.cli.client import ApiClient

_PAGE = 500


def read_invoices(client: ApiClient, **query: object) -> Iterator[dict[str, Any]]:
    """Invoices that match `query` (of `GET /v1/invoices`), newest first, one page in memory."""
    cursor: object = None
    while True:
        page = client.get("/v1/invoices", **query, limit=_PAGE, cursor=cursor).fields
        rows = page["invoices"]
        assert isinstance(rows, list)
        yield from rows
        cursor = page.get("next_cursor")
        if cursor is None:
            return

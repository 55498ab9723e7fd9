"""The route that reads a table of invoices: what importing it would send. Changes nothing.

The page of the node sends what comes back, document by document, through the routes that issue.
"""

from __future__ import annotations

from aiohttp import web

from node.api.errors import ApiError
from node.api.requests import query_choice, read_body
from node.api.routing import Api, Query, Route
from node.api.security import Scope
from node.api.workers import WorkerKind
from node.domains.invoices.importing.table_worker import (
    Encoding,
    Kind,
    TablePlan,
    UnreadableTableError,
    read_table,
)
from node.system.worker_process import WorkerProcessError

CSV_TYPE = "text/csv"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TABLE_BYTES_MAX = 8 << 20
"""Some 50,000 rows; a larger file is the command line's."""
_ENCODINGS: tuple[Encoding, ...] = ("utf-8", "gb18030")


async def read_table_file(api: Api, request: web.Request) -> web.Response:
    """Read a table of our columns."""
    wanted = query_choice(request, "encoding", _ENCODINGS)
    encoding: Encoding = next((each for each in _ENCODINGS if each == wanted), "utf-8")
    kind: Kind = "xlsx" if request.content_type == XLSX_TYPE else "csv"
    workers = api.workers[WorkerKind.TABLE]
    try:
        async with workers.place():
            content = await read_body(
                request, (CSV_TYPE, XLSX_TYPE), TABLE_BYTES_MAX, api.config.body_timeout_s
            )
            plan = await workers.do(request, read_table(content, kind, encoding))
    except UnreadableTableError as error:
        raise ApiError(422, "INVALID_FIELDS", str(error)) from error
    except WorkerProcessError as error:
        raise ApiError(500, "INTERNAL", f"the table was not read: {error}") from error
    return web.Response(body=plan, content_type="application/json")


ROUTES = (
    Route(
        "POST",
        "/v1/tables:read",
        read_table_file,
        "Read a table of invoices and red letters: what importing it would send, and what is wrong",
        "invoices",
        Scope.OPERATE,
        binary=(CSV_TYPE, XLSX_TYPE),
        query=(Query("encoding", "Of a CSV file.", {"type": "string", "enum": list(_ENCODINGS)}),),
        answers={200: TablePlan},
        refusals=(400, 408, 413, 415, 422),
    ),
)

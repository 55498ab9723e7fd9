"""Where tables that come over the API are read: a process of its own for each.

A workbook is a stranger's archive, and reading one holds the processor for seconds: neither may
touch the node. Owns what goes through that process' pipes: the file one way, as JSON what it asks
for the other. What rows mean is `node.domains.invoices.importing`.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from node.domains.invoices.importing.plan import (
    LateRed,
    Letter,
    Plan,
    PlannedInvoice,
    Refusal,
    encode_json,
)
from node.system.worker_process import WorkerProcessError, run_in_worker

if TYPE_CHECKING:
    from node.domains.invoices.importing.tables import Table

Kind = Literal["csv", "xlsx"]
Encoding = Literal["utf-8", "gb18030"]
DOCUMENTS_MAX = 20_000
REFUSALS_MAX = 2_000
"""Refused cells that are told; a person mends the first ones and reads the file again."""
REFUSED_BYTES_MAX = 2 << 20
_MEMORY_BYTES = 1 << 30
"""Four times what the largest table takes."""
_PROCESSOR_S = 60
_UNREADABLE = 3
"""Exit code: it is no such table, as standard output says."""


class UnreadableTableError(ValueError):
    """The file is no table of ours; the message says why."""


class TableInvoice(msgspec.Struct, frozen=True):
    """An invoice that a table asks for."""

    row: int
    order_id: str
    buyer: str | None
    """None: the table names nobody."""
    currency: str
    net: int
    """In minor units, as `tax`."""
    tax: int
    body: msgspec.Raw
    """As `POST /v1/invoices` takes it, without `buyer`."""


class TableLetter(msgspec.Struct, frozen=True):
    """A red letter that a table asks for, by lines of one invoice."""

    row: int
    order_id: str
    original: str
    """Order id of the invoice, or its number."""
    by_number: bool
    """Whether `original` is a number."""
    reason: str
    lines: list[dict[str, Any]]
    """As `POST /v1/invoices/{number}/red` takes them."""
    details: msgspec.Raw


class TablePlan(msgspec.Struct, frozen=True):
    """What a table asks for, in its order, and what of it is refused."""

    invoices: list[TableInvoice]
    letters: list[TableLetter]
    refused: list[Refusal]
    refused_more: int = 0
    """Refused cells beyond those told."""
    refused_rows: str | None = None
    """All rows of refused documents as they stand in the file, as CSV with two columns that say
    why: to be corrected and imported alone. None: there are none, or over `REFUSED_BYTES_MAX`."""
    notes: list[str] = []
    """What of the file was read otherwise than one would think."""


async def read_table(content: bytes, kind: Kind, encoding: Encoding) -> bytes:
    """A `TablePlan` as JSON.

    Raises:
        UnreadableTableError: the file is no such table.
        WorkerProcessError: the process ended without an answer.
    """
    try:
        return await run_in_worker(
            "node.domains.invoices.importing.table_worker", content, kind, encoding
        )
    except WorkerProcessError as error:
        if error.code == _UNREADABLE:
            raise UnreadableTableError(error.answer.decode("utf-8", "replace")) from error
        raise


def table_plan(plan: Plan, refused_rows: str | None = None) -> TablePlan:
    """A plan as it goes to the API's client."""
    return TablePlan(
        [_invoice(each) for each in plan.invoices],
        [_letter(each) for each in plan.letters],
        list(plan.refused[:REFUSALS_MAX]),
        max(0, len(plan.refused) - REFUSALS_MAX),
        refused_rows,
        list(plan.notes),
    )


def _invoice(planned: PlannedInvoice) -> TableInvoice:
    return TableInvoice(
        planned.row,
        planned.order_id,
        planned.buyer,
        planned.currency,
        planned.net,
        planned.tax,
        msgspec.Raw(planned.body),
    )


def _letter(letter: Letter) -> TableLetter:
    if isinstance(letter, LateRed):
        asked = [(each.line, each.quantity, each.net) for each in letter.lines]
        details = letter.head
    else:  # worked out from the file; the node works it out again from the ledger, the same
        body = msgspec.json.decode(letter.body)
        asked = [_asked(line) for line in body["lines"]]
        details = encode_json(body.get("details", {}))
    lines = [
        {"line": line}
        | ({} if quantity is None else {"quantity": quantity})
        | ({} if net is None else {"net": net})
        for line, quantity, net in asked
    ]
    return TableLetter(
        letter.row,
        letter.order_id,
        letter.original,
        letter.by_number,
        letter.reason,
        lines,
        msgspec.Raw(details),
    )


def _asked(line: dict[str, Any]) -> tuple[int, str | None, int | None]:
    """What was asked for to get this line: a unit price stays only where no amount was named."""
    quantity = line.get("quantity")
    return line["original"], quantity, None if quantity and "unit_price" in line else line["net"]


def main(kind: str, encoding: str) -> int:
    """Read a file from standard input, write its plan to standard output."""
    from node.domains.invoices.importing.collector import seldom_collecting  # noqa: PLC0415 - see above
    from node.domains.invoices.importing.documents import read_documents  # noqa: PLC0415
    from node.domains.invoices.importing.online_retail import FileFormatError  # noqa: PLC0415
    from node.domains.invoices.importing.refused_rows import refused_text  # noqa: PLC0415
    from node.domains.invoices.importing.table_plan import plan_table  # noqa: PLC0415
    from node.domains.invoices.importing.tables import read_csv, read_xlsx  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR_S, _PROCESSOR_S))
    with _in_memory(sys.stdin.buffer.read()) as path:

        def rows() -> Table:
            return read_xlsx(path) if kind == "xlsx" else read_csv(path, encoding)

        refused_rows = None
        try:
            with seldom_collecting():
                plan = plan_table(read_documents(rows(), DOCUMENTS_MAX))
            if plan.refused:
                refused_rows = refused_text(rows(), plan.refused, REFUSED_BYTES_MAX)
        except FileFormatError as error:
            sys.stdout.write(str(error).removeprefix(f"{path}: "))
            return _UNREADABLE
    sys.stdout.buffer.write(encode_json(table_plan(plan, refused_rows)))
    return 0


@contextmanager
def _in_memory(content: bytes) -> Iterator[Path]:
    """A file that is on no disk: it needs no room there, and none is left where this is killed."""
    descriptor = os.memfd_create("table")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{descriptor}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

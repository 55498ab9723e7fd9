"""The rows that an import refused, in a file of their own: to be corrected and imported alone.

Owns that file's shape: the source's header and rows as they were, and why, in two more columns. All
rows of a refused document are in it, for a document is imported whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from node.domains.invoices.importing.columns import ERROR_COLUMNS, column_name
from node.domains.invoices.importing.documents import is_comment
from node.domains.invoices.importing.plan import Refusal
from node.domains.invoices.importing.tables import Row, csv_line


def write_refused(
    path: Path, rows: Iterable[Row], order_heading: str | None, refused: Sequence[Refusal]
) -> int:
    """Copy the refused rows of a table.

    Args:
        path: A CSV file, overwritten; UTF-8 with a mark, so that spreadsheets read it.
        rows: As `refused_rows`.
        order_heading: As `refused_rows`.
        refused: As `refused_rows`.

    Returns:
        The rows written, without the header.

    Raises:
        OSError: it cannot be written.
    """
    written = -1
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        for cells in refused_rows(rows, order_heading, refused):
            file.write(csv_line(cells))
            written += 1
    return written


def refused_text(rows: Iterable[Row], refused: Sequence[Refusal], bytes_max: int) -> str | None:
    """The refused rows of a table of our columns; None where they are longer than `bytes_max`.

    A workbook names one long text in very many cells: no more is written out than is kept.
    """
    lines: list[str] = []
    left = bytes_max
    for cells in refused_rows(rows, None, refused):
        if sum(map(len, cells)) > left:
            return None
        lines.append(csv_line(cells))
        left -= len(lines[-1].encode("utf-8", "surrogatepass"))
        if left < 0:
            return None
    return "".join(lines)


def refused_rows(
    rows: Iterable[Row], order_heading: str | None, refused: Sequence[Refusal]
) -> Iterator[list[str]]:
    """The header and the refused rows, each with its two columns more.

    Args:
        rows: The source again, header first (comments before it are left out).
        order_heading: Heading of the column of order ids; None: as in our own tables.
        refused: With rows or order ids of the source.
    """
    by_row: dict[int, list[Refusal]] = {}
    by_order: dict[str, list[Refusal]] = {}
    for refusal in refused:
        by_row.setdefault(refusal.row, []).append(refusal)
        if refusal.order_id is not None:
            by_order.setdefault(refusal.order_id, []).append(refusal)
    iterator = iter(rows)
    header = next((cells for _, cells in iterator if not is_comment(cells)), [])
    kept = [p for p, name in enumerate(header) if column_name(name) not in ERROR_COLUMNS]
    order = next((p for p in kept if _is_order(header[p], order_heading)), None)
    yield [*(header[place] for place in kept), *ERROR_COLUMNS]
    for number, cells in iterator:
        own = by_row.get(number, [])
        order_id = cells[order].strip() if order is not None and order < len(cells) else ""
        reasons = own or by_order.get(order_id, [])[:1]
        if reasons:
            copied = [cells[place] if place < len(cells) else "" for place in kept]
            said = "; ".join(_said(reason, number) for reason in reasons)
            # Cells beyond the header come last: the row stays as wrong as it was, and whole.
            yield [*copied, reasons[0].code, said, *cells[len(header) :]]


def _said(reason: Refusal, row: int) -> str:
    """Why, and where when that is another row of the same document."""
    return reason.message if reason.row == row else f"row {reason.row}: {reason.message}"


def _is_order(heading: str, wanted: str | None) -> bool:
    if wanted is not None:
        return heading.strip() == wanted
    return column_name(heading) == "order_id"

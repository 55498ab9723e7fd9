"""The rows that an import refused, in a file of their own: to be corrected and imported alone.

Owns that file's shape: the source's header and rows as they were, and why, in two more columns. All
rows of a refused document are in it, for a document is imported whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        rows: The source again, header first (comments before it are left out).
        order_heading: Heading of the column of order ids; None: as in our own tables.
        refused: With rows or order ids of the source.

    Returns:
        The rows written, without the header.

    Raises:
        OSError: it cannot be written.
    """
    by_row: dict[int, list[Refusal]] = {}
    by_order: dict[str, list[Refusal]] = {}
    for refusal in refused:
        by_row.setdefault(refusal.row, []).append(refusal)
        if refusal.order_id is not None:
            by_order.setdefault(refusal.order_id, []).append(refusal)
    written = 0
    iterator = iter(rows)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        header = next((cells for _, cells in iterator if not is_comment(cells)), [])
        kept = [p for p, name in enumerate(header) if column_name(name) not in ERROR_COLUMNS]
        order = next((p for p in kept if _is_order(header[p], order_heading)), None)
        file.write(csv_line([*(header[place] for place in kept), *ERROR_COLUMNS]))
        for number, cells in iterator:
            own = by_row.get(number, [])
            order_id = cells[order].strip() if order is not None and order < len(cells) else ""
            reasons = own or by_order.get(order_id, [])[:1]
            if reasons:
                copied = [cells[place] if place < len(cells) else "" for place in kept]
                said = "; ".join(_said(reason, number) for reason in reasons)
                # Cells beyond the header come last: the row stays as wrong as it was, and whole.
                beyond = cells[len(header) :]
                file.write(csv_line([*copied, reasons[0].code, said, *beyond]))
                written += 1
    return written


def _said(reason: Refusal, row: int) -> str:
    """Why, and where when that is another row of the same document."""
    return reason.message if reason.row == row else f"row {reason.row}: {reason.message}"


def _is_order(heading: str, wanted: str | None) -> bool:
    if wanted is not None:
        return heading.strip() == wanted
    return column_name(heading) == "order_id"

"""What the tax bureau's node finds wrong in opened details, and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.drafting import invoice_draft
from node.domains.invoices.service.discrepancy_checks import examine
from node.domains.invoices.service.examiner import Examiner
from node.ledger.codes import Table
from node.ledger.invoices.rows import DiscrepancyKind, GroupRow, InvoiceRow
from node.ledger.row_codec import encode_row
from node.sealing.opener import Opened

ISSUER, BUYER = "91350100M000100Y43", "91110000600037341L"


def row_of(
    *groups: tuple[int, int, int], currency: str = "CNY", original: str | None = None
) -> InvoiceRow:
    net, tax = sum(g[1] for g in groups), sum(g[2] for g in groups)
    return InvoiceRow(
        number="1" * 20,
        issuer=ISSUER,
        buyer=BUYER,
        special=False,
        currency=currency,
        issue_date="2026-11-18",
        groups=tuple(GroupRow(rate, n, t, 9_999) for rate, n, t in groups),
        net=net,
        tax=tax,
        gross=net + tax,
        order=bytes(32),
        replaces=None,
        original=original,
        details=bytes(32),
        blobs=(bytes(32),),
        txid=bytes(32),
        height=1,
        issued_at=0,
        quota=net,
        holder=BUYER,
    )


def line(net: int, rate: int = 1300, **more: Any) -> dict[str, Any]:
    return {"description": "d", "net": net, "rate": rate, **more}


def encoded(*lines: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"lines": list(lines), **more}).encode()


GOOD = encoded(
    line(25_000, quantity="10", unit_price="25.00"),
    line(-1_000, nature="discount"),
    line(500, 600),
    allowances=[{"kind": "allowance", "net": 100, "rate": 600}],
    seller={"name": "卖方"},
)
ROW = row_of((600, 400, 24), (1300, 24_000, 3_120))


def kinds(row: InvoiceRow, details: bytes, *more: Any) -> tuple[DiscrepancyKind, ...]:
    return examine(row, details, *more).kinds


def test_true_details_pass() -> None:
    assert kinds(ROW, GOOD) == ()
    assert kinds(row_of((1300, 100, 13)), b'{"remarks":"groups alone"}') == ()
    assert kinds(row_of((1300, 101, 14)), encoded(line(34), line(33), line(34))) == ()


@pytest.mark.parametrize(
    ("row", "details", "kind"),
    [
        (ROW, b"[]", DiscrepancyKind.MALFORMED),
        (ROW, encoded(line(24_000), {"net": 1}), DiscrepancyKind.MALFORMED),
        (ROW, encoded(line(24_000), secret=1), DiscrepancyKind.MALFORMED),
        (ROW, b'{"lines":' + b"[" * 5_000 + b"]" * 5_000 + b"}", DiscrepancyKind.MALFORMED),
        (
            row_of((1300, 100, 13)),
            encoded(line(100, quantity="2", unit_price="0.60")),
            DiscrepancyKind.LINE_AMOUNT,
        ),
        (
            row_of((1300, 25_00, 325), currency="JPY"),
            encoded(line(25_00, quantity="1", unit_price="25.00")),
            DiscrepancyKind.LINE_AMOUNT,
        ),
        (row_of((1300, 101, 13)), encoded(line(100)), DiscrepancyKind.NET_MISMATCH),
        (row_of((1300, 100, 13)), encoded(line(100), line(5, 600)), DiscrepancyKind.NET_MISMATCH),
        (
            row_of((600, 5, 0), (1300, 100, 13)),
            encoded(line(100)),
            DiscrepancyKind.NET_MISMATCH,
        ),
        (row_of((1300, 100, 15)), encoded(line(100)), DiscrepancyKind.TAX_MISMATCH),
        (row_of((1300, 100, 13)), encoded(line(100, tax=15)), DiscrepancyKind.TAX_MISMATCH),
    ],
)
def test_what_is_wrong_has_its_kind(row: InvoiceRow, details: bytes, kind: DiscrepancyKind) -> None:
    assert kinds(row, details) == (kind,)


def test_several_things_may_be_wrong_and_no_text_is_quoted() -> None:
    found = examine(
        row_of((1300, 1_000, 900)),
        encoded(line(999, description="秘密", quantity="1", unit_price="1.00")),
    )
    assert found.kinds == (
        DiscrepancyKind.LINE_AMOUNT,
        DiscrepancyKind.NET_MISMATCH,
        DiscrepancyKind.TAX_MISMATCH,
    )
    assert "秘密" not in found.detail
    assert "secret" not in examine(ROW, encoded(line(24_000), x="secret")).detail


RED = row_of((1300, 60, 8), original="1" * 20)
BLUE = encoded(line(100), line(-20), line(50, 600))


@pytest.mark.parametrize(
    ("earlier", "lines", "wrong"),
    [
        ([], [line(60, original=0)], False),
        ([], [line(101, original=0), line(-41)], True),
        ([encoded(line(40, original=0))], [line(60, original=0)], False),
        ([encoded(line(41, original=0))], [line(60, original=0)], True),
        (
            [encoded(line(20, original=0)), encoded(line(21, original=0))],
            [line(60, original=0)],
            True,
        ),
        ([], [line(80, original=0), line(-20, original=1)], False),
        ([], [line(81, original=0), line(-21, original=1)], True),
        ([encoded(line(-1, original=1))], [line(80, original=0), line(-20, original=1)], True),
        ([], [line(60, original=3)], True),
        ([], [line(60, original=2)], True),
        ([], [line(60)], False),
        ([b"{}", b"[]"], [line(60, original=0)], False),
    ],
)
def test_red_lines_take_what_their_original_has_left(
    earlier: list[bytes], lines: list[dict[str, Any]], wrong: bool
) -> None:
    expected = (DiscrepancyKind.LINE_OVER_CREDIT,) if wrong else ()
    assert kinds(RED, encoded(*lines), BLUE, earlier) == expected


def test_what_a_node_issues_from_lines_passes() -> None:
    """The issuer's arithmetic and the bureau's are one: awkward sums at three rates."""
    for count in range(1, 40):
        lines = [
            line((position * 7_919) % 5_003 + 1, (0, 600, 1300)[position % 3])
            for position in range(count)
        ]
        body = {"order_id": "A", "buyer": BUYER, "currency": "CNY", "lines": lines}
        draft = invoice_draft(InvoiceBody.model_validate(body), ISSUER, "2026-11-18")
        assert draft.details is not None
        row = row_of(*((g.rate, g.net, g.tax) for g in draft.groups))
        assert kinds(row, draft.details) == ()


class Rows:
    """A ledger reader that has state rows only."""

    def __init__(self, rows: Sequence[InvoiceRow]) -> None:
        self._rows = {row.number.encode(): encode_row(row) for row in rows}

    async def rows(self, table: Table, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        assert table is Table.INVOICE
        return {key: self._rows[key] for key in keys}


class Details:
    """Details of invoices by number; opening one of them is a fault of the program."""

    def __init__(self, faulty: Mapping[str, Exception]) -> None:
        self._faulty = faulty

    async def blobs_of(self, rows: Sequence[InvoiceRow]) -> list[InvoiceRow]:
        return list(rows)

    def open_blob(self, row: InvoiceRow, blob: InvoiceRow) -> Opened:
        assert row == blob
        if row.number in self._faulty:
            raise self._faulty[row.number]
        return Opened(b"no details", [], bytes(32), bytes(32), bytes(32))


def examiner(rows: Sequence[InvoiceRow], faulty: Mapping[str, Exception]) -> Examiner:
    unsealer: Any = Details(faulty)
    reader: Any = Rows(rows)
    unused: Any = None
    return Examiner(ISSUER, unsealer, reader, unused)


async def test_an_invoice_at_which_the_look_fails_is_told_and_passed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        msgspec.structs.replace(row_of((1300, 10_000, 1_300)), number=f"{n:020d}")
        for n in range(13)
    ]
    issued = [(row.number, row.txid) for row in rows]
    faulty: dict[str, Exception] = {rows[n].number: ZeroDivisionError() for n in (0, 7, 8)}
    subject = examiner(rows, faulty)
    found = await subject._examine_each(issued)

    assert [record.invoice for record in found] == [n for n, _ in issued if n not in faulty]
    assert subject.examined == len(issued) - len(faulty)
    told = capsys.readouterr().out
    assert all("could not be examined" in told and number in told for number in faulty)


async def test_a_fault_of_the_machine_is_no_fault_of_an_invoice() -> None:
    row = row_of((1300, 10_000, 1_300))
    subject = examiner([row], {row.number: OSError(5, "disk")})
    with pytest.raises(OSError, match="disk"):
        await subject._examine_each([(row.number, row.txid)])

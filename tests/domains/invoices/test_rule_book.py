"""The rule book of invoices says what its law says."""

from __future__ import annotations

import re

import pytest

from node.ledger.invoices.law import INVOICES_LAW
from node.ledger.invoices.on_invoice import OPEN_INVOICE
from tests.rule_books import codes, rule_book, table

ROWS = sorted({spec.row for spec in INVOICES_LAW.operations if spec.row is not None})


def test_its_rows_are_numbered_without_a_gap_and_are_the_law_s() -> None:
    assert list(range(1, len(ROWS) + 1)) == ROWS
    assert sorted(int(name) for name in table("invoices") if name.isdigit()) == ROWS


@pytest.mark.parametrize("row", ROWS)
def test_it_names_what_an_operation_is_refused_with(row: int) -> None:
    """But for what all refuse, which stands above the table."""
    specs = [spec for spec in INVOICES_LAW.operations if spec.row == row]
    assert specs
    named = codes(table("invoices")[str(row)][-1])
    listed = {code for spec in specs for code in spec.refusals}
    assert listed - OPEN_INVOICE <= named <= listed


def test_it_says_which_rows_a_frozen_invoice_refuses() -> None:
    """Row 12: the consent; row 14 refuses it in its own way, row 17 asks for an open document."""
    refusing = {
        spec.row
        for spec in INVOICES_LAW.operations
        if spec.refusals >= OPEN_INVOICE and spec.row is not None
    }
    assert refusing == rows_said(r"Those in rows ([^.]*) refuse FROZEN and DOCUMENT_CLOSED")


def test_it_says_where_bare_keys_act() -> None:
    rows = {spec.row for spec in INVOICES_LAW.operations if spec.by_key}
    assert rows == {*rows_said(r"Bare keys may act in rows ([^.]*) and share\."), None}


def rows_said(sentence: str) -> set[int]:
    """Numbers and stretches of numbers in the one part of a sentence."""
    (said,) = re.findall(sentence, rule_book("invoices"))
    stretches = re.findall(r"(\d+)(?: to (\d+))?", said)
    return {row for low, high in stretches for row in range(int(low), int(high or low) + 1)}

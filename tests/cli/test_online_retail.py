"""The retail file: reading dirty rows, planning invoices, matching cancellations."""

import csv
import gzip
import io
import json
from collections import Counter
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.drafting import invoice_draft
from node.domains.invoices.importing.bodies import (
    BATCH_BYTES_MAX,
    BATCH_INVOICES_MAX,
    batch_request,
    batches,
)
from node.domains.invoices.importing.online_retail import (
    COLUMNS,
    FileFormatError,
    read_retail_file,
    read_retail_rows,
)
from node.domains.invoices.importing.plan import Plan, PlannedInvoice, PlannedRed, Totals, totals
from node.domains.invoices.importing.retail_plan import RATE, plan_import
from node.domains.invoices.importing.summary import dry_run_summary
from node.ledger.invoices.tax import tax_half_up

SLICE = Path(__file__).parents[1] / "data" / "online-retail-slice.csv.gz"
Row = tuple[str, str, int | str, str, str]
"""Invoice, stock code, quantity, price, customer."""


def records(*rows: Row) -> list[list[str]]:
    return [
        list(COLUMNS),
        *(
            [number, stock, "THING", str(quantity), "2010-12-01 08:26:00", price, customer, "UK"]
            for number, stock, quantity, price, customer in rows
        ),
    ]


def plan(*rows: Row) -> Plan:
    return plan_import(read_retail_rows(records(*rows)))


def body(planned: PlannedInvoice | PlannedRed) -> dict[str, Any]:
    decoded = json.loads(planned.body)
    assert isinstance(decoded, dict)
    return decoded


def reds(made: Plan) -> list[PlannedRed]:
    return [letter for letter in made.letters if isinstance(letter, PlannedRed)]


@pytest.fixture(scope="module")
def real() -> Plan:
    return plan_import(read_retail_file(SLICE))


# --- The real slice --------------------------------------------------------------------------


def test_the_slice_gives_the_counts_of_its_documents(real: Plan) -> None:
    assert len(real.invoices) == 2_110
    assert len(real.cancellations) == 189
    assert len(real.letters) == 199
    assert Counter(refusal.code for refusal in real.refused) == {
        "NO_ORIGINAL": 257,
        "NOTHING_TO_INVOICE": 187,
    }


def test_the_slice_adds_up_to_what_its_rows_say(real: Plan) -> None:
    with gzip.open(SLICE, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    accepted = {invoice.order_id for invoice in real.invoices}
    accepted |= {cancellation.order_id for cancellation in real.cancellations}
    pence = sum(
        round(int(row["Quantity"]) * float(row["UnitPrice"]) * 100)
        for row in rows
        if row["InvoiceNo"] in accepted
    )

    summary = dry_run_summary(real)
    assert pence == 116_865_373
    assert summary.totals == {"GBP": Totals(pence, 23_373_066, 140_238_439)}
    assert summary.accepted == 2_110 + 189
    documents = len({row["InvoiceNo"] for row in rows})
    assert summary.accepted + summary.skipped + len(summary.refused) == documents


def test_no_invoice_of_the_slice_is_taken_back_beyond_what_it_holds(real: Plan) -> None:
    invoices = {invoice.order_id: invoice for invoice in real.invoices}
    credited: Counter[str] = Counter()
    held: dict[str, list[dict[str, Any]]] = {}
    letters = reds(real)
    assert len(letters) == len(real.letters)
    for letter in letters:
        credited[letter.original] += letter.gross
        assert letter.net > 0
        assert abs(letter.tax - tax_half_up(letter.net, RATE)) <= 1
        original = invoices[letter.original]
        assert original.row < letter.row
        lines = held.setdefault(letter.original, body(original)["lines"])
        for line in body(letter)["lines"]:
            source = lines[line["original"]]
            assert (line["code"], line["unit_price"]) == (source["code"], source["unit_price"])
            source["quantity"] = int(source["quantity"]) - int(line["quantity"])
            source["net"] -= line["net"]
            assert source["quantity"] >= 0
            assert source["net"] >= 0

    assert all(total <= invoices[order].gross for order, total in credited.items())
    assert sum(credited[order] == invoices[order].gross for order in credited) == 9


def test_batches_of_the_slice_keep_order_and_limits(real: Plan) -> None:
    seen = []
    for batch in batches(real.invoices, attrgetter("body")):
        request = json.loads(batch_request(batch, "B" * 18))
        assert len(batch) <= BATCH_INVOICES_MAX
        seen += [invoice.order_id for invoice in batch]
        for invoice, sent in zip(batch, request["invoices"], strict=True):
            assert sent["groups"][0]["net"] == invoice.net
            assert sent["buyer"] == "B" * 18
            InvoiceBody.model_validate_json(json.dumps(sent))

    assert seen == [invoice.order_id for invoice in real.invoices]
    assert BATCH_BYTES_MAX < 1 << 20


# --- Reading ---------------------------------------------------------------------------------


def test_plain_and_gzipped_files_read_alike(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(records(("1", "A", 2, "1.50", "7.0")))
    (tmp_path / "a.csv").write_text("\ufeff" + text.getvalue())
    (tmp_path / "b.csv").write_bytes(gzip.compress(text.getvalue().encode()))

    first, second = (read_retail_file(tmp_path / name) for name in ("a.csv", "b.csv"))

    assert plan_import(first) == plan_import(second)
    assert first.documents[0].customer == "7"


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b,c\n1,2,3\n", b"\x1f\x8b damaged", gzip.compress(b"InvoiceNo" * 99, mtime=0)[:-9]],
)
def test_a_file_of_another_kind_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileFormatError):
        read_retail_file(tmp_path / "x")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError):
        read_retail_file(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("stock", "quantity", "price", "complaint"),
    [
        ("A", "two", "1.00", "Quantity"),
        ("A", "1.5", "1.00", "Quantity"),
        ("A", "1_0", "1.00", "Quantity"),
        ("A", "１", "1.00", "Quantity"),
        ("A", 1, "one", "UnitPrice"),
        ("A", 1, "١.00", "UnitPrice"),
        ("A", 1, "1e2", "UnitPrice"),
        ("A", 1, "NaN", "UnitPrice"),
        ("A", 1, "1e99", "UnitPrice"),
        ("A", 1, "0." + "1" * 14, "UnitPrice"),
        ("", 1, "1.00", "StockCode"),
        ("A", 10**10, "1.00", "Quantity"),
    ],
)
def test_one_bad_row_refuses_its_invoice_and_no_other(
    stock: str, quantity: int | str, price: str, complaint: str
) -> None:
    made = plan(
        ("1", "A", 1, "1.00", "7"),
        ("2", "A", 1, "1.00", "7"),
        ("2", stock, quantity, price, "7"),
        ("3", "A", 1, "1.00", "7"),
    )

    assert [invoice.order_id for invoice in made.invoices] == ["1", "3"]
    assert [(refusal.row, refusal.code) for refusal in made.refused] == [(4, "MALFORMED")]
    assert complaint in made.refused[0].message


def test_rows_without_a_number_or_with_missing_columns_are_named() -> None:
    made = plan_import(
        read_retail_rows([*records(("", "A", 1, "1.00", "7")), ["4", "A"], [], ["5"] * 9])
    )

    assert [(refusal.row, refusal.code) for refusal in made.refused] == [
        (2, "MALFORMED"),
        (3, "MALFORMED"),
        (5, "MALFORMED"),
    ]


def test_rows_of_one_invoice_need_not_stand_together() -> None:
    made = plan(("1", "A", 1, "1.00", "7"), ("2", "A", 1, "1.00", "7"), ("1", "B", 1, "2.00", "7"))

    assert [(invoice.order_id, invoice.net) for invoice in made.invoices] == [
        ("1", 300),
        ("2", 100),
    ]


# --- Planning --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "net", "tax"),
    [
        (3, "2.55", 765, 153),
        (1, "0.125", 13, 3),  # half a penny goes up; 2.6 pence of tax to 3
        (1, "0.001", None, None),  # rounds to nothing
        (1, "0.00", None, None),
        (-1, "2.00", None, None),
        (1, "-2.00", None, None),
    ],
)
def test_amounts_are_rounded_half_up_and_nothing_is_not_invoiced(
    quantity: int, price: str, net: int | None, tax: int | None
) -> None:
    made = plan(("1", "A", quantity, price, "7"))

    if net is None:
        assert [refusal.code for refusal in made.refused] == ["NOTHING_TO_INVOICE"]
    else:
        assert (made.invoices[0].net, made.invoices[0].tax) == (net, tax)


def test_a_cancellation_goes_to_the_latest_invoice_that_holds_it() -> None:
    made = plan(
        ("1", "A", 5, "1.00", "7"),
        ("2", "A", 5, "1.00", "7"),
        ("3", "A", 5, "1.00", "8"),
        ("4", "A", 5, "1.10", "7"),
        ("C5", "A", -2, "1.00", "7"),
    )

    (letter,) = reds(made)
    assert (letter.order_id, letter.original, letter.net, letter.gross) == ("C5", "2", 200, 240)


def test_a_cancellation_does_not_reach_a_later_invoice() -> None:
    made = plan(("C5", "A", -2, "1.00", "7"), ("6", "A", 5, "1.00", "7"))

    assert made.letters == ()
    assert [(refusal.row, refusal.code) for refusal in made.refused] == [(2, "NO_ORIGINAL")]


def test_one_invoice_that_holds_all_is_preferred_to_a_later_that_holds_half() -> None:
    made = plan(
        ("1", "A", 5, "1.00", "7"),
        ("1", "B", 5, "1.00", "7"),
        ("2", "A", 5, "1.00", "7"),
        ("C3", "A", -1, "1.00", "7"),
        ("C3", "B", -1, "1.00", "7"),
    )

    assert [letter.original for letter in made.letters] == ["1"]


def test_a_cancellation_may_spread_over_several_invoices_latest_first() -> None:
    made = plan(
        ("1", "A", 5, "1.00", "7"),
        ("2", "A", 3, "1.00", "7"),
        ("C3", "A", -6, "1.00", "7"),
    )

    assert [(letter.order_id, letter.original, letter.net) for letter in reds(made)] == [
        ("C3/1", "2", 300),
        ("C3/2", "1", 300),
    ]


def test_a_cancellation_beyond_what_was_sold_is_refused_whole_and_takes_nothing() -> None:
    made = plan(
        ("1", "A", 5, "1.00", "7"),
        ("1", "B", 5, "1.00", "7"),
        ("C2", "A", -5, "1.00", "7"),
        ("C3", "B", -1, "1.00", "7"),
        ("C3", "A", -1, "1.00", "7"),
        ("C4", "B", -5, "1.00", "7"),
    )

    assert [cancellation.order_id for cancellation in made.cancellations] == ["C2", "C4"]
    assert [(refusal.row, refusal.code) for refusal in made.refused] == [(6, "NO_ORIGINAL")]


def test_an_unnamed_customer_has_no_original() -> None:
    made = plan(("1", "A", 5, "1.00", ""), ("C2", "A", -1, "1.00", ""))

    assert [refusal.code for refusal in made.refused] == ["NO_ORIGINAL"]


def test_parts_of_one_invoice_take_back_exactly_its_tax() -> None:
    # 3 × 0.13 = 39 p net, 8 p tax; each part alone would round to 3 p.
    made = plan(
        ("1", "A", 3, "0.13", "7"),
        ("C2", "A", -1, "0.13", "7"),
        ("C3", "A", -1, "0.13", "7"),
        ("C4", "A", -1, "0.13", "7"),
    )

    assert [letter.tax for letter in reds(made)] == [3, 2, 3]
    assert totals(made.invoices, reds(made))["GBP"].gross == 0


def test_a_cancellation_of_nothing_or_with_a_positive_row_is_refused() -> None:
    made = plan(
        ("1", "A", 5, "1.00", "7"),
        ("C2", "A", -5, "0.00", "7"),
        ("C3", "A", 5, "1.00", "7"),
    )

    assert [refusal.code for refusal in made.refused] == ["NOTHING_TO_INVOICE", "MALFORMED"]


def test_the_lines_of_a_wholesale_order_still_fit_its_details() -> None:
    rows: list[Row] = [("1", f"S{number}", 1, "1.25", "7") for number in range(900)]
    made = plan(*rows, ("C2", "S1", -1, "1.25", "7"))
    request = json.loads(batch_request(next(batches(made.invoices, attrgetter("body"))), "B" * 18))

    sent = InvoiceBody.model_validate(request["invoices"][0])
    draft = invoice_draft(sent, "A" * 18, "2026-01-01")

    assert draft.details is not None
    assert len(json.loads(draft.details)["lines"]) == 900
    (line,) = body(reds(made)[0])["lines"]
    assert (line["quantity"], line["original"]) == ("1", 1)


def test_the_parts_of_a_line_add_up_to_the_line_and_stay_with_it() -> None:
    # 3 × 0.125 is 38 p; each alone would be 13 p.
    made = plan(
        ("1", "B", 1, "1.00", "7"),
        ("1", "A", 1, "0.125", "7"),
        ("1", "A", 3, "0.125", "7"),
        ("C2", "A", -2, "0.125", "7"),
        ("C3", "A", -2, "0.125", "7"),
    )

    lines = [body(letter)["lines"] for letter in reds(made)]
    assert [
        [(line["original"], line["quantity"], line["net"]) for line in each] for each in lines
    ] == [
        [(1, "1", 13), (2, "1", 13)],
        [(2, "2", 25)],
    ]

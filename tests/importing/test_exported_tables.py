"""Invoices that came in as a table go out as documents that break no rule of the norm."""

import itertools
import json
from pathlib import Path

from node.domains.invoices.importing.documents import read_documents
from node.domains.invoices.importing.plan import Plan, PlannedInvoice
from node.domains.invoices.importing.table_plan import plan_table
from node.domains.invoices.importing.tables import csv_line, read_csv
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.exporting import export_ubl
from node.domains.invoices.importing.ubl.mapping import CHECKS
from node.domains.invoices.importing.ubl.native import Group, Public
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.ledger.currency import minor_units

HEADER = (
    *("order_id", "buyer_name", "buyer_tax_id", "buyer_address", "currency", "due_date", "remarks"),
    *("code", "description", "model", "unit", "quantity", "unit_price", "net", "rate", "tax"),
    "nature",
)
UNITS = ("box", "个", "KGM", "", "千克", "一打半", "pcs", "m²", "台", "hour")
RATES = ("13%", "6%", "0", "1%", "9")
CURRENCIES = ("", "EUR", "JPY", "USD")
REMARKS = ("", "plain", "#123#looks like a subject", "two\nlines & <tags>", "测试")
TAX_IDS = ("", "DE123456789", "QQ123", "91350100M000100Y43")
INVOICES = 200


def rows() -> list[list[str]]:
    made = [list(HEADER)]
    units, rates = itertools.cycle(UNITS), itertools.cycle(RATES)
    for number in range(INVOICES):
        head = [
            *(f"N-{number}", f"Buyer {number} GmbH", TAX_IDS[number % 4], "Street 1, Town"),
            *(CURRENCIES[number % 4], "2026-12-31" if number % 3 else "", REMARKS[number % 5]),
        ]
        for line in range(1 + number % 4):
            price = f"{number % 89}.{line}5" if number % 4 != 2 else str(1 + number % 89)
            made.append(
                [
                    *(head if line == 0 else [head[0], *[""] * 6]),
                    *(f"P-{line}", f"Article {line} <&>", "80 g" if line else "", next(units)),
                    *(str(1 + number % 7), price, "", next(rates), "", ""),
                ]
            )
        if number % 10 == 0:
            discount = ["-1", "1" if number % 4 == 2 else "0.01", "", made[-1][14], "", "折扣"]
            made.append([head[0], *[""] * 6, "", "Discount", "", "", *discount])
    return made


def planned(tmp_path: Path) -> Plan:
    path = tmp_path / "a.csv"
    path.write_text("".join(csv_line(row) for row in rows()), newline="")
    return plan_table(read_documents(read_csv(path)))


def shown(invoice: PlannedInvoice) -> tuple[Public, dict[str, object]]:
    """What the ledger and the details would show of it."""
    body = json.loads(invoice.body)
    nets: dict[int, int] = {}
    for line in body["lines"]:
        nets[line["rate"]] = nets.get(line["rate"], 0) + line["net"]
    taxes: dict[int, int] = {}
    for line in body["lines"]:
        sign = 1 if line["net"] >= 0 else -1
        tax = line.get("tax", sign * ((2 * abs(line["net"]) * line["rate"] + 10_000) // 20_000))
        taxes[line["rate"]] = taxes.get(line["rate"], 0) + tax
    public = Public(
        number="26310000000000000001",
        original=None,
        issuer="91310115358051750H",
        issuer_name="福州某某有限公司",
        buyer="91350100M000100Y43",
        buyer_name="Buyer",
        currency=invoice.currency,
        units=minor_units(invoice.currency),
        issue_date="2026-11-26",
        groups=tuple(Group(rate, nets[rate], taxes[rate]) for rate in sorted(nets)),
        net=invoice.net,
        tax=invoice.tax,
        gross=invoice.gross,
    )
    return public, body.get("details", {}) | {"lines": body["lines"]}


def test_two_hundred_invoices_of_a_table_pass_every_rule_that_we_check(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.refused == ()
    assert len(plan.invoices) == INVOICES
    for invoice in plan.invoices:
        root = read_ubl(export_ubl(*shown(invoice)))
        report = Report()
        for check in CHECKS:
            check(root, report)
        assert [breach.text for breach in report.breaches] == []

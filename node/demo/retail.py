"""`piaolian demo --full`: a retailer's whole file through a running cluster, the books compared.

Owns the story and the comparison: the file is imported, imported again, and its sums by month of
the file's own date are compared with what the issuer's node reads back from the sealed details.
Sums of the file are taken from its rows here, not from the plan that was sent.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import msgspec
from typing_extensions import override

from node.cli.client import ApiClient
from node.cli.context import client_of
from node.cli.errors import UsageError
from node.demo.demo_network import DemoError
from node.demo.demo_registers import open_registers
from node.demo.story import BUREAU, ISSUER, NODES, PAYER, Story, tell
from node.domains.invoices.cli.listing import read_invoices
from node.domains.invoices.cli.upload import Upload
from node.domains.invoices.importing.online_retail import (
    RetailDocument,
    RetailFile,
    read_retail_file,
)
from node.domains.invoices.importing.plan import Plan
from node.domains.invoices.importing.retail_plan import CURRENCY, RATE, plan_import
from node.domains.invoices.importing.summary import ImportSummary
from node.ledger.invoices.tax import tax_half_up


class MonthSums(msgspec.Struct):
    """What the documents of one month add up to, in minor units."""

    invoices: int = 0
    issued: int = 0
    """Net."""
    issued_tax: int = 0
    cancelled: int = 0
    """Documents; one may be several red letters."""
    red: int = 0
    """Net, as a magnitude."""


def run_retail(folder: Path, source: Path, *, keep: bool, as_json: bool) -> None:
    """Import `source` into a fresh cluster in `folder`, twice, and compare the sums.

    Raises:
        UsageError: the folder holds something else, or there is no such file.
        CliError: a node failed, or the ledger and the file differ.
    """
    if not source.is_file():
        raise UsageError(f"{source}: no such file")
    tell(_Run, folder, source, keep=keep, as_json=as_json)


class _Run(Story):
    @override
    def run(self) -> None:
        begun = time.monotonic()
        self._title("Four nodes")
        self._network.start(NODES)
        self._say(f"ready in {time.monotonic() - begun:.1f} s")
        file = read_retail_file(self._source)
        plan = plan_import(file)
        self._say(
            f"{self._source.name}: {sum(len(d.lines) for d in file.documents)} rows, "
            f"{len(file.documents)} documents"
        )
        net = sum(invoice.net for invoice in plan.invoices)
        open_registers(self._network, BUREAU, ISSUER, net, CURRENCY)
        self._import(plan, file)
        self._import_again(plan)
        self._compare(plan, file)
        statuses = self._network.wait_equal()
        first = next(iter(statuses.values()))
        self._title("The same ledger everywhere")
        self._say(f"height {first['height']}, root {str(first['root'])[:16]}… on all four nodes")
        self.facts["seconds"] = round(time.monotonic() - begun, 1)
        self._say(f"in all {self.facts['seconds']} s")

    def _import(self, plan: Plan, file: RetailFile) -> None:
        self._title("The whole file")
        upload, summary = self._upload(plan)
        refused = Counter(refusal.code for refusal in summary.refused)
        cancellations = summary.accepted - summary.invoices
        self._say(
            f"{summary.invoices} invoices in {upload.issue_s:.1f} s: "
            f"{summary.invoices / upload.issue_s:,.0f}/s, details sealed, every line in them"
        )
        self._say(
            f"{cancellations} cancellations became {summary.red_letters} red letters in "
            f"{upload.red_s:.1f} s: {summary.red_letters / upload.red_s:,.0f}/s"
        )
        self._say("refused, each with its row: " + _counts(refused))
        named = {refusal.order_id for refusal in summary.refused}
        if summary.accepted + len(named) != len(file.documents) or file.strays:
            raise DemoError("a document of the file is neither on the ledger nor named")
        self.facts |= {
            "invoices": summary.invoices,
            "invoices_per_second": round(summary.invoices / upload.issue_s),
            "cancellations": cancellations,
            "red_letters": summary.red_letters,
            "red_letters_per_second": round(summary.red_letters / upload.red_s),
            "refused": dict(refused),
        }

    def _import_again(self, plan: Plan) -> None:
        self._title("The same file again")
        begun = time.monotonic()
        _, summary = self._upload(plan)
        if summary.accepted or summary.totals:
            raise DemoError(f"the second import took {summary.accepted} documents")
        self._say(
            f"{summary.skipped} documents skipped, nothing accepted, in "
            f"{time.monotonic() - begun:.1f} s"
        )
        self.facts["second_import"] = {"accepted": summary.accepted, "skipped": summary.skipped}

    def _compare(self, plan: Plan, file: RetailFile) -> None:
        self._title("Sums by month of external_date: the file, and the ledger as read back")
        accepted = {invoice.order_id for invoice in plan.invoices}
        accepted |= {cancellation.order_id for cancellation in plan.cancellations}
        of_file = sums_of_file(d for d in file.documents if d.number in accepted)
        with client_of(self._network.nodes[ISSUER].config, "read", patience_s=60.0) as client:
            of_ledger = sums_of_ledger(client, self._network.ids[ISSUER])
        refused = sums_of_file(d for d in file.documents if d.number not in accepted)
        self._say(f"{'':<8}{'invoices':>9}{'net issued':>16}{'cancelled':>10}{'net red':>14}")
        for month in sorted(of_file.keys() | of_ledger.keys()):
            left, right = of_file.get(month, MonthSums()), of_ledger.get(month, MonthSums())
            for name, sums in (("file", left), ("ledger", right)):
                self._say(
                    f"{month if name == 'file' else '':<8}{sums.invoices:>9}"
                    f"{sums.issued / 100:>16,.2f}{sums.cancelled:>10}{sums.red / 100:>14,.2f}"
                    f"  {name}"
                )
        left_out = sum(each.issued - each.red for each in refused.values())
        booked = sum(each.issued - each.red for each in of_ledger.values())
        self._say(
            f"all rows of the file {(booked + left_out) / 100:,.2f} = on the ledger "
            f"{booked / 100:,.2f} + refused by name {left_out / 100:,.2f} {CURRENCY}"
        )
        everything = sum(
            _pence(line.price * line.quantity) for d in file.documents for line in d.lines
        )
        if booked + left_out != everything:
            raise DemoError("amounts of the file are missing")
        differing = [
            month
            for month in of_file.keys() | of_ledger.keys()
            if of_file.get(month) != of_ledger.get(month)
        ]
        self.facts["months"] = {
            month: msgspec.to_builtins(sums) for month, sums in sorted(of_ledger.items())
        }
        if differing:
            raise DemoError(f"the ledger differs from the file in {', '.join(sorted(differing))}")
        self._say("equal in every month, tax included")

    def _upload(self, plan: Plan) -> tuple[Upload, ImportSummary]:
        config, payer = self._network.nodes[ISSUER].config, self._network.ids[PAYER]
        done = Counter[str]()

        def count(more: int) -> None:
            done["documents"] += more

        total = len(plan.invoices) + len(plan.letters)
        upload = Upload(config, plan, payer, count)
        with ThreadPoolExecutor(1, "retail") as pool, self._console.status("importing") as shown:
            running = pool.submit(upload.run)
            while not running.done():
                shown.update(f"importing: {done['documents']} of {total}")
                time.sleep(0.1)
            return upload, running.result()


def sums_of_file(documents: Iterable[RetailDocument]) -> dict[str, MonthSums]:
    """What documents add up to by month of their date, from their rows."""
    sums: dict[str, MonthSums] = {}
    for document in documents:
        held = sums.setdefault(document.date[:7], MonthSums())
        net = sum(_pence(line.price * line.quantity) for line in document.lines)
        if document.cancels:
            held.cancelled += 1
            held.red -= net
        else:
            held.invoices += 1
            held.issued += net
            held.issued_tax += tax_half_up(net, RATE)
    return sums


def sums_of_ledger(client: ApiClient, issuer: str) -> dict[str, MonthSums]:
    """The same from the ledger: amounts of the public part, the month from the sealed details."""
    sums: dict[str, MonthSums] = {}
    seen: set[str] = set()
    for invoice in read_invoices(client, party=issuer, details="true"):
        details = invoice["details"]
        if details is None:
            raise DemoError(f"the issuer cannot read the details of {invoice['number']}")
        held = sums.setdefault(details["external_date"][:7], MonthSums())
        if sum(line["net"] for line in details["lines"]) != invoice["net"]:
            raise DemoError(f"the sealed lines of {invoice['number']} are not its net")
        if invoice["original"] is None:
            held.invoices += 1
            held.issued += invoice["net"]
            held.issued_tax += invoice["tax"]
        else:
            held.cancelled += details["external_number"] not in seen
            seen.add(details["external_number"])
            held.red += invoice["net"]
    return sums


def _pence(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value(ROUND_HALF_UP))


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(counted.items()))

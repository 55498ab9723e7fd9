"""What an import, dry or live, reports. Owns the shape that INTERFACE promises."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from node.domains.invoices.importing.plan import Plan, PlannedRed, Refusal, Totals, totals


class ImportSummary(msgspec.Struct, frozen=True):
    """Counts are of documents: invoices and cancellations."""

    accepted: int
    skipped: int
    """Were on the ledger already."""
    refused: tuple[Refusal, ...]
    totals: Mapping[str, Totals]
    """Of what was accepted, by currency, in minor units; red letters count negative."""
    invoices: int
    red_letters: int

    @property
    def document(self) -> dict[str, object]:
        """As JSON prints it. Amounts of a file of several currencies stand by currency only."""
        single = len(self.totals) <= 1
        currency, sums = next(iter(self.totals.items()), (None, Totals()))
        document: dict[str, object] = {
            "accepted": self.accepted,
            "skipped": self.skipped,
            "refused": [msgspec.to_builtins(refusal) for refusal in self.refused],
            "net": sums.net if single else None,
            "tax": sums.tax if single else None,
            "gross": sums.gross if single else None,
            "currency": currency if single else None,
            "invoices": self.invoices,
            "red_letters": self.red_letters,
        }
        if not single:
            document["totals"] = {
                name: msgspec.to_builtins(each) for name, each in self.totals.items()
            }
        return document


def dry_run_summary(plan: Plan) -> ImportSummary:
    """What a plan would do, if the ledger refused none of it.

    Red letters of invoices that are not in the file are counted; their amounts are not known here.
    """
    letters = plan.letters
    return ImportSummary(
        accepted=len(plan.invoices) + len(plan.cancellations),
        skipped=0,
        refused=plan.refused,
        totals=totals(
            plan.invoices, [letter for letter in letters if isinstance(letter, PlannedRed)]
        ),
        invoices=len(plan.invoices),
        red_letters=len(letters),
    )

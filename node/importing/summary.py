"""What an import, dry or live, reports. Owns the shape that INTERFACE promises."""

from __future__ import annotations

import msgspec

from node.importing.plan import CURRENCY, Plan, Refusal, Totals, totals


class ImportSummary(msgspec.Struct, frozen=True):
    """Counts are of documents: invoices and cancellations."""

    accepted: int
    skipped: int
    """Were on the ledger already."""
    refused: tuple[Refusal, ...]
    totals: Totals
    """Of what was accepted, in minor units; red letters count negative."""
    invoices: int
    red_letters: int

    @property
    def document(self) -> dict[str, object]:
        """As JSON prints it."""
        return {
            "accepted": self.accepted,
            "skipped": self.skipped,
            "refused": [msgspec.to_builtins(refusal) for refusal in self.refused],
            "net": self.totals.net,
            "tax": self.totals.tax,
            "gross": self.totals.gross,
            "currency": CURRENCY,
            "invoices": self.invoices,
            "red_letters": self.red_letters,
        }


def dry_run_summary(plan: Plan) -> ImportSummary:
    """What a plan would do, if the ledger refused none of it."""
    return ImportSummary(
        accepted=len(plan.invoices) + len(plan.cancellations),
        skipped=0,
        refused=plan.refused,
        totals=totals(plan.invoices, plan.letters),
        invoices=len(plan.invoices),
        red_letters=len(plan.letters),
    )

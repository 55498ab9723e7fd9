"""Live import: a plan of any format, sent to the issuer's node. Owns order, splitting and repeats.

Invoices go in batches, several in flight; a refused batch is split until the refused invoice stands
alone. Then the red letters, one invoice after the other, several invoices at once
(`node.domains.invoices.cli.red_upload`). Orders that are on the ledger already are skipped: that,
and nothing kept here, is what lets an import that was killed go on where it was. Those that are
there with other content are named (`node.domains.invoices.cli.repeats`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.client import ProblemError
from node.cli.context import load
from node.cli.output import console
from node.domains.invoices.cli.issuer_node import CONTENT_STATUSES, IssuerNode
from node.domains.invoices.cli.pacing import MOST, Pace, in_order
from node.domains.invoices.cli.red_upload import RedUpload
from node.domains.invoices.cli.repeats import CONFLICT, conflicts
from node.domains.invoices.importing.bodies import batch_request, batches
from node.domains.invoices.importing.plan import (
    Letter,
    Plan,
    PlannedInvoice,
    PlannedRed,
    Refusal,
    totals,
)
from node.domains.invoices.importing.summary import ImportSummary

if TYPE_CHECKING:
    from node.system.config import NodeConfig

Progress = Callable[[int], None]
"""Called with the number of further documents dealt with, from any thread."""


class Upload:
    """One import into one node."""

    def __init__(
        self,
        config: NodeConfig,
        plan: Plan,
        buyer: str | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            config: Of the issuer's node.
            plan: What to send.
            buyer: Whom invoices that name nobody are made out to; None: the network's only payer.
            progress: Told how far it is.
        """
        self._plan = plan
        self._buyer = buyer
        self._progress = progress
        self.pace = Pace()
        self._node = IssuerNode(config, self.pace)
        self._known: dict[str, str] = {}
        """Order id → number of what the ledger had before."""
        self._conflicts: dict[str, Refusal] = {}
        """By order id: what the ledger had before, but with other content than the file."""
        self.numbers: dict[str, str] = {}
        """Order id → invoice number, old and new."""
        self.issue_s = 0.0
        """How long the invoices took."""
        self.red_s = 0.0
        """How long the red letters took."""

    def run(self) -> ImportSummary:
        """Send everything.

        Raises:
            CliError: the node was away for too long, or does not let us write.
        """
        plan = self._plan
        try:
            self._known = self._node.find_orders(
                [
                    *(invoice.order_id for invoice in plan.invoices),
                    *(letter.order_id for letter in plan.letters),
                    *(letter.original for letter in plan.letters if not letter.by_number),
                ]
            )
            self.numbers = dict(self._known)
            with ThreadPoolExecutor(MOST, "import") as pool:
                repeated = [
                    each for each in (*plan.invoices, *plan.letters) if each.order_id in self._known
                ]
                self._conflicts = conflicts(self._node, pool, repeated, self._buyer, self._known)
                begun = time.monotonic()
                issued, refused = self._issue_all(pool)
                self.issue_s = time.monotonic() - begun
                letters, failures = self._red_all(pool)
                self.red_s = time.monotonic() - begun - self.issue_s
            return self._summary(issued, refused, letters, failures)
        finally:
            self._node.close()

    # --- Blue invoices -----------------------------------------------------------------------

    def _issue_all(self, pool: ThreadPoolExecutor) -> tuple[list[PlannedInvoice], list[Refusal]]:
        fresh = [each for each in self._plan.invoices if each.order_id not in self._known]
        self._progress(len(self._plan.invoices) - len(fresh))
        buyer = self._buyer or ""
        if not buyer and any(invoice.buyer is None for invoice in fresh):
            buyer = self._node.only_payer()

        def issue(batch: list[PlannedInvoice]) -> list[Refusal]:
            return self._issue_batch(batch, buyer)

        refused: list[Refusal] = []
        for outcome in in_order(pool, issue, batches(fresh, attrgetter("body")), 2 * MOST):
            refused += outcome
        return [invoice for invoice in fresh if invoice.order_id in self.numbers], refused

    def _issue_batch(self, batch: list[PlannedInvoice], buyer: str) -> list[Refusal]:
        if not batch:
            return []
        try:
            for invoice in batch:
                self._node.hand_in(invoice.files)
            result = self._node.write("/v1/invoices:batch", batch_request(batch, buyer))
        except ProblemError as error:
            if error.status not in CONTENT_STATUSES:
                raise
            return self._split(batch, buyer, error)
        numbers = result["numbers"]
        assert isinstance(numbers, list)
        for invoice, number in zip(batch, numbers, strict=True):
            self.numbers[invoice.order_id] = str(number)
        self._progress(len(batch))
        return []

    def _split(self, batch: list[PlannedInvoice], buyer: str, error: ProblemError) -> list[Refusal]:
        """One bad row must not refuse its neighbours: around the one at fault, or in halves."""
        if len(batch) == 1:
            self._progress(1)
            return [refusal_of(batch[0], error)]
        fault = _position(error)
        if fault is None or not 0 <= fault < len(batch):
            middle = len(batch) // 2
            parts = [batch[:middle], batch[middle:]]
        else:
            parts = [batch[:fault], batch[fault : fault + 1], batch[fault + 1 :]]
        return [refusal for part in parts for refusal in self._issue_batch(part, buyer)]

    # --- Red letters -------------------------------------------------------------------------

    def _red_all(self, pool: ThreadPoolExecutor) -> tuple[list[PlannedRed], dict[str, Refusal]]:
        by_original: dict[str, list[Letter]] = {}
        issued: list[PlannedRed] = []
        failures: dict[str, Refusal] = {}
        for letter in self._plan.letters:
            if letter.order_id in self._known:
                if letter.order_id in self._conflicts:
                    failures[letter.order_id] = self._conflicts[letter.order_id]
            elif not letter.by_number and letter.original in self._conflicts:
                failures[letter.order_id] = _of_conflict(letter)
            else:
                by_original.setdefault(letter.original, []).append(letter)
        upload = RedUpload(self._node, self.numbers, self._known, self._progress)
        for done, failed in in_order(pool, upload.letters_of_one, by_original.values(), 4 * MOST):
            issued += done
            failures |= failed
        self._progress(len(self._plan.letters) - sum(map(len, by_original.values())))
        return issued, failures

    def _summary(
        self,
        issued: Sequence[PlannedInvoice],
        refused: Sequence[Refusal],
        letters: Sequence[PlannedRed],
        failures: Mapping[str, Refusal],
    ) -> ImportSummary:
        accepted = len(issued)
        repeated = [each for each in self._plan.invoices if each.order_id in self._known]
        other = [self._conflicts[e.order_id] for e in repeated if e.order_id in self._conflicts]
        skipped = len(repeated) - len(other)
        listed = [*self._plan.refused, *refused, *other]
        sent = {letter.order_id for letter in letters}
        for item in self._plan.cancellations:
            failed = [failures[part.order_id] for part in item.letters if part.order_id in failures]
            if failed:
                listed.append(failed[0])
            elif any(part.order_id in sent for part in item.letters):
                accepted += 1
            else:
                skipped += 1
        return ImportSummary(
            accepted=accepted,
            skipped=skipped,
            refused=tuple(sorted(listed, key=lambda refusal: refusal.row)),
            totals=totals(issued, letters),
            invoices=len(issued),
            red_letters=len(letters),
        )


def upload_with_progress(plan: Plan, config: Path | None, buyer: str | None) -> ImportSummary:
    """Import through the node of a configuration, with a progress bar on a terminal.

    Raises:
        CliError: as `Upload.run`.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(to_stderr=True)
    with Progress(
        TextColumn("importing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        disable=not shown.is_terminal,
    ) as bar:
        task = bar.add_task("import", total=len(plan.invoices) + len(plan.letters))
        upload = Upload(load(config), plan, buyer, lambda count: bar.advance(task, count))
        return upload.run()


def refusal_of(planned: PlannedInvoice | Letter, error: ProblemError) -> Refusal:
    """What the node's refusal of a document says in the file's terms."""
    detail = str(error.problem.get("detail") or error.code)
    message = f"{planned.order_id}: {detail}"
    return Refusal(planned.row, error.code, message, order_id=planned.order_id)


def _of_conflict(letter: Letter) -> Refusal:
    """What it takes back was worked out from an invoice that is not the one on the ledger."""
    message = f"{letter.order_id}: {letter.original} is on the ledger with other content"
    return Refusal(letter.row, CONFLICT, message, order_id=letter.order_id)


def _position(error: ProblemError) -> int | None:
    """Which invoice of a batch a refusal is about: the operation, or the first wrong field."""
    operation = error.problem.get("operation")
    if isinstance(operation, int):
        return operation
    errors = error.problem.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        parts = str(errors[0].get("path")).split("/")
        if len(parts) > 2 and parts[1] == "invoices" and parts[2].isdecimal():
            return int(parts[2])
    return None

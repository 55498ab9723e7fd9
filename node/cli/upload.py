"""Live import: a plan, sent to the issuer's node. Owns order, concurrency, splitting and repeats.

Invoices go in batches, several in flight; a refused batch is halved until the refused invoice
stands alone. Then the red letters, one invoice after the other, several invoices at once. Orders
that are on the ledger already are skipped; keys make every request safe to send again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from node.api.drafts import order_hash
from node.cli.client import ApiClient, ProblemError
from node.cli.context import client_of, load
from node.cli.errors import CliError
from node.cli.options import Until
from node.cli.output import console
from node.cli.writes import post_and_wait, reached
from node.importing.bodies import Body, batches, red_body
from node.importing.plan import (
    RATE,
    Plan,
    PlannedInvoice,
    PlannedRed,
    Refusal,
    totals,
)
from node.importing.summary import ImportSummary

if TYPE_CHECKING:
    from node.config import NodeConfig

IN_FLIGHT = 4
PATIENCE_S = 120.0
"""How long the import waits for a node that is away or cannot write: an election, a restart."""
_PAGE = 500
_POLL_S = 0.05
_REFUSALS = {400, 404, 409, 413, 422}
"""Statuses that are about the content; any other ends the import."""

Item = TypeVar("Item")
Result = TypeVar("Result")
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
            buyer: Whom the invoices are made out to; None: the network's only payer.
            progress: Told how far it is.
        """
        self._config = config
        self._plan = plan
        self._buyer = buyer
        self._progress = progress
        self._clients = threading.local()
        self._opened: list[ApiClient] = []
        self._known: dict[str, str] = {}
        """Order hash → number of every invoice of this issuer that the ledger had before."""
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
        try:
            self._wait_for_index()
            self._known = self._orders_on_ledger()
            buyer = self._buyer or self._only_payer()
            with ThreadPoolExecutor(IN_FLIGHT, "import") as pool:
                begun = time.monotonic()
                issued, refused = self._issue_all(pool, buyer)
                self.issue_s = time.monotonic() - begun
                letters, failures = self._red_all(pool)
                self.red_s = time.monotonic() - begun - self.issue_s
            return self._summary(issued, refused, letters, failures)
        finally:
            for client in self._opened:
                client.close()

    # --- Blue invoices -----------------------------------------------------------------------

    def _issue_all(
        self, pool: ThreadPoolExecutor, buyer: str
    ) -> tuple[list[PlannedInvoice], list[Refusal]]:
        fresh: list[PlannedInvoice] = []
        for invoice in self._plan.invoices:
            number = self._number_on_ledger(invoice.order_id)
            if number is None:
                fresh.append(invoice)
            else:
                self.numbers[invoice.order_id] = number
        self._progress(len(self._plan.invoices) - len(fresh))
        refused: list[Refusal] = []
        for outcome in _in_order(pool, self._issue_batch, batches(fresh, buyer, RATE)):
            refused += outcome
        return [invoice for invoice in fresh if invoice.order_id in self.numbers], refused

    def _issue_batch(self, batch: list[tuple[PlannedInvoice, Body]]) -> list[Refusal]:
        try:
            result = self._write("/v1/invoices:batch", {"invoices": [body for _, body in batch]})
        except ProblemError as error:
            if error.status not in _REFUSALS:
                raise
            if len(batch) > 1:  # one bad row must not refuse its neighbours
                middle = len(batch) // 2
                return self._issue_batch(batch[:middle]) + self._issue_batch(batch[middle:])
            self._progress(1)
            return [_refusal(batch[0][0], error)]
        numbers = result["numbers"]
        assert isinstance(numbers, list)
        for (invoice, _), number in zip(batch, numbers, strict=True):
            self.numbers[invoice.order_id] = str(number)
        self._progress(len(batch))
        return []

    # --- Red letters -------------------------------------------------------------------------

    def _red_all(self, pool: ThreadPoolExecutor) -> tuple[list[PlannedRed], dict[str, Refusal]]:
        by_original: dict[str, list[PlannedRed]] = {}
        for letter in self._plan.letters:
            if self._number_on_ledger(letter.order_id) is None:
                by_original.setdefault(letter.original, []).append(letter)
        failures: dict[str, Refusal] = {}
        for outcome in _in_order(pool, self._red_letters, by_original.values()):
            failures |= outcome
        sent = [letter for letters in by_original.values() for letter in letters]
        self._progress(len(self._plan.letters) - len(sent))
        issued = [
            letter
            for letter in sent
            if letter.order_id not in failures and self._number_on_ledger(letter.order_id) is None
        ]
        return issued, failures

    def _red_letters(self, letters: Sequence[PlannedRed]) -> dict[str, Refusal]:
        """The letters of one invoice, in order: each changes what the next may take."""
        failures: dict[str, Refusal] = {}
        for letter in letters:
            number = self.numbers.get(letter.original)
            try:
                if number is None:
                    problem = {"code": "NO_ORIGINAL", "detail": f"{letter.original} was refused"}
                    raise ProblemError(409, problem)
                self._red_letter(letter, number)
            except ProblemError as error:
                if error.status not in _REFUSALS:
                    raise
                failures[letter.order_id] = _refusal(letter, error)
            self._progress(1)
        return failures

    def _red_letter(self, letter: PlannedRed, number: str) -> None:
        path = f"/v1/invoices/{number}/red"
        request = {"amount": letter.gross, "reason": "return"}
        self._write(path, request, about=letter.order_id)
        form = self._open_form(number, letter)
        if form is not None:
            self._write(f"{path}/{form}/issue", red_body(letter, RATE))

    def _open_form(self, number: str, letter: PlannedRed) -> int | None:
        """The confirmed form of a letter, or None if its red invoice exists."""
        client = self._client("read")
        forms = client.get(f"/v1/invoices/{number}").fields["red_forms"]
        assert isinstance(forms, list)
        mine = [f for f in forms if f["asked_by"] == "issuer" and f["amount"] == letter.gross]
        for form in mine:
            if form["state"] == "confirmed":
                return int(form["form"])
        for form in mine:
            if form["number"] is None:
                continue
            order = str(client.get(f"/v1/invoices/{form['number']}").fields["order"])
            if order == self._order(letter.order_id):
                self._known[order] = form["number"]
                return None
        detail = "the form waits for the buyer's confirmation"
        raise ProblemError(409, {"code": "NOT_CONFIRMED", "detail": detail})

    # --- The node ----------------------------------------------------------------------------

    def _write(self, path: str, body: object, about: str = "") -> dict[str, object]:
        content = json.dumps([path, about, body], sort_keys=True, ensure_ascii=False).encode()
        result = post_and_wait(
            self._client("operate"),
            path,
            body,
            until=Until.COMMITTED,
            timeout_s=PATIENCE_S,
            idempotency_key=hashlib.sha256(content).hexdigest(),
        )
        if not reached(result, Until.COMMITTED):
            raise CliError(f"nothing was committed for {PATIENCE_S:.0f} s; run the import again")
        return result

    def _client(self, scope: str) -> ApiClient:
        """This thread's client."""
        client: ApiClient | None = getattr(self._clients, scope, None)
        if client is None:
            client = client_of(
                self._config,
                "read" if scope == "read" else "operate",
                patience_s=PATIENCE_S,
            )
            setattr(self._clients, scope, client)
            self._opened.append(client)
        return client

    def _number_on_ledger(self, order_id: str) -> str | None:
        return self._known.get(self._order(order_id))

    def _order(self, order_id: str) -> str:
        return order_hash(self._config.node.participant, order_id).hex()

    def _wait_for_index(self) -> None:
        """Lists come from an index that follows the ledger: wait for what is committed now."""
        client = self._client("read")
        height = client.get("/v1/status").fields["height"]
        assert isinstance(height, int)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            index = client.get("/v1/status").fields["index"]
            assert isinstance(index, dict)
            if index["height"] >= height:
                return
            time.sleep(_POLL_S)
        raise CliError("the node's query index does not follow the ledger")

    def _orders_on_ledger(self) -> dict[str, str]:
        known: dict[str, str] = {}
        cursor: object = None
        while True:
            page = (
                self._client("read")
                .get(
                    "/v1/invoices",
                    party=self._config.node.participant,
                    limit=_PAGE,
                    cursor=cursor,
                )
                .fields
            )
            rows = page["invoices"]
            assert isinstance(rows, list)
            known |= {row["order"]: row["number"] for row in rows}
            cursor = page.get("next_cursor")
            if cursor is None:
                return known

    def _only_payer(self) -> str:
        rows = self._client("read").get("/v1/participants").fields["participants"]
        assert isinstance(rows, list)
        payers = [row["id"] for row in rows if "payer" in row["roles"]]
        if len(payers) != 1:
            raise CliError(f"the network has {len(payers)} payers: say which with --buyer")
        return str(payers[0])

    def _summary(
        self,
        issued: Sequence[PlannedInvoice],
        refused: Sequence[Refusal],
        letters: Sequence[PlannedRed],
        failures: Mapping[str, Refusal],
    ) -> ImportSummary:
        accepted, skipped = len(issued), 0
        listed = [*self._plan.refused, *refused]
        for invoice in self._plan.invoices:
            skipped += self._number_on_ledger(invoice.order_id) is not None
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


def _refusal(planned: PlannedInvoice | PlannedRed, error: ProblemError) -> Refusal:
    detail = str(error.problem.get("detail") or error.code)
    return Refusal(planned.row, error.code, f"{planned.order_id}: {detail}")


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Results in the order of `items`, with a few in flight; the first error ends it."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            if len(waiting) == 2 * IN_FLIGHT:
                yield waiting.popleft().result()
            waiting.append(pool.submit(work, item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()

"""The red letters of an import: form by form, one invoice after the other.

A letter is two writes: a form is asked for, and its red invoice issued. A form that an earlier run
left open is used again. Letters of one invoice go in order: each changes what the next may take.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from node.cli.client import ProblemError
from node.domains.invoices.cli.issuer_node import CONTENT_STATUSES, IssuerNode
from node.domains.invoices.importing.plan import LateRed, Letter, PlannedRed, Refusal, encode_json
from node.domains.invoices.importing.red_lines import Original, RedLineError


class RedUpload:
    """Sends red letters; used from many threads, each invoice by one."""

    def __init__(
        self,
        node: IssuerNode,
        numbers: Mapping[str, str],
        known: Mapping[str, str],
        progress: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            node: The issuer's.
            numbers: Order id → invoice number of all originals.
            known: The same, of those that were on the ledger before this run.
            progress: Told of each letter dealt with.
        """
        self._node = node
        self._numbers = numbers
        self._known = known
        self._progress = progress

    def letters_of_one(
        self, letters: Sequence[Letter]
    ) -> tuple[list[PlannedRed], dict[str, Refusal]]:
        """The letters of one invoice, in order: those issued, and refusals by order id."""
        issued: list[PlannedRed] = []
        failures: dict[str, Refusal] = {}
        for letter in letters:
            try:
                issued.append(self._letter(letter))
            except ProblemError as error:
                if error.status not in CONTENT_STATUSES:
                    raise
                detail = str(error.problem.get("detail") or error.code)
                failures[letter.order_id] = _refusal(letter, letter.row, error.code, detail)
            except RedLineError as error:
                failures[letter.order_id] = _refusal(letter, error.row, error.code, str(error))
            self._progress(1)
        return issued, failures

    def _letter(self, letter: Letter) -> PlannedRed:
        number = letter.original if letter.by_number else self._numbers.get(letter.original)
        if number is None:
            detail = f"{letter.original} is not on the ledger"
            raise ProblemError(409, {"code": "NO_ORIGINAL", "detail": detail})
        late = isinstance(letter, LateRed)
        # An invoice of this very run has no forms yet: one request less for each letter.
        view = self._node.invoice(number) if late or letter.original in self._known else None
        worked_out = letter if not isinstance(letter, LateRed) else _work_out(letter, view)
        form = None if view is None else _confirmed(view, worked_out.gross)
        if form is None:
            form = self._ask(number, worked_out)
        self._node.hand_in(worked_out.files)
        self._node.write(f"/v1/invoices/{number}/red/{form}/issue", worked_out.body)
        return worked_out

    def _ask(self, number: str, letter: PlannedRed) -> int:
        """A confirmed form for a letter.

        The name of the request is for ever: asked again after an answer that was lost, it opens
        no second form. If what it opened is gone (denied, lapsed), or it was refused at the time,
        it is asked under another name.
        """
        path = f"/v1/invoices/{number}/red"
        body = encode_json({"amount": letter.gross, "reason": letter.reason})
        for name in (letter.order_id, f"{letter.order_id}\n{secrets.token_hex(8)}"):
            first = name == letter.order_id
            try:
                self._node.write(path, body, once=name)
            except ProblemError as error:
                if first and error.status == 409:
                    continue
                raise
            view = self._node.invoice(number)
            form = _confirmed(view, letter.gross)
            if form is not None:
                return form
            if any(each["state"] == "requested" for each in _own(view, letter.gross)):
                break
        detail = "the form waits for the buyer's confirmation"
        raise ProblemError(409, {"code": "NOT_CONFIRMED", "detail": detail})


def _work_out(letter: LateRed, view: Mapping[str, Any] | None) -> PlannedRed:
    assert view is not None, "fetched for every late letter"
    try:
        return Original.of_view(view).work_out(letter)
    except LookupError as error:
        raise RedLineError(letter.row, "NO_ORIGINAL", str(error)) from error


def _own(view: Mapping[str, Any], amount: int) -> list[dict[str, Any]]:
    return [f for f in view["red_forms"] if f["asked_by"] == "issuer" and f["amount"] == amount]


def _confirmed(view: Mapping[str, Any], amount: int) -> int | None:
    """The first open form of the issuer over this amount."""
    return next((int(f["form"]) for f in _own(view, amount) if f["state"] == "confirmed"), None)


def _refusal(letter: Letter, row: int, code: str, detail: str) -> Refusal:
    return Refusal(row, code, f"{letter.order_id}: {detail}", order_id=letter.order_id)

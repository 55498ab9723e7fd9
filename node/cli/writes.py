"""From a write to its outcome: posting, waiting, and saying what became of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

import typer

from node.cli.client import ApiClient, ProblemError
from node.cli.context import Scope, connect
from node.cli.errors import REFUSED
from node.cli.options import Until
from node.cli.output import message, print_fields, print_json
from node.ledger.codes import refusal_text

_WAIT_S_MAX = 60.0
"""Longest wait of one request; the API cuts at this."""
ACTOR: ContextVar[str | None] = ContextVar("actor", default=None)
"""The bare key of the wallet that this command acts as, if any."""


def post_and_wait(
    client: ApiClient,
    path: str,
    body: object,
    *,
    until: Until,
    timeout_s: float,
    idempotency_key: str | None = None,
    actor: str | None = None,
) -> dict[str, object]:
    """Post, and follow the transaction until it is as far as asked, or the time is up.

    Raises:
        ProblemError: refused, or not taken.
        NodeUnreachableError: no answer; the outcome is unknown.
    """
    end = time.monotonic() + timeout_s
    wait = None if until is Until.NONE else until.value
    first = None if wait is None else min(timeout_s, _WAIT_S_MAX)
    answer = client.post(
        path,
        body,
        idempotency_key=idempotency_key,
        wait=wait,
        timeout_s=_seconds(first),
        as_=actor,
    )
    result = answer.fields
    while wait is not None and not reached(result, until):
        left = min(end - time.monotonic(), _WAIT_S_MAX)
        if left <= 0:
            break
        result |= wait_for(client, str(result["transaction"]), until, left)
    return result


def wait_for(
    client: ApiClient, transaction: str, until: Until, timeout_s: float
) -> dict[str, object]:
    """State, height and index of a transaction, once it is as far as asked or at the time-out.

    Raises:
        ProblemError: it is refused or expired.
    """
    status = client.get(
        f"/v1/transactions/{transaction}", wait=until.value, timeout_s=_seconds(timeout_s)
    ).fields
    if status["state"] in {"refused", "expired"}:
        code = status["code"] if status["state"] == "refused" else "EXPIRED"
        raise ProblemError(409, {"code": code, "detail": refusal_text(str(code))})
    return {name: status.get(name) for name in ("state", "height", "index")}


def reached(result: Mapping[str, object], until: Until) -> bool:
    """Whether a result is as far as asked."""
    far = {Until.NONE: 0, Until.COMMITTED: 1, Until.FINAL: 2}
    return {"committed": 1, "final": 2}.get(str(result.get("state")), 0) >= far[until]


def report(result: dict[str, object], *, until: Until, as_json: bool) -> None:
    """Print what became of a write.

    Raises:
        typer.Exit: 1 when it did not get as far as asked in time.
    """
    if as_json:
        print_json(result)
    else:
        print_fields({name: value for name, value in result.items() if value is not None})
    if result.get("issued_before") is not None:
        message(
            f"piaolian: this order was issued before, at height {result['issued_before']}: nothing "
            "new was made, and the number is the one given then"
        )
    if not reached(result, until):
        message(
            f"piaolian: not {until.value} in time: the node keeps sending it; follow it with "
            f"`piaolian transaction {result.get('transaction')}`"
        )
        raise typer.Exit(REFUSED)


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{max(value, 0.001):.3f}"


def operate(
    path: str,
    body: object,
    config: Path | None,
    until: Until,
    timeout_s: float,
    as_json: bool,
    *,
    scope: Scope = "operate",
) -> None:
    """Post one write, wait and report."""
    with connect(config, scope) as client:
        result = post_and_wait(
            client, path, body, until=until, timeout_s=timeout_s, actor=ACTOR.get()
        )
    report(result, until=until, as_json=as_json)

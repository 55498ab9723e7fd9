"""From a write to its outcome: posting, waiting, and saying what became of it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer
from typing_extensions import ParamSpec

from node.cli.client import ApiClient, ProblemError
from node.cli.context import Scope, connect
from node.cli.errors import REFUSED
from node.cli.money import Sum, has_sums, money_text
from node.cli.options import TIMEOUT_S, Config, Json, Timeout, Until, Wait
from node.cli.output import message, print_fields, print_json
from node.ledger.codes import refusal_text

P = ParamSpec("P")
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


class Write(NamedTuple):
    """What a writing command wants to be written."""

    path: str
    body: object = {}
    told: Mapping[str, object] = {}
    """Printed with what becomes of it."""
    shown: Mapping[str, object] = {}
    """The same, to people only."""
    currency_at: tuple[str, str] | None = None
    """Path and field that name the currency of the body's sums, where the command does not."""


def write_command(
    app: typer.Typer, name: str | None = None, *, epilog: str, scope: Scope = "operate"
) -> Callable[[Callable[P, Write]], Callable[..., None]]:
    """Make a command of a function from its own arguments to the write that they ask for.

    Every writing command is made here: it takes --config, --wait, --timeout and --json behind its
    own options, posts as the bare key that the command acts as, waits, prints what became of it,
    and ends with 1 when that is not as far as was asked. A function with a parameter `config` is
    handed it, to ask the node before it writes.

    Args:
        app: The group that it joins.
        name: The function's own when left out.
        epilog: Of its help.
        scope: Of the token that it needs.
    """

    def make(function: Callable[P, Write]) -> Callable[..., None]:
        own = inspect.signature(function, eval_str=True)

        @wraps(function)
        def command(*args: P.args, **given: P.kwargs) -> None:
            waiting = _Waiting(
                *(
                    cast("dict[str, Any]", given).pop(name)
                    for name in ("wait", "timeout", "as_json")
                )
            )
            config = given["config"] if "config" in own.parameters else given.pop("config")
            operate(function(*args, **given), cast("Path | None", config), waiting, scope)

        _add_parameters(command, own)
        app.command(name, epilog=epilog)(command)
        return command

    return make


class _Waiting(NamedTuple):
    until: Until
    timeout_s: float
    as_json: bool


def _add_parameters(command: Callable[..., None], own: inspect.Signature) -> None:
    """Give a command the options of every write behind its own, as Typer reads them."""
    shared: list[tuple[str, object, object]] = [("config", Config, None)]
    shared += [
        ("wait", Wait, Until.FINAL),
        ("timeout", Timeout, TIMEOUT_S),
        ("as_json", Json, False),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [p for p in own.parameters.values() if p.name != "config"]
    parameters += [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, annotation, default in shared
    ]
    del command.__wrapped__  # type: ignore[attr-defined]
    command.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}


def operate(write: Write, config: Path | None, waiting: _Waiting, scope: Scope) -> None:
    """Post one write, wait and report."""
    with connect(config, scope) as client:
        body, sums = _priced(client, write, waiting)
        result = post_and_wait(
            client,
            write.path,
            body,
            until=waiting.until,
            timeout_s=waiting.timeout_s,
            actor=ACTOR.get(),
        )
    shown = {} if waiting.as_json else {**write.shown, **sums}
    report({**write.told, **shown, **result}, until=waiting.until, as_json=waiting.as_json)


def _priced(
    client: ApiClient, write: Write, waiting: _Waiting
) -> tuple[object, Mapping[str, object]]:
    """The body with its sums in minor units, and the sums as people read them."""
    if write.currency_at is None or not has_sums(write.body):
        return write.body, {}
    given = cast("Mapping[str, object]", write.body)
    sums = {name: item for name, item in given.items() if isinstance(item, Sum)}
    if waiting.as_json and all(item.is_minor for item in sums.values()):
        return {**given, **{name: int(item.number) for name, item in sums.items()}}, {}
    path, field = write.currency_at
    currency = str(client.get(path).fields[field])
    amounts = {name: item.minor_in(currency) for name, item in sums.items()}
    return {**given, **amounts}, {n: money_text(a, currency) for n, a in amounts.items()}

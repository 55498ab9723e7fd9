"""`piaolian participant …`, `vote`, `proposals`: who takes part, and who decides it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from node.cli.context import connect
from node.cli.errors import UsageError, reason_of
from node.cli.options import (
    Config,
    Id,
    Json,
    example,
    whole_option,
)
from node.cli.output import message, print_fields, print_json, print_table
from node.cli.writes import Write, write_command

participant = typer.Typer(no_args_is_help=True, help="Members of the network.")

_PROPOSALS = "/v1/proposals"
Why = Annotated[str, typer.Option("--reason", help="Shown to the other governors.")]
Again = Annotated[
    int | None,
    whole_option("--nonce", least=0, about="Of the proposal's id. Default: one that is free."),
]
Roles = Annotated[list[str], typer.Option("--role", help="tax_bureau, issuer, …; repeatable.")]
Limit = Annotated[int, whole_option(least=1, most=500, about="Rows on a page.")]
Cursor = Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")]


class Word(StrEnum):
    """What may be said of a proposal."""

    YES = "yes"
    NO = "no"
    WITHDRAW = "withdraw"


# --- Reading ----------------------------------------------------------------------------------


@participant.command("list", epilog=example("piaolian participant list"))
def list_participants(
    limit: Limit = 50, cursor: Cursor = None, config: Config = None, as_json: Json = False
) -> None:
    """List participants, their roles and state."""
    with connect(config) as client:
        page = client.get("/v1/participants", limit=limit, cursor=cursor).fields
    _print_page(page, "participants", ["id", "name", "roles", "state"], as_json)


@participant.command("show", epilog=example("piaolian participant show 91310115337099624K"))
def show_participant(identity: Id, config: Config = None, as_json: Json = False) -> None:
    """Show one participant: roles, state, keys with scopes and ends."""
    with connect(config) as client:
        value = client.get(f"/v1/participants/{identity}").fields
    if as_json:
        print_json(value)
    else:
        print_fields(value)


def proposals(
    state: Annotated[
        str | None, typer.Option(help="open, carried, rejected, withdrawn or expired.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List proposals with their votes, and who decides them."""
    with connect(config) as client:
        page = client.get(_PROPOSALS, state=state, limit=limit, cursor=cursor).fields
    columns = ["id", "state", "action", "participant", "approvals", "rejections", "expires"]
    _print_page(page, "proposals", columns, as_json)
    if not as_json:
        governance = cast("dict[str, object]", page["governance"])
        governors = cast("list[dict[str, object]]", governance["governors"])
        active = sum(bool(governor["active"]) for governor in governors)
        message(f"{governance['threshold']} of {active} active governors must agree")


def _print_page(page: dict[str, object], field: str, columns: list[str], as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    print_table(cast("list[dict[str, object]]", page[field]), columns)
    if page.get("next_cursor"):
        message(f"more: --cursor {page['next_cursor']}")


# --- Proposing and voting ---------------------------------------------------------------------


@write_command(
    participant,
    scope="admin",
    epilog=example(
        "piaolian participant propose-admit --card card.toml",
        "piaolian participant propose-admit 91310115337099624K --name 'Paper Ltd' --role issuer "
        "--signing-key 3b6a…29 --sealing-key 77c1…0d",
    ),
)
def propose_admit(
    identity: Annotated[
        str | None, typer.Argument(metavar="ID", help="Unified social credit code.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the organisation.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="tax_bureau, issuer, …; repeatable.")] = (
        None
    ),
    signing_key: Annotated[str | None, typer.Option(help="Ed25519, hex.")] = None,
    sealing_key: Annotated[str | None, typer.Option(help="X25519, hex.")] = None,
    card: Annotated[
        Path | None, typer.Option(help="All of it from a node card (`piaolian init`).")
    ] = None,
    reason: Why = "",
    nonce: Again = None,
) -> Write:
    """Propose to admit a participant (governors)."""
    body: dict[str, object] = {
        "participant": identity,
        "name": name,
        "roles": role,
        "signing_key": signing_key,
        "sealing_key": sealing_key,
    }
    if card is not None:
        if any(value is not None for value in body.values()):
            raise UsageError("give a card, or the fields one by one")
        body = _card_fields(card)
    missing = [field for field, value in body.items() if not value]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}")
    body |= {"action": "admit", "reason": reason} | _given(nonce)
    return Write(_PROPOSALS, body)


def _card_fields(path: Path) -> dict[str, object]:
    from node.setup.cards import CARD_BYTES_MAX, parse_card

    try:
        with path.open(encoding="utf-8") as file:
            card = parse_card(file.read(CARD_BYTES_MAX))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {reason_of(error)}") from error
    return {
        "participant": card.participant,
        "name": card.name,
        "roles": list(card.roles),
        "signing_key": card.signing_key,
        "sealing_key": card.sealing_key,
    }


def _proposal(action: str, identity: str, reason: str, nonce: int | None) -> Write:
    body = {"action": action, "participant": identity, "reason": reason} | _given(nonce)
    return Write(_PROPOSALS, body)


def _given(nonce: int | None) -> dict[str, object]:
    return {} if nonce is None else {"nonce": nonce}


@write_command(
    participant,
    scope="admin",
    epilog=example("piaolian participant propose-suspend 91310115337099624K"),
)
def propose_suspend(
    identity: Id,
    reason: Why = "",
    nonce: Again = None,
) -> Write:
    """Propose to suspend a participant: it cannot act until reinstated (governors)."""
    return _proposal("suspend", identity, reason, nonce)


@write_command(
    participant,
    scope="admin",
    epilog=example("piaolian participant propose-reinstate 91310115337099624K"),
)
def propose_reinstate(
    identity: Id,
    reason: Why = "",
    nonce: Again = None,
) -> Write:
    """Propose to make a suspended participant active again (governors)."""
    return _proposal("reinstate", identity, reason, nonce)


@write_command(
    participant,
    scope="admin",
    epilog=example("piaolian participant propose-retire 91310115337099624K"),
)
def propose_retire(
    identity: Id,
    reason: Why = "",
    nonce: Again = None,
) -> Write:
    """Propose to retire a participant for good; its invoices stay (governors)."""
    return _proposal("retire", identity, reason, nonce)


@write_command(
    participant,
    scope="admin",
    epilog=example("piaolian participant propose-roles 91310115337099624K --role issuer"),
)
def propose_roles(
    identity: Id,
    role: Roles,
    reason: Why = "",
    nonce: Again = None,
) -> Write:
    """Propose other roles for a participant: those named, and no others (governors)."""
    body: dict[str, object] = {
        "action": "change_roles",
        "participant": identity,
        "roles": role,
        "reason": reason,
    }
    body |= _given(nonce)
    return Write(_PROPOSALS, body)


def vote(
    proposal: Annotated[str, typer.Argument(metavar="ID", help="Proposal id, 32 hex digits.")],
    word: Annotated[Word, typer.Argument(help="yes, no; withdraw, for its proposer.")],
) -> Write:
    """Vote on a proposal (governors); it takes effect with the vote that reaches the threshold."""
    path = f"{_PROPOSALS}/{proposal}"
    if word is Word.WITHDRAW:
        return Write(f"{path}/withdraw")
    return Write(f"{path}/vote", {"approve": word is Word.YES})

"""Membership as the machine sees it: who takes part, with which keys, and who decides on that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.domains.description import Domain

if TYPE_CHECKING:
    import typer

    from node.api.openapi import PathParameter
    from node.api.routing import Route


def _commands(app: typer.Typer) -> None:
    from node.cli.options import example
    from node.cli.writes import write_command
    from node.domains.membership.cli import keys, members

    app.add_typer(keys.key, name="key")
    app.add_typer(members.participant, name="participant")
    app.command(epilog=example("piaolian proposals --state open"))(members.proposals)
    write_command(app, scope="admin", epilog=example("piaolian vote 5b1f…e2 yes"))(members.vote)


def _routes() -> Sequence[Route]:
    from node.domains.membership.api import governance, participants

    return (*participants.ROUTES, *governance.ROUTES)


def _parameters() -> Mapping[str, PathParameter]:
    return {
        "proposal": ("Proposal id.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    }


DOMAIN = Domain(
    name="membership",
    commands=_commands,
    routes=_routes,
    parameters=_parameters,
    pages=Path(__file__).parent / "pages",
    page_paths=("/participants", "/proposals"),
)

"""How pieces of the command tree are put together. Knows no command."""

from __future__ import annotations

import typer


def group_of(app: typer.Typer, name: str) -> typer.Typer:
    """A group that stands in the tree already, for a domain that adds commands to it.

    Raises:
        LookupError: there is none of this name.
    """
    for found in app.registered_groups:
        if found.name == name and found.typer_instance is not None:
            return found.typer_instance
    raise LookupError(f"no group of commands {name!r}")


def add_commands(app: typer.Typer, more: typer.Typer) -> None:
    """Add the commands of `more` behind those that are there; a nameless group would come last."""
    app.registered_commands += more.registered_commands

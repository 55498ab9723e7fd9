"""Invoices as the machine sees them: what the domain brings to a node, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.lookups import Numbered
from node.domains.description import Domain, Installed, NodeParts

if TYPE_CHECKING:
    import typer

    from node.api.openapi import PathParameter
    from node.api.routing import Route
    from node.ledger.genesis import Genesis
    from node.storage.index_part import IndexPart


def _commands(app: typer.Typer) -> None:
    from node.domains.invoices.cli.tree import add_commands

    add_commands(app)


def _routes() -> Sequence[Route]:
    from node.domains.invoices.api.routes import ROUTES

    return ROUTES


def _parameters() -> Mapping[str, PathParameter]:
    from node.domains.invoices.api.routes import PARAMETERS

    return PARAMETERS


def _index_parts(genesis: Genesis) -> Sequence[IndexPart]:
    from node.domains.invoices.index.part import InvoicesPart

    return (InvoicesPart(genesis.utc_offset_minutes),)


def _install(node: NodeParts) -> Installed:
    from node.domains.invoices.service.installing import install

    return install(node)


DOMAIN = Domain(
    name="invoices",
    commands=_commands,
    numbered=(Numbered(20, "/v1/invoices"),),
    routes=_routes,
    parameters=_parameters,
    index_parts=_index_parts,
    install=_install,
    pages=Path(__file__).parent / "pages",
    page_paths=(
        "/today",
        "/invoices",
        "/invoices/{number:[0-9]+}",
        "/accountant",
        "/wallet",
        "/expenses",
        "/bureau",
    ),
    position_files=("examined",),
)

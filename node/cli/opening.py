"""`piaolian open`: a one-time link to the node's web page."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from node.cli.context import connect
from node.cli.options import Config, Json
from node.cli.output import message, print_json


class PageScope(StrEnum):
    """What the page may do."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


def open_page(
    scope: Annotated[PageScope, typer.Option(help="What the page may do.")] = PageScope.OPERATE,
    url: Annotated[
        str | None,
        typer.Option(help="Address at which the browser reaches the node, if it is another."),
    ] = None,
    launch: Annotated[bool, typer.Option("--launch", help="Open the browser too.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Print a link to the node's web page, good once and for two minutes."""
    with connect(config, scope.value) as client:
        answer = client.post("/v1/sessions", {"scope": scope.value}).fields
        base = client.url if url is None else url.rstrip("/")
    link = f"{base}{answer['path']}"
    if as_json:
        print_json({"url": link, "scope": answer["scope"], "expires": answer["expires"]})
    else:
        typer.echo(link)
        message("Whoever opens it first is signed in; it is good once and for two minutes.")
    if launch:
        typer.launch(link)

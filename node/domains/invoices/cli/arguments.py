"""Arguments that several commands of invoices take. Owns their help."""

from __future__ import annotations

from typing import Annotated

import typer

Number = Annotated[str, typer.Argument(help="Invoice number, 20 digits.", metavar="NUMBER")]

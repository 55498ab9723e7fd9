"""Details as they are read back: a closed shape over canonical JSON, and what red lines may take.

Owns the way from opened bytes to typed lines. Pure; used by the issuer's node before it signs a red
letter and by the tax bureau's after it is final, so both judge alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field, ValidationError

from node.api.body import message_of
from node.domains.invoices.details.details import (
    ALLOWANCES_MAX,
    LINES_MAX,
    AllowanceBody,
    DetailsBody,
    LineBody,
)


class StoredDetails(DetailsBody):
    """The sealed document."""

    lines: list[LineBody] = Field([], max_length=LINES_MAX)
    allowances: list[AllowanceBody] = Field([], max_length=ALLOWANCES_MAX)


class StoredDetailsError(ValueError):
    """The bytes are no details; the message names the first field at fault."""


def read_details(details: bytes) -> StoredDetails:
    """Opened details with their types.

    Raises:
        StoredDetailsError: they are not of the shape that a node seals.
    """
    try:
        return StoredDetails.model_validate_json(details)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = "".join(f"/{part}" for part in first["loc"])
        raise StoredDetailsError(f"{path}: {message_of(first)}") from error
    except RecursionError as error:
        raise StoredDetailsError("nested too deeply") from error


def over_credited(
    blue: Sequence[LineBody], earlier: Iterable[Sequence[LineBody]], red: Sequence[LineBody]
) -> int | None:
    """The position, in `red`, of the first line beyond what its original line has left.

    A red line names its original by position; one that names none is bounded by its rate's group
    alone, which is the ledger's rule. It takes from that line only, at its rate, towards nothing.

    Args:
        blue: Lines of the invoice.
        earlier: Lines of each red invoice that was issued for it before, amounts as magnitudes.
        red: Lines of the red invoice in question.
    """
    left = [line.net for line in blue]
    for lines in earlier:
        for line in lines:
            if line.original is not None and line.original < len(left):
                left[line.original] -= line.net
    for position, line in enumerate(red):
        if line.original is None:
            continue
        if line.original >= len(blue) or line.rate != blue[line.original].rate:
            return position
        whole, rest = blue[line.original].net, left[line.original]
        # A discount line is negative: what is left of it is too.
        inside = 0 <= line.net <= rest if whole >= 0 else rest <= line.net <= 0
        if not inside:
            return position
        left[line.original] -= line.net
    return None

"""All routes of invoices, in the order in which paths are tried. Owns no route."""

from __future__ import annotations

from collections.abc import Mapping

from node.api.openapi import PathParameter
from node.api.routing import Route
from node.domains.invoices.api import (
    attachments,
    discrepancies,
    faces,
    holds,
    inbox,
    invoices,
    issuing,
    operations,
    order_compare,
    orders,
    previewing,
    red_lines,
    registers,
    statements,
    table_reading,
    tracing,
    verifying,
    wallet,
)

ROUTES: tuple[Route, ...] = (
    *issuing.ROUTES,
    *previewing.ROUTES,
    *invoices.ROUTES,
    *tracing.ROUTES,
    *inbox.ROUTES,
    *faces.ROUTES,
    *attachments.ROUTES,
    *verifying.ROUTES,
    *operations.ROUTES,
    *holds.ROUTES,
    *red_lines.ROUTES,
    *orders.ROUTES,
    *table_reading.ROUTES,
    *order_compare.ROUTES,
    *registers.ROUTES,
    *statements.ROUTES,
    *discrepancies.ROUTES,
    *wallet.ROUTES,
)

PARAMETERS: Mapping[str, PathParameter] = {
    "number": ("Invoice number.", {"type": "string", "pattern": "^[0-9]{20}$"}),
    "hash": ("SHA-256 of the file.", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    "form": ("Number of the form on its invoice.", {"type": "integer", "minimum": 0}),
    "issuer": ("Participant id.", {"type": "string", "pattern": "^[0-9A-Z]{18}$"}),
    "month": ("YYYY-MM, UTC.", {"type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$"}),
}
"""What stands in their paths."""

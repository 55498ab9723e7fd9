"""Where the routes of invoices find the node's invoices. Owns the name of that service."""

from __future__ import annotations

from typing import cast

from node.api.routing import Api
from node.domains.invoices.service.ports import InvoiceFacade

SERVICE = "invoices"


def invoices_of(api: Api) -> InvoiceFacade:
    """The invoices of the node behind an API."""
    return cast("InvoiceFacade", api.services[SERVICE])

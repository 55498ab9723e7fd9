"""Where the routes of invoices find the node's invoices. Owns no service."""

from __future__ import annotations

from typing import cast

from node.api.routing import Api
from node.domains.invoices.service.ports import HOLDS, SERVICE, HoldFacade, InvoiceFacade


def invoices_of(api: Api) -> InvoiceFacade:
    """The invoices of the node behind an API."""
    return cast("InvoiceFacade", api.services[SERVICE])


def holds_of(api: Api) -> HoldFacade:
    """The issuing holds of the node behind an API."""
    return cast("HoldFacade", api.services[HOLDS])

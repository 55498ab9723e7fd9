"""Where the routes of invoices find the node's invoices, and which one a path names.

Owns no service.
"""

from __future__ import annotations

import re
from typing import cast

from aiohttp import web

from node.api.errors import ApiError
from node.api.routing import Api
from node.domains.invoices.service.ports import HOLDS, SERVICE, HoldFacade, InvoiceFacade

_NUMBER = re.compile(r"[0-9]{20}")


def invoices_of(api: Api) -> InvoiceFacade:
    """The invoices of the node behind an API."""
    return cast("InvoiceFacade", api.services[SERVICE])


def holds_of(api: Api) -> HoldFacade:
    """The issuing holds of the node behind an API."""
    return cast("HoldFacade", api.services[HOLDS])


def number_of(request: web.Request) -> str:
    """The invoice number of the path.

    Raises:
        ApiError: 404 when it is no number.
    """
    number = request.match_info["number"]
    if not _NUMBER.fullmatch(number) or not number.isascii():
        raise ApiError(404, "NOT_FOUND", "not an invoice number")
    return number

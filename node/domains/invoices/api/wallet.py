"""Routes of the wallet: bare keys that this node holds, and claim keys of invoices it issued."""

from __future__ import annotations

import msgspec
from aiohttp import web
from pydantic import Field

from node.api.body import Body, EmptyBody, Text200
from node.api.errors import ApiError, FieldError, not_found
from node.api.requests import read_json
from node.api.routing import Api, Route, json_response
from node.api.security import Scope
from node.api.writes import facade_errors
from node.domains.invoices.api.facade import invoices_of, number_of
from node.domains.invoices.api.invoices import read_invoice
from node.ledger.invoices.rows import InvoiceRow


class ImportKeyBody(Body):
    """A claim key to take over."""

    claim_key: Text200 = Field(description="As it stands on the face: plck1-….")


class WalletKey(msgspec.Struct, frozen=True):
    """One bare key."""

    key: str
    """Public key, hex: the party reference to be named as a buyer, and in `?as=`."""


class WalletKeys(msgspec.Struct, frozen=True):
    """The bare keys that this node holds, oldest first."""

    keys: list[str]


class ClaimKeyView(msgspec.Struct, frozen=True):
    """The secret by which whoever holds it acts as the buyer."""

    number: str
    claim_key: str


async def list_keys(api: Api, _: web.Request) -> web.Response:
    """Public keys only."""
    return json_response(WalletKeys([key.hex() for key in api.node.wallet_keys()]))


async def make_key(api: Api, request: web.Request) -> web.Response:
    """A fresh key: to be named as the buyer of one purchase."""
    await read_json(request, EmptyBody, api.config)
    with facade_errors():
        key = await api.node.make_wallet_key()
    return json_response(WalletKey(key.hex()), 201)


async def import_key(api: Api, request: web.Request) -> web.Response:
    """Take a claim key over; again is no error."""
    body, _ = await read_json(request, ImportKeyBody, api.config)
    try:
        with facade_errors():
            key = await api.node.import_wallet_key(body.claim_key)
    except ValueError as error:
        message = str(error)
        raise ApiError(
            422, "INVALID_FIELDS", message, errors=(FieldError("/claim_key", message),)
        ) from error
    return json_response(WalletKey(key.hex()), 201)


def claim_key_of(api: Api, row: InvoiceRow) -> str | None:
    """The claim key of an invoice, if this participant issued it and the buyer still holds it."""
    if row.issuer != api.node.participant or row.holder != row.buyer:
        return None
    return invoices_of(api).claim_key(row.order, row.buyer)


async def show_claim_key(api: Api, request: web.Request) -> web.Response:
    """The claim key of an invoice that this participant issued, until the buyer moved it on."""
    number = number_of(request)
    key = claim_key_of(api, await read_invoice(api, number))
    if key is None:
        raise not_found("this node has no claim key of this invoice")
    return json_response(ClaimKeyView(number, key))


ROUTES = (
    Route(
        "GET",
        "/v1/wallet/keys",
        list_keys,
        "Bare keys that this node holds",
        "wallet",
        Scope.READ,
        answers={200: WalletKeys},
    ),
    Route(
        "POST",
        "/v1/wallet/keys",
        make_key,
        "Make a bare key, for one purchase",
        "wallet",
        Scope.OPERATE,
        body=EmptyBody,
        answers={201: WalletKey},
        refusals=(400, 408, 413, 415, 422),
    ),
    Route(
        "POST",
        "/v1/wallet/keys:import",
        import_key,
        "Take over a claim key",
        "wallet",
        Scope.OPERATE,
        body=ImportKeyBody,
        answers={201: WalletKey},
        refusals=(400, 408, 413, 415, 422),
    ),
    Route(
        "GET",
        "/v1/invoices/{number}/claim-key",
        show_claim_key,
        "The claim key of an invoice that this participant issued",
        "wallet",
        Scope.OPERATE,
        answers={200: ClaimKeyView},
        refusals=(404,),
    ),
)

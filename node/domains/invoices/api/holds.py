"""Routes of issuing holds: put, upheld, lifted by the tax bureau; appealed against by the firm.

Owns their bodies and how a hold looks as JSON. The cause, with its proof file, and the firm's
grounds are sealed: only firm and bureau find them here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from pydantic import AfterValidator, Field, StringConstraints

from node.api.body import Body, HexKey, HexSignature, Reason, Reference, Time
from node.api.errors import invalid_field, not_found
from node.api.requests import participant_of, read_json, time_ms, time_text
from node.api.routing import Api, Route, check_writable, json_response
from node.api.security import Scope
from node.api.writes import answer_write, facade_errors, write_operations, write_route
from node.domains.invoices.api.facade import holds_of
from node.ledger.invoices.holds.operations import HoldIssuing, LiftHold, UpholdHold
from node.ledger.text import check_safe_lines

Text20000 = Annotated[
    str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(check_safe_lines)
]
ProofText = Annotated[
    str, StringConstraints(min_length=1, max_length=500_000), AfterValidator(check_safe_lines)
]
_canonical = msgspec.json.Encoder(order="sorted").encode


class HoldBody(Body):
    """Hold an issuer's blue invoices until a time. Only the reference is public."""

    reference: Reference = Field(description="The bureau's own; it names no cause.")
    until: Time
    cause: Text20000 = Field(description="Sealed to the firm and this bureau.")
    proof: ProofText | None = Field(None, description="A proof file, sealed with the cause.")


class UpholdBody(Body):
    """Lengthen a live hold, by two keys of the bureau. The reason is public."""

    reference: Reference
    until: Time
    reason: Reason
    second_key: HexKey | None = Field(
        None, description="Of another officer; left out: this node's second newest key signs too."
    )
    second_signature: HexSignature | None = Field(
        None,
        description="Its signature of `piaolian/uphold/v1\\n`, the network id, the bureau's id and "
        "the MessagePack of [issuer, reference, until in milliseconds, reason].",
    )


class LiftBody(Body):
    """End a live hold."""

    reference: Reference


class AppealBody(Body):
    """The held firm's appeal."""

    reference: Reference
    grounds: Text20000 = Field(description="Sealed to the firm and the bureau that holds it.")


class HoldView(msgspec.Struct, frozen=True):
    """An issuer's newest hold."""

    issuer: str
    reference: str
    bureau: str
    live: bool
    """Whether it counts now. It ends by block time alone."""
    until: str
    put: str
    upheld: str | None
    reason: str | None
    """Why it was upheld."""
    lifted: str | None
    appealed: str | None
    cause_commitment: str
    cause: msgspec.Raw | None
    """`{cause, proof}`, for firm and bureau; null for everybody else."""
    grounds: msgspec.Raw | None
    """`{grounds}` of the appeal, for firm and bureau."""
    transaction: str
    height: int


async def _show(api: Api, request: web.Request) -> web.StreamResponse:
    holds = holds_of(api)
    row = await holds.hold(participant_of(request))
    if row is None:
        raise not_found("this issuer has been under no hold")
    cause, grounds = await holds.cause(row), await holds.grounds(row)
    return json_response(
        HoldView(
            issuer=row.issuer,
            reference=row.reference,
            bureau=row.bureau,
            live=row.live(api.time_ms()),
            until=time_text(row.until),
            put=time_text(row.put_at),
            upheld=time_text(row.upheld_at) if row.upheld_at else None,
            reason=row.reason or None,
            lifted=time_text(row.lifted_at) if row.lifted_at else None,
            appealed=time_text(row.appealed_at) if row.appealed_at else None,
            cause_commitment=row.cause.hex(),
            cause=None if cause is None else msgspec.Raw(cause),
            grounds=None if grounds is None else msgspec.Raw(grounds),
            transaction=row.txid.hex(),
            height=row.height,
        )
    )


async def _put(api: Api, request: web.Request) -> web.StreamResponse:
    issuer = participant_of(request)
    body, idempotency = await read_json(request, HoldBody, api.config)
    check_writable(api)
    cause = _canonical(body.model_dump(include={"cause", "proof"}, exclude_none=True))
    operation = HoldIssuing(issuer, body.reference, bytes(32), time_ms(body.until), ())
    with facade_errors():
        submission = await holds_of(api).put(operation, cause, idempotency)
    return await answer_write(api, request, submission)


async def _uphold(api: Api, request: web.Request) -> web.StreamResponse:
    issuer = participant_of(request)
    body, idempotency = await read_json(request, UpholdBody, api.config)
    if (body.second_key is None) != (body.second_signature is None):
        raise invalid_field("/second_signature", "a second key and its signature go together")
    check_writable(api)
    operation = UpholdHold(
        issuer,
        body.reference,
        time_ms(body.until),
        body.reason,
        bytes.fromhex(body.second_key or "00" * 32),
        bytes.fromhex(body.second_signature or "00" * 64),
    )
    with facade_errors():
        submission = await holds_of(api).uphold(operation, idempotency)
    return await answer_write(api, request, submission)


async def _lift(api: Api, request: web.Request) -> web.StreamResponse:
    issuer = participant_of(request)
    body, idempotency = await read_json(request, LiftBody, api.config)
    operation = LiftHold(issuer, body.reference)
    return await write_operations(api, request, (operation,), idempotency)


async def _appeal(api: Api, request: web.Request) -> web.StreamResponse:
    body, idempotency = await read_json(request, AppealBody, api.config)
    check_writable(api)
    grounds = _canonical({"grounds": body.grounds})
    with facade_errors():
        submission = await holds_of(api).appeal(body.reference, grounds, idempotency)
    return await answer_write(api, request, submission)


ROUTES = (
    Route(
        "GET",
        "/v1/issuers/{participant}/hold",
        _show,
        "The newest issuing hold of an issuer",
        "registers",
        Scope.READ,
        answers={200: HoldView},
        refusals=(404,),
    ),
    *(
        write_route(
            path,
            handler,
            summary,
            "registers",
            body=body,
            operation=operation,
        )
        for path, handler, summary, body, operation in (
            (
                "/v1/issuers/{participant}/hold",
                _put,
                "Hold an issuer's blue invoices until a time (tax bureau)",
                HoldBody,
                "hold_issuing",
            ),
            (
                "/v1/issuers/{participant}/hold/uphold",
                _uphold,
                "Lengthen a hold by two keys (tax bureau)",
                UpholdBody,
                "uphold_hold",
            ),
            (
                "/v1/issuers/{participant}/hold/lift",
                _lift,
                "End a hold (tax bureau)",
                LiftBody,
                "lift_hold",
            ),
            (
                "/v1/issuers/self/hold/appeal",
                _appeal,
                "Appeal against this participant's hold",
                AppealBody,
                "appeal_hold",
            ),
        )
    ),
)

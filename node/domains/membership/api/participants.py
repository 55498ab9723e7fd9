"""Routes of participants: who they are, their keys, and whether they may issue."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from aiohttp import web

from node.api.errors import not_found
from node.api.requests import encode_cursor, participant_of, query_cursor, query_limit, read_json
from node.api.routing import PAGE_QUERY, Api, Route, json_response
from node.api.security import Scope as TokenScope
from node.api.writes import write_operations, write_route
from node.domains.membership.api.membership_bodies import AddKeyBody, RevokeKeyBody, RotateKeyBody
from node.ledger.codes import Table
from node.ledger.membership.operations import AddKey, KeyKind, RevokeKey, RotateKey
from node.ledger.participants import (
    NO_END,
    SCOPE_NAMES,
    KeyRow,
    ParticipantRow,
    ParticipantState,
    decode_participant,
)

_KEY = re.compile(r"[0-9a-f]{64}")
_STATE_NAMES = {state: state.name.lower() for state in ParticipantState}
_KINDS = {kind.name.lower(): kind for kind in KeyKind}
_END = b"\xff"
"""Past every participant: ids are ASCII."""


class KeyView(msgspec.Struct, frozen=True):
    """A key of a participant."""

    key: str
    scopes: list[str]
    """Of a signing key: what it may sign."""
    not_after: int | None
    """Last height at which it counts; null: no end."""
    revoked_height: int | None
    live: bool
    """Whether it counts in the next block."""


class ParticipantView(msgspec.Struct, frozen=True):
    """A participant of the network."""

    id: str
    name: str
    roles: list[str]
    state: str
    """active, suspended or retired."""
    issuing_suspended: bool
    issuing_case: str | None
    """The case for which issuing was suspended or resumed last."""
    head_bureau: bool
    """Whether it is a tax bureau that allots ranges to regional bureaus."""
    signing_keys: list[KeyView]
    """Ed25519; oldest first."""
    sealing_keys: list[KeyView]
    """X25519; oldest first."""


class ParticipantsPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Participants by id."""

    participants: list[ParticipantView]
    next_cursor: str | None = None


class _IdCursor(msgspec.Struct, frozen=True, array_like=True):
    after: Annotated[bytes, msgspec.Meta(max_length=18)]


def participant_view(row: ParticipantRow, height: int) -> ParticipantView:
    """A participant as JSON; `height` is that of the next block."""
    return ParticipantView(
        id=row.id,
        name=row.name,
        roles=[role.name.lower() for role in row.roles],
        state=_STATE_NAMES[row.state],
        issuing_suspended=row.issuing_suspended,
        issuing_case=row.issuing_case or None,
        head_bureau=row.head_bureau,
        signing_keys=[_key_view(key, height) for key in row.signing_keys],
        sealing_keys=[_key_view(key, height) for key in row.sealing_keys],
    )


def _key_view(key: KeyRow, height: int) -> KeyView:
    return KeyView(
        key=key.key.hex(),
        scopes=[name for name, scope in SCOPE_NAMES.items() if key.scope & scope],
        not_after=None if key.not_after == NO_END else key.not_after,
        revoked_height=key.revoked or None,
        live=key.lives(height),
    )


# --- Reads ------------------------------------------------------------------------------------


async def _list(api: Api, request: web.Request) -> web.StreamResponse:
    limit = query_limit(request)
    cursor = query_cursor(request, _IdCursor)
    start = b"" if cursor is None else cursor.after + b"\0"
    rows = await api.node.state_scan(Table.PARTICIPANT, start, _END, limit)
    height = api.node.heights().committed + 1
    views = [participant_view(decode_participant(value), height) for _, value in rows]
    following = encode_cursor(rows[-1][0]) if len(rows) == limit else None
    return json_response(ParticipantsPage(views, following))


async def _show(api: Api, request: web.Request) -> web.StreamResponse:
    key = participant_of(request).encode()
    rows = await api.node.state_rows(Table.PARTICIPANT, [key])
    if key not in rows:
        raise not_found("there is no such participant")
    height = api.node.heights().committed + 1
    return json_response(participant_view(decode_participant(rows[key]), height))


# --- Own keys ---------------------------------------------------------------------------------


async def _add_key(api: Api, request: web.Request) -> web.StreamResponse:
    body, idempotency = await read_json(request, AddKeyBody, api.config)
    scope = 0
    for name in body.scopes:
        scope |= SCOPE_NAMES[name]
    operation = AddKey(
        _KINDS[body.kind],
        bytes.fromhex(body.key),
        scope,
        NO_END if body.not_after is None else body.not_after,
        bytes.fromhex(body.proof or ""),
    )
    return await write_operations(api, request, (operation,), idempotency)


async def _revoke_key(api: Api, request: web.Request) -> web.StreamResponse:
    key = _key_of(request)
    body, idempotency = await read_json(request, RevokeKeyBody, api.config)
    operation = RevokeKey(_KINDS[body.kind], key)
    return await write_operations(api, request, (operation,), idempotency)


async def _rotate_key(api: Api, request: web.Request) -> web.StreamResponse:
    key = _key_of(request)
    body, idempotency = await read_json(request, RotateKeyBody, api.config)
    operation = RotateKey(
        _KINDS[body.kind],
        key,
        bytes.fromhex(body.new),
        api.node.heights().committed + body.ends_after,
        bytes.fromhex(body.proof or ""),
    )
    return await write_operations(api, request, (operation,), idempotency)


def _key_of(request: web.Request) -> bytes:
    text = request.match_info["key"]
    if not _KEY.fullmatch(text):
        raise not_found("not a public key")
    return bytes.fromhex(text)


ROUTES = (
    Route(
        "GET",
        "/v1/participants",
        _list,
        "Participants of the network",
        "registers",
        TokenScope.READ,
        query=PAGE_QUERY,
        answers={200: ParticipantsPage},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/participants/{participant}",
        _show,
        "One participant, with its keys",
        "registers",
        TokenScope.READ,
        answers={200: ParticipantView},
        refusals=(404,),
    ),
    *(
        write_route(
            f"/v1/participants/self/keys{path}",
            handler,
            summary,
            "keys",
            body=body,
            operation=operation,
            scope=TokenScope.ADMIN,
        )
        for path, handler, summary, body, operation in (
            ("", _add_key, "Add a key of this node's participant", AddKeyBody, "add_key"),
            ("/{key}/revoke", _revoke_key, "End a key at once", RevokeKeyBody, "revoke_key"),
            (
                "/{key}/rotate",
                _rotate_key,
                "Put a new key in the place of one",
                RotateKeyBody,
                "rotate_key",
            ),
        )
    ),
)

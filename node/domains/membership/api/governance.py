"""Routes of proposals: who is admitted, suspended or retired, and the governors' votes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from aiohttp import web

from node.api.body import EmptyBody
from node.api.errors import not_found
from node.api.requests import (
    encode_cursor,
    query_choice,
    query_cursor,
    query_limit,
    read_json,
    time_text,
)
from node.api.routing import (
    PAGE_QUERY,
    Api,
    Query,
    Route,
    check_writable,
    json_response,
)
from node.api.security import Scope
from node.api.writes import (
    facade_errors,
    wait_submission,
    write_answer,
    write_operations,
    write_route,
)
from node.domains.membership.api.membership_bodies import ProposalBody, VoteBody
from node.domains.membership.api.proposal_ids import proposed_id, with_free_nonce
from node.ledger.codes import Table
from node.ledger.membership.operations import (
    Action,
    Admit,
    ChangeRoles,
    Propose,
    Reinstate,
    Retire,
    Suspend,
    Vote,
    WithdrawProposal,
)
from node.ledger.membership.rows import (
    GOVERNANCE_KEY,
    ProposalRow,
    ProposalState,
    decode_governance,
    decode_proposal,
)
from node.ledger.types import ROLE_NAMES
from node.services.operation_views import plain

_PROPOSAL = re.compile(r"[0-9a-f]{32}")
_STATES = ("open", "carried", "rejected", "withdrawn", "expired")
_SIMPLE: Mapping[str, Callable[[str], Action]] = {
    "suspend": Suspend,
    "reinstate": Reinstate,
    "retire": Retire,
}
_END = b"\xff" * 17
"""Past every proposal id."""


class ProposalView(msgspec.Struct, frozen=True):
    """A proposal."""

    id: str
    state: str
    """open, carried, rejected, withdrawn or expired."""
    proposer: str
    participant: str
    """Whom it is about."""
    action: dict[str, Any]
    reason: str
    proposed: str
    expires: str
    approvals: list[str]
    """Governors, in the order of their votes."""
    rejections: list[str]
    decided_height: int | None


class GovernorView(msgspec.Struct, frozen=True):
    """A governor."""

    participant: str
    active: bool
    """Whether its votes count."""


class GovernanceView(msgspec.Struct, frozen=True):
    """Who decides, and how many of them it takes."""

    governors: list[GovernorView]
    threshold: int


class ProposalsPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Proposals by id, and who decides them."""

    proposals: list[ProposalView]
    governance: GovernanceView
    next_cursor: str | None = None


class _IdCursor(msgspec.Struct, frozen=True, array_like=True):
    after: Annotated[bytes, msgspec.Meta(max_length=16)]


def proposal_view(row: ProposalRow, now_ms: int) -> ProposalView:
    """A proposal as JSON at a block time."""
    expired = row.state is ProposalState.OPEN and now_ms > row.expires
    action = plain(row.action)
    assert isinstance(action, dict)
    if "roles" in action:
        action["roles"] = [role.name.lower() for role in action["roles"]]
    return ProposalView(
        id=row.id.hex(),
        state="expired" if expired else row.state.name.lower(),
        proposer=row.proposer,
        participant=row.action.participant,
        action=action,
        reason=row.reason,
        proposed=time_text(row.proposed_at),
        expires=time_text(row.expires),
        approvals=list(row.approvals),
        rejections=list(row.rejections),
        decided_height=row.decided_height or None,
    )


async def _list(api: Api, request: web.Request) -> web.StreamResponse:
    limit = query_limit(request)
    cursor = query_cursor(request, _IdCursor)
    state = query_choice(request, "state", _STATES)
    start = b"" if cursor is None else cursor.after + b"\0"
    now_ms = api.node.status().head_time_ms
    rows = await api.node.state_scan(Table.PROPOSAL, start, _END, limit)
    views = [proposal_view(decode_proposal(value), now_ms) for _, value in rows]
    return json_response(
        ProposalsPage(
            [view for view in views if state is None or view.state == state],
            await _governance(api),
            encode_cursor(rows[-1][0]) if len(rows) == limit else None,
        )
    )


async def _governance(api: Api) -> GovernanceView:
    rows = await api.node.state_rows(Table.META, [GOVERNANCE_KEY])
    if GOVERNANCE_KEY not in rows:
        return GovernanceView([], 0)
    row = decode_governance(rows[GOVERNANCE_KEY])
    governors = [GovernorView(governor.id, governor.active) for governor in row.governors]
    return GovernanceView(governors, row.threshold)


async def _show(api: Api, request: web.Request) -> web.StreamResponse:
    row = await _row(api, request)
    return json_response(proposal_view(row, api.node.status().head_time_ms))


async def _propose(api: Api, request: web.Request) -> web.StreamResponse:
    body, idempotency = await read_json(request, ProposalBody, api.config)
    operation = Propose(_action(body), body.reason, body.nonce or 0)
    if body.nonce is None:
        operation = await with_free_nonce(api, operation)
    check_writable(api)
    with facade_errors():
        submission = await api.node.submit_operations((operation,), (), idempotency)
    reached, status = await wait_submission(api, request, submission)
    identity = await proposed_id(api, status, operation)
    return write_answer(reached, status, proposal=identity)


async def _vote(api: Api, request: web.Request) -> web.StreamResponse:
    row = await _row(api, request)
    body, idempotency = await read_json(request, VoteBody, api.config)
    operation = Vote(row.id, row.action.participant, body.approve)
    return await write_operations(api, request, (operation,), idempotency)


async def _withdraw(api: Api, request: web.Request) -> web.StreamResponse:
    row = await _row(api, request)
    _, idempotency = await read_json(request, EmptyBody, api.config)
    return await write_operations(api, request, (WithdrawProposal(row.id),), idempotency)


async def _row(api: Api, request: web.Request) -> ProposalRow:
    text = request.match_info["proposal"]
    if not _PROPOSAL.fullmatch(text):
        raise not_found("not a proposal id")
    key = bytes.fromhex(text)
    rows = await api.node.state_rows(Table.PROPOSAL, [key])
    if key not in rows:
        raise not_found("there is no such proposal")
    row: ProposalRow = decode_proposal(rows[key])
    return row


def _action(body: ProposalBody) -> Action:
    roles = tuple(sorted({ROLE_NAMES[role] for role in body.roles or ()}))
    if body.action == "admit":
        assert body.name
        assert body.signing_key
        assert body.sealing_key
        return Admit(
            body.participant,
            body.name,
            roles,
            bytes.fromhex(body.signing_key),
            bytes.fromhex(body.sealing_key),
        )
    if body.action == "change_roles":
        return ChangeRoles(body.participant, roles)
    return _SIMPLE[body.action](body.participant)


ROUTES = (
    Route(
        "GET",
        "/v1/proposals",
        _list,
        "Proposals, and who decides them",
        "governance",
        Scope.READ,
        query=(
            *PAGE_QUERY,
            Query(
                "state",
                "Only those of the page in this state.",
                {"type": "string", "enum": list(_STATES)},
            ),
        ),
        answers={200: ProposalsPage},
        refusals=(400,),
    ),
    Route(
        "GET",
        "/v1/proposals/{proposal}",
        _show,
        "One proposal",
        "governance",
        Scope.READ,
        answers={200: ProposalView},
        refusals=(404,),
    ),
    write_route(
        "/v1/proposals",
        _propose,
        "Propose to admit, suspend, reinstate or retire a participant, or to change its roles",
        "governance",
        body=ProposalBody,
        operation="propose",
        scope=Scope.ADMIN,
    ),
    write_route(
        "/v1/proposals/{proposal}/vote",
        _vote,
        "Vote on a proposal (governors)",
        "governance",
        body=VoteBody,
        operation="vote",
        scope=Scope.ADMIN,
    ),
    write_route(
        "/v1/proposals/{proposal}/withdraw",
        _withdraw,
        "Take an open proposal back (its proposer)",
        "governance",
        body=EmptyBody,
        operation="withdraw_proposal",
        scope=Scope.ADMIN,
    ),
)

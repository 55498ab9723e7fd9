"""Which nonce a proposal takes, and the id that follows from it.

A proposal's id is a hash of its proposer and all its words, so that a write that was sent twice
opens one proposal. To propose the same once more after it was closed takes another nonce: the
first whose proposal is not there, or is still open (then the ledger says ALREADY_PROPOSED).
"""

from __future__ import annotations

import msgspec

from node.api.errors import refused
from node.api.routing import Api
from node.following.outcomes import TransactionStatus
from node.ledger.codes import Code, Table
from node.ledger.membership.governance import proposal_id
from node.ledger.membership.operations import Propose
from node.ledger.membership.rows import ProposalState, decode_proposal
from node.ledger.transaction import decode_body

_AT_ONCE = 32
_NONCES_MAX = 1_024
"""Tried before the caller is asked for one: a governor that needs more knows why."""


async def with_free_nonce(api: Api, operation: Propose) -> Propose:
    """The proposal with the smallest nonce that no closed one of the same words has.

    Raises:
        ApiError: 409 ALREADY_PROPOSED: too many are closed.
    """
    now_ms = api.node.status().head_time_ms
    for start in range(0, _NONCES_MAX, _AT_ONCE):
        tried = [
            msgspec.structs.replace(operation, nonce=nonce)
            for nonce in range(start, start + _AT_ONCE)
        ]
        keys = [proposal_id(api.node.participant, each) for each in tried]
        rows = await api.node.state_rows(Table.PROPOSAL, keys)
        for key, each in zip(keys, tried, strict=True):
            if key not in rows:
                return each
            row = decode_proposal(rows[key])
            if row.state is ProposalState.OPEN and now_ms <= row.expires:
                return each
    raise refused(
        Code.ALREADY_PROPOSED, f"{_NONCES_MAX} proposals of these words are closed: give a nonce"
    )


async def proposed_id(api: Api, status: TransactionStatus, operation: Propose) -> str:
    """The id of what a write proposed; a write that was repeated has proposed something before."""
    body = status.body
    if body is None:
        known = await api.node.transaction(status.txid)
        body = None if known is None else known.body
    if body is not None:
        (operation,) = (o for o in decode_body(body).operations if isinstance(o, Propose))
    return proposal_id(api.node.participant, operation).hex()

"""Proposals and votes: who takes part, decided by the governors (DOMAIN §1). Pure rules.

A proposal takes effect in the transaction whose vote reaches the threshold; if it cannot be carried
out by then, that vote is refused with the reason. Only votes of active governors count, when they
are counted. Governors and threshold are those of the genesis: changing them is not available yet.
"""

from __future__ import annotations

import hashlib

import msgspec
from stdnum.cn import uscc

from node.ledger.codes import Code
from node.ledger.membership.operations import (
    PROPOSAL_ID_BYTES,
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
    GOVERNANCE,
    GOVERNANCE_KEY,
    PROPOSALS,
    PROPOSALS_OF_ONE_MAX,
    PROPOSALS_OPEN_MAX,
    GovernanceRow,
    GovernorRow,
    OpenRow,
    ProposalRow,
    ProposalState,
)
from node.ledger.membership.terms import MembershipTerms
from node.ledger.participants import PARTICIPANTS, KeyRow, ParticipantRow, ParticipantState
from node.ledger.step import Step
from node.ledger.types import Role

_ID_TAG = b"piaolian/proposal/v1\n"
_encode = msgspec.msgpack.Encoder().encode


def proposal_id(proposer: str, op: Propose) -> bytes:
    """Identity of a proposal: 16 bytes, of who proposed and exactly what."""
    digest = hashlib.sha256(_ID_TAG + proposer.encode() + _encode(op)).digest()
    return digest[:PROPOSAL_ID_BYTES]


def propose(step: Step, op: Propose) -> Code:
    """Open a proposal, with the proposer's vote; ALREADY_PROPOSED for the very same again."""
    governance = _governance(step)
    if step.actor not in governance.voters:
        return Code.NOT_GOVERNOR
    identity = proposal_id(step.actor, op)
    if step.state[PROPOSALS].get(identity) is not None:
        return Code.ALREADY_PROPOSED
    refusal = _refuse(step, governance, op.action)
    if refusal:
        return refusal
    running = tuple(entry for entry in governance.open if step.now <= entry.expires)
    own = sum(entry.proposer == step.actor for entry in running)
    if len(running) >= PROPOSALS_OPEN_MAX or own >= PROPOSALS_OF_ONE_MAX:
        return Code.TOO_MANY_PROPOSALS
    expires = step.now + step.terms.of(MembershipTerms).proposal_ms
    governance.open = (*running, OpenRow(identity, step.actor, expires))
    row = ProposalRow(identity, step.actor, op.action, op.reason, step.now, expires, (step.actor,))
    step.state[PROPOSALS].put(identity, row)
    return _decide(step, governance, row)


def vote(step: Step, op: Vote) -> Code:
    """A governor's one vote; UNKNOWN_PROPOSAL also when it is about somebody else."""
    governance = _governance(step)
    if step.actor not in governance.voters:
        return Code.NOT_GOVERNOR
    row = _open_proposal(step, op.proposal)
    if isinstance(row, Code):
        return row
    if row.action.participant != op.participant:
        return Code.UNKNOWN_PROPOSAL
    if step.actor in row.approvals or step.actor in row.rejections:
        return Code.ALREADY_VOTED
    if op.approve:
        row.approvals = (*row.approvals, step.actor)
    else:
        row.rejections = (*row.rejections, step.actor)
    return _decide(step, governance, row)


def withdraw(step: Step, op: WithdrawProposal) -> Code:
    """The proposer takes it back."""
    row = _open_proposal(step, op.proposal)
    if isinstance(row, Code):
        return row
    if row.proposer != step.actor:
        return Code.NOT_PROPOSER
    _close(step, _governance(step), row, ProposalState.WITHDRAWN)
    return Code.OK


# --- Deciding ---------------------------------------------------------------------------------


def _governance(step: Step) -> GovernanceRow:
    row: GovernanceRow | None = step.state[GOVERNANCE].edit(GOVERNANCE_KEY)
    assert row is not None, "the genesis puts it"
    return row


def _open_proposal(step: Step, identity: bytes) -> ProposalRow | Code:
    row = step.state[PROPOSALS].edit(identity)
    if row is None:
        return Code.UNKNOWN_PROPOSAL
    if row.state is not ProposalState.OPEN:
        return Code.PROPOSAL_CLOSED
    return row if step.now <= row.expires else Code.PROPOSAL_EXPIRED


def _decide(step: Step, governance: GovernanceRow, row: ProposalRow) -> Code:
    """Carry out at the threshold; close once the threshold is out of reach."""
    voters = governance.voters
    if len(voters.intersection(row.approvals)) >= governance.threshold:
        refusal = _refuse(step, governance, row.action)
        if refusal:
            return refusal
        _carry_out(step, governance, row.action)
        _close(step, governance, row, ProposalState.CARRIED)
    elif len(voters.difference(row.rejections)) < governance.threshold:
        _close(step, governance, row, ProposalState.REJECTED)
    return Code.OK


def _close(step: Step, governance: GovernanceRow, row: ProposalRow, state: ProposalState) -> None:
    row.state = state
    row.decided_height = step.height
    governance.open = tuple(entry for entry in governance.open if entry.proposal != row.id)


# --- Actions ----------------------------------------------------------------------------------


def _refuse(step: Step, governance: GovernanceRow, action: Action) -> Code:
    """Why the action cannot be carried out in this state."""
    if isinstance(action, Admit | ChangeRoles) and not _is_role_set(action.roles):
        return Code.ROLES_INVALID
    row = step.state[PARTICIPANTS].get(action.participant.encode())
    if isinstance(action, Admit):
        if row is not None:
            return Code.ALREADY_PARTICIPANT
        return Code.OK if uscc.is_valid(action.participant) else Code.PARTICIPANT_ID_INVALID
    if row is None:
        return Code.UNKNOWN_PARTY
    if not _fits(row, action):
        return Code.PARTICIPANT_STATE
    if isinstance(action, Suspend | Retire):
        left = governance.voters - {action.participant}
        if action.participant in governance.voters and len(left) < governance.threshold:
            return Code.BELOW_THRESHOLD
    return Code.OK


def _is_role_set(roles: tuple[Role, ...]) -> bool:
    return roles == tuple(sorted(set(roles)))


def _fits(row: ParticipantRow, action: Suspend | Reinstate | Retire | ChangeRoles) -> bool:
    match action:
        case Suspend():
            return row.state is ParticipantState.ACTIVE
        case Reinstate():
            return row.state is ParticipantState.SUSPENDED
        case Retire():
            return row.state is not ParticipantState.RETIRED
        case ChangeRoles():
            return row.state is not ParticipantState.RETIRED and row.roles != action.roles


def _carry_out(step: Step, governance: GovernanceRow, action: Action) -> None:
    participants = step.state[PARTICIPANTS]
    key = action.participant.encode()
    if isinstance(action, Admit):
        admitted = ParticipantRow(
            action.participant,
            action.name,
            action.roles,
            (KeyRow(action.signing_key),),
            (KeyRow(action.sealing_key, 0),),
        )
        participants.put(key, admitted)
        return
    row = participants.edit(key)
    assert row is not None, "not refused"
    match action:
        case Suspend():
            row.state = ParticipantState.SUSPENDED
        case Reinstate():
            row.state = ParticipantState.ACTIVE
        case Retire():
            row.state = ParticipantState.RETIRED
        case ChangeRoles():
            row.roles = action.roles
    active = row.state is ParticipantState.ACTIVE
    governance.governors = tuple(
        GovernorRow(governor.id, active) if governor.id == row.id else governor
        for governor in governance.governors
    )

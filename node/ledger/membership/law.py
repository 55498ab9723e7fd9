"""The law of who takes part: what the ledger knows of each of its operations. Owns that list."""

from __future__ import annotations

from collections.abc import Sequence

from node.ledger.codes import Code, Table
from node.ledger.genesis import Genesis, ParticipantDocument
from node.ledger.membership import governance, keys
from node.ledger.membership.governance import proposal_id
from node.ledger.membership.operations import (
    AddKey,
    Admit,
    ChangeRoles,
    Propose,
    Reinstate,
    Retire,
    RevokeKey,
    RotateKey,
    Suspend,
    Vote,
    WithdrawProposal,
)
from node.ledger.membership.rows import (
    GOVERNANCE,
    GOVERNANCE_KEY,
    PROPOSALS,
    GovernanceRow,
    GovernorRow,
)
from node.ledger.membership.terms import MembershipTerms
from node.ledger.participants import PARTICIPANTS, KeyRow, ParticipantRow, Scope
from node.ledger.reads import Reads
from node.ledger.spec import Law, OpeningRow, OperationSpec
from node.ledger.types import Role

# --- What is read ahead -----------------------------------------------------------------------


def own_row_only(_reads: Reads, _actor: str, _operation: object) -> None:
    """Keys stand in the author's row, which is read for every transaction."""


def _propose(reads: Reads, actor: str, op: Propose) -> None:
    reads.rows[Table.META][GOVERNANCE_KEY] = None
    reads.rows[Table.PROPOSAL][proposal_id(actor, op)] = None
    reads.party(op.action.participant)


def _vote(reads: Reads, _actor: str, op: Vote) -> None:
    reads.rows[Table.META][GOVERNANCE_KEY] = None
    reads.rows[Table.PROPOSAL][op.proposal] = None
    reads.party(op.participant)


def _withdraw(reads: Reads, _actor: str, op: WithdrawProposal) -> None:
    reads.rows[Table.META][GOVERNANCE_KEY] = None
    reads.rows[Table.PROPOSAL][op.proposal] = None


# --- The state before the first block ---------------------------------------------------------


def _opening(genesis: Genesis) -> Sequence[OpeningRow]:
    governors = tuple(GovernorRow(governor, True) for governor in sorted(set(genesis.governors)))
    heads = _head_bureaus(genesis)
    return [
        (GOVERNANCE, GOVERNANCE_KEY, GovernanceRow(governors, genesis.threshold)),
        *(
            (PARTICIPANTS, founder.id.encode(), _participant(founder, head=founder.id in heads))
            for founder in genesis.participants
        ),
    ]


def _head_bureaus(genesis: Genesis) -> frozenset[str]:
    """Founding tax bureaus that govern; all of them when none does."""
    bureaus = [p.id for p in genesis.participants if Role.TAX_BUREAU in p.role_set]
    return frozenset(set(bureaus).intersection(genesis.governors) or bureaus)


def _participant(document: ParticipantDocument, *, head: bool) -> ParticipantRow:
    return ParticipantRow(
        id=document.id,
        name=document.name,
        roles=tuple(sorted(document.role_set)),
        signing_keys=(KeyRow(bytes.fromhex(document.signing_key)),),
        sealing_keys=(KeyRow(bytes.fromhex(document.sealing_key), 0),),
        head_bureau=head,
    )


# --- The operations ---------------------------------------------------------------------------

_OF_AN_ACTION = frozenset(
    {
        Code.ROLES_INVALID,
        Code.ALREADY_PARTICIPANT,
        Code.PARTICIPANT_ID_INVALID,
        Code.UNKNOWN_PARTY,
        Code.PARTICIPANT_STATE,
        Code.BELOW_THRESHOLD,
    }
)
_OF_A_PROPOSAL = frozenset({Code.UNKNOWN_PROPOSAL, Code.PROPOSAL_CLOSED, Code.PROPOSAL_EXPIRED})
_OF_A_NEW_KEY = frozenset(
    {Code.PERIOD_INVALID, Code.KEY_EXISTS, Code.KEY_PROOF_INVALID, Code.TOO_MANY_KEYS}
)
_OF_A_HELD_KEY = frozenset({Code.UNKNOWN_KEY, Code.KEY_ENDED, Code.LAST_KEY})

MEMBERSHIP_LAW = Law(
    name="membership",
    tables=(GOVERNANCE, PROPOSALS),
    opening=_opening,
    terms=MembershipTerms,
    value_names={
        Admit: "admit",
        Suspend: "suspend",
        Reinstate: "reinstate",
        Retire: "retire",
        ChangeRoles: "change_roles",
    },
    needed=True,
    operations=(
        OperationSpec(
            kind=AddKey,
            name="add_key",
            row=None,
            apply=keys.add_key,
            scopes=Scope.KEYS,
            refusals=_OF_A_NEW_KEY | {Code.SCOPE_INVALID},
            reads=own_row_only,
        ),
        OperationSpec(
            kind=RevokeKey,
            name="revoke_key",
            row=None,
            apply=keys.revoke_key,
            scopes=Scope.KEYS,
            refusals=_OF_A_HELD_KEY,
            reads=own_row_only,
        ),
        OperationSpec(
            kind=RotateKey,
            name="rotate_key",
            row=None,
            apply=keys.rotate_key,
            scopes=Scope.KEYS,
            refusals=_OF_A_NEW_KEY | _OF_A_HELD_KEY,
            reads=own_row_only,
        ),
        OperationSpec(
            kind=Propose,
            name="propose",
            row=None,
            apply=governance.propose,
            scopes=Scope.GOVERN,
            refusals=_OF_AN_ACTION
            | {Code.NOT_GOVERNOR, Code.ALREADY_PROPOSED, Code.TOO_MANY_PROPOSALS},
            reads=_propose,
        ),
        OperationSpec(
            kind=Vote,
            name="vote",
            row=None,
            apply=governance.vote,
            scopes=Scope.GOVERN,
            refusals=_OF_A_PROPOSAL | _OF_AN_ACTION | {Code.NOT_GOVERNOR, Code.ALREADY_VOTED},
            reads=_vote,
        ),
        OperationSpec(
            kind=WithdrawProposal,
            name="withdraw_proposal",
            row=None,
            apply=governance.withdraw,
            scopes=Scope.GOVERN,
            refusals=_OF_A_PROPOSAL | {Code.NOT_PROPOSER},
            reads=_withdraw,
        ),
    ),
)

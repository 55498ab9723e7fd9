"""Proposals and votes: who is admitted, suspended, retired, and by how many."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.membership.governance import proposal_id
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
    PROPOSALS_OF_ONE_MAX,
    ProposalRow,
    ProposalState,
    decode_governance,
    decode_proposal,
)
from node.ledger.operations import Operation
from node.ledger.participants import ParticipantRow, decode_participant
from node.ledger.signing import public_key
from node.ledger.types import Role
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    MONTH,
    SECOND_BUREAU,
    SELLER,
    START,
    THIRD_BUREAU,
    World,
    issued,
    make_issue,
    make_red,
    number,
    opened,
)

NEWCOMER = "91440300MA5DM7AE0E"
KEY = public_key(b"n" * 32)
ADMIT = Admit(NEWCOMER, "Newcomer Ltd", (Role.ISSUER, Role.PAYER), KEY, b"x" * 32)
MONTH_MS = 30 * DAY


def proposing(action: Action, nonce: int = 0) -> Propose:
    return Propose(action, "because", nonce)


def proposed(world: World, action: Action, who: str = BUREAU, nonce: int = 0) -> bytes:
    op = proposing(action, nonce)
    world.ok(who, op)
    return proposal_id(who, op)


def carried(world: World, action: Action, nonce: int = 0) -> None:
    identity = proposed(world, action, nonce=nonce)
    world.ok(SECOND_BUREAU, Vote(identity, action.participant, True))
    assert proposal(world, identity).state is ProposalState.CARRIED


def proposal(world: World, identity: bytes) -> ProposalRow:
    return decode_proposal(world.store[Table.PROPOSAL, identity])


def participant(world: World, who: str) -> ParticipantRow:
    return decode_participant(world.store[Table.PARTICIPANT, who.encode()])


def test_a_participant_is_admitted_by_the_vote_that_reaches_the_threshold() -> None:
    world = opened()
    identity = proposed(world, ADMIT)
    assert (Table.PARTICIPANT, NEWCOMER.encode()) not in world.store
    early = world.transaction(NEWCOMER, [ops.LapseResponse(number(0))], key=KEY)
    assert world.block([early]).results[0].code is Code.UNKNOWN_AUTHOR
    world.ok(SECOND_BUREAU, Vote(identity, NEWCOMER, True))
    row = participant(world, NEWCOMER)
    assert (row.name, row.roles) == (ADMIT.name, ADMIT.roles)
    assert (row.signing_keys[0].key, row.sealing_keys[0].key) == (KEY, b"x" * 32)
    assert not row.head_bureau
    world.ok(
        BUREAU,
        AllotSegment(NEWCOMER, number(5_000), 10),
        GrantQuota(NEWCOMER, MONTH, 100_000, START, START + DAY),
    )
    issue = world.transaction(NEWCOMER, [make_issue(5_000)], key=KEY)
    assert world.block([issue]).results[0].code is Code.OK


def test_a_proposal_closes_once_the_threshold_is_out_of_reach() -> None:
    world = opened()
    identity = proposed(world, ADMIT)
    world.ok(SECOND_BUREAU, Vote(identity, NEWCOMER, False))
    assert proposal(world, identity).state is ProposalState.OPEN
    world.ok(THIRD_BUREAU, Vote(identity, NEWCOMER, False))
    row = proposal(world, identity)
    assert (row.state, row.decided_height) == (ProposalState.REJECTED, world.height)
    assert row.rejections == (SECOND_BUREAU, THIRD_BUREAU)
    assert decode_governance(world.store[Table.META, GOVERNANCE_KEY]).open == ()


def test_suspended_cannot_act_and_is_reinstated_retired_is_for_good() -> None:
    world = opened()
    carried(world, Suspend(SELLER))
    assert world.code(SELLER, make_issue(0)) is Code.AUTHOR_NOT_ACTIVE
    carried(world, Reinstate(SELLER))
    world.ok(SELLER, make_issue(0))
    carried(world, Retire(SELLER))
    assert world.code(SELLER, make_issue(1)) is Code.AUTHOR_NOT_ACTIVE
    assert world.code(BUREAU, proposing(Reinstate(SELLER), 1)) is Code.PARTICIPANT_STATE
    assert world.invoice(number(0)).issuer == SELLER


def test_roles_are_changed() -> None:
    world = opened()
    carried(world, ChangeRoles(SELLER, (Role.PAYER,)))
    assert world.code(SELLER, make_issue(0)) is Code.NOT_PERMITTED


def test_a_suspended_governor_does_not_count() -> None:
    world = opened()
    identity = proposed(world, ADMIT, THIRD_BUREAU)
    carried(world, Suspend(THIRD_BUREAU))
    assert world.code(THIRD_BUREAU, Vote(identity, NEWCOMER, True)) is Code.AUTHOR_NOT_ACTIVE
    world.ok(BUREAU, Vote(identity, NEWCOMER, True))
    assert proposal(world, identity).state is ProposalState.OPEN
    # Two are left, and two must agree.
    assert world.code(BUREAU, proposing(Suspend(SECOND_BUREAU))) is Code.BELOW_THRESHOLD
    assert world.code(BUREAU, proposing(Retire(BUREAU))) is Code.BELOW_THRESHOLD
    world.ok(SECOND_BUREAU, Vote(identity, NEWCOMER, True))
    assert proposal(world, identity).state is ProposalState.CARRIED


def test_the_deciding_vote_is_refused_when_the_action_no_longer_fits() -> None:
    world = opened()
    first, second = proposed(world, Suspend(SELLER)), proposed(world, Suspend(SELLER), nonce=1)
    world.ok(SECOND_BUREAU, Vote(first, SELLER, True))
    assert world.code(SECOND_BUREAU, Vote(second, SELLER, True)) is Code.PARTICIPANT_STATE
    assert proposal(world, second).approvals == (BUREAU,)
    world.ok(SECOND_BUREAU, Vote(second, SELLER, False))


def test_one_governor_of_one_decides_at_once() -> None:
    world = World(replace(opened().genesis, governors=(BUREAU,), threshold=1))
    identity = proposed(world, ADMIT)
    assert proposal(world, identity).state is ProposalState.CARRIED
    assert (Table.PARTICIPANT, NEWCOMER.encode()) in world.store


def test_open_proposals_are_bounded_and_expired_ones_make_room() -> None:
    world = opened()
    for nonce in range(PROPOSALS_OF_ONE_MAX):
        proposed(world, ADMIT, nonce=nonce)
    more = proposing(ADMIT, 99)
    assert world.code(BUREAU, more) is Code.TOO_MANY_PROPOSALS
    proposed(world, ADMIT, SECOND_BUREAU)
    world.later(MONTH_MS + 1)
    world.ok(BUREAU, more)


def test_a_vote_counts_up_to_the_term() -> None:
    world = opened()
    in_time, late = proposed(world, ADMIT), proposed(world, Suspend(SELLER))
    world.now = START + MONTH_MS
    world.ok(SECOND_BUREAU, Vote(in_time, NEWCOMER, True))
    world.later(1)
    assert world.code(SECOND_BUREAU, Vote(late, SELLER, True)) is Code.PROPOSAL_EXPIRED
    assert world.code(BUREAU, WithdrawProposal(late)) is Code.PROPOSAL_EXPIRED


_OPEN = proposing(ADMIT)
_IDENTITY = proposal_id(BUREAU, _OPEN)
_CLOSED = proposing(Suspend(BUYER))
_CLOSED_IDENTITY = proposal_id(BUREAU, _CLOSED)
_UNKNOWN = bytes(16)

REFUSALS: list[tuple[Code, str, Operation]] = [
    (Code.NOT_GOVERNOR, SELLER, proposing(ADMIT)),
    (Code.NOT_GOVERNOR, SELLER, Vote(_IDENTITY, NEWCOMER, True)),
    (Code.ALREADY_PROPOSED, BUREAU, _OPEN),
    (Code.ALREADY_PARTICIPANT, BUREAU, proposing(replace(ADMIT, participant=SELLER))),
    (
        Code.PARTICIPANT_ID_INVALID,
        BUREAU,
        proposing(replace(ADMIT, participant="91440300MA5DM7AE00")),
    ),
    (Code.ROLES_INVALID, BUREAU, proposing(replace(ADMIT, roles=(Role.PAYER, Role.ISSUER)))),
    (Code.ROLES_INVALID, BUREAU, proposing(ChangeRoles(SELLER, (Role.PAYER, Role.PAYER)))),
    (Code.UNKNOWN_PARTY, BUREAU, proposing(Suspend(NEWCOMER))),
    (Code.PARTICIPANT_STATE, BUREAU, proposing(Reinstate(SELLER))),
    (
        Code.PARTICIPANT_STATE,
        BUREAU,
        proposing(ChangeRoles(SELLER, (Role.ISSUER, Role.PAYER))),
    ),
    (Code.ALREADY_VOTED, BUREAU, Vote(_IDENTITY, NEWCOMER, False)),
    (Code.UNKNOWN_PROPOSAL, SECOND_BUREAU, Vote(_UNKNOWN, NEWCOMER, True)),
    (Code.UNKNOWN_PROPOSAL, SECOND_BUREAU, Vote(_IDENTITY, SELLER, True)),
    (Code.UNKNOWN_PROPOSAL, BUREAU, WithdrawProposal(_UNKNOWN)),
    (Code.NOT_PROPOSER, SECOND_BUREAU, WithdrawProposal(_IDENTITY)),
    (Code.PROPOSAL_CLOSED, SECOND_BUREAU, Vote(_CLOSED_IDENTITY, BUYER, True)),
    (Code.PROPOSAL_CLOSED, BUREAU, WithdrawProposal(_CLOSED_IDENTITY)),
]


@pytest.mark.parametrize(("code", "author", "operation"), REFUSALS)
def test_governance_is_refused(code: Code, author: str, operation: Operation) -> None:
    world = opened()
    world.ok(BUREAU, _OPEN, _CLOSED)
    world.ok(BUREAU, WithdrawProposal(_CLOSED_IDENTITY))
    assert proposal(world, _CLOSED_IDENTITY).state is ProposalState.WITHDRAWN
    assert world.code(author, operation) is code


# --- Red letters for who has retired ----------------------------------------------------------

BLUE = number(0)


def retired() -> World:
    """The seller has issued and retired; the bureau holds numbers."""
    world = issued()
    world.ok(BUREAU, AllotSegment(BUREAU, number(7_000), 10))
    carried(world, Retire(SELLER))
    return world


def for_seller(operation: ops.RetiredOperation) -> ops.ActForRetired:
    return ops.ActForRetired(SELLER, operation)


def test_the_bureau_issues_the_red_letters_of_a_retired_issuer() -> None:
    world = retired()
    used = world.quota().used
    world.ok(BUREAU, for_seller(ops.RequestRedLetter(BLUE, 1_130, 1)))
    world.ok(BUREAU, for_seller(make_red(7_000, BLUE, 0, net=1_000, tax=130)))
    red = world.invoice(number(7_000))
    assert (red.issuer, red.original) == (SELLER, BLUE)
    assert world.invoice(BLUE).credited == 1_130
    assert world.quota().used == used - 1_000
    assert [segment.used for segment in world.segments(BUREAU).segments] == [1]


def test_the_bureau_answers_the_buyers_form_for_a_retired_issuer() -> None:
    world = retired()
    world.ok(BUYER, ops.RequestRedLetter(BLUE, 113, 2), ops.RequestRedLetter(BLUE, 113, 2))
    world.ok(BUREAU, for_seller(ops.DenyRedLetter(BLUE, 1)))
    world.ok(BUREAU, for_seller(ops.ConfirmRedLetter(BLUE, 0)))
    world.ok(BUREAU, for_seller(make_red(7_001, BLUE, 0, net=100, tax=13)))
    assert world.invoice(BLUE).credited == 113


def _rival_retired() -> World:
    world = retired()
    carried(world, Retire(BUYER))
    return world


RETIRED_REFUSALS: list[tuple[Code, Callable[[], World], str, ops.ActForRetired]] = [
    (Code.NOT_BUREAU, retired, BUYER, for_seller(ops.RequestRedLetter(BLUE, 1_130, 1))),
    (
        Code.UNKNOWN_PARTY,
        retired,
        BUREAU,
        ops.ActForRetired(NEWCOMER, ops.RequestRedLetter(BLUE, 1_130, 1)),
    ),
    (Code.PARTICIPANT_STATE, issued, BUREAU, for_seller(ops.RequestRedLetter(BLUE, 1_130, 1))),
    (
        Code.WRONG_PARTY,
        _rival_retired,
        BUREAU,
        ops.ActForRetired(BUYER, ops.RequestRedLetter(BLUE, 1_130, 1)),
    ),
    (
        Code.UNKNOWN_INVOICE,
        retired,
        BUREAU,
        for_seller(ops.RequestRedLetter(number(5), 1_130, 1)),
    ),
]


@pytest.mark.parametrize(("code", "setup", "author", "operation"), RETIRED_REFUSALS)
def test_acting_for_a_retired_issuer_is_refused(
    code: Code, setup: Callable[[], World], author: str, operation: ops.ActForRetired
) -> None:
    assert setup().code(author, operation) is code


def test_the_bureau_draws_from_its_own_segment_only() -> None:
    world = retired()
    world.ok(BUREAU, for_seller(ops.RequestRedLetter(BLUE, 1_130, 1)))
    red = for_seller(make_red(1, BLUE, 0, net=1_000, tax=130))
    assert world.code(BUREAU, red) is Code.NUMBER_NOT_ALLOTTED


def test_a_segment_of_the_bureau_does_not_let_it_issue() -> None:
    world = retired()
    assert world.code(BUREAU, make_issue(7_000)) is Code.NOT_PERMITTED


def test_issuing_is_suspended_and_resumed_by_the_bureau() -> None:
    world = issued()
    cases: list[tuple[Code, str, Operation]] = [
        (Code.NOT_BUREAU, SELLER, SuspendIssuing(SELLER, "c")),
        (Code.UNKNOWN_PARTY, BUREAU, SuspendIssuing(NEWCOMER, "c")),
        (Code.NOT_PERMITTED, BUREAU, SuspendIssuing(BUYER, "c")),
        (Code.ISSUING_STATE, BUREAU, ResumeIssuing(SELLER, "c")),
        (Code.OK, BUREAU, SuspendIssuing(SELLER, "case 7")),
        (Code.ISSUING_STATE, BUREAU, SuspendIssuing(SELLER, "c")),
        (Code.ISSUING_SUSPENDED, SELLER, make_issue(1)),
        (Code.OK, SELLER, ops.RequestRedLetter(BLUE, 1_130, 1)),
        (Code.OK, SELLER, make_red(1, BLUE, 0, net=1_000, tax=130)),
        (Code.OK, BUREAU, ResumeIssuing(SELLER, "case 7")),
        (Code.OK, SELLER, make_issue(2)),
    ]
    for code, author, operation in cases:
        assert world.code(author, operation) is code, operation
    assert participant(world, SELLER).issuing_case == "case 7"

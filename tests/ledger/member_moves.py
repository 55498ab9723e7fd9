"""Operations on who takes part, for random histories: keys, proposals, regions, retired issuers.

`MemberMoves.make` turns a kind and two drawn numbers into an operation and the party it is most
likely for, as `Moves.make` does for invoices. `check_members` says what must hold of their rows.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable

from node.ledger.codes import Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import (
    AllotRegion,
    AllotSegment,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.bureau.region_rows import decode_region
from node.ledger.invoices.bureau.register_rows import decode_allotment
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, LiftHold
from node.ledger.invoices.holds.rows import decode_hold, hold_key
from node.ledger.invoices.rows import FormState, InvoiceRow
from node.ledger.invoices.terms import InvoicesTerms
from node.ledger.membership import operations as ms
from node.ledger.membership.keys import possession_message
from node.ledger.membership.rows import (
    GOVERNANCE_KEY,
    GovernanceRow,
    ProposalRow,
    ProposalState,
    decode_governance,
    decode_proposal,
)
from node.ledger.operations import DirectOperation
from node.ledger.participants import (
    ALL_SCOPES,
    NO_END,
    ParticipantRow,
    ParticipantState,
    Scope,
    decode_participant,
)
from node.ledger.signing import public_key, sign
from node.ledger.types import Role
from tests.ledger.moves import BUREAUS, ISSUERS, SEGMENT, Draw, Move, group_left, invoices
from tests.ledger.world import (
    BUREAU,
    HOUR,
    PARTICIPANTS,
    THIRD_ISSUER,
    THIRD_PAYMASTER,
    World,
    key_of,
    make_red,
    number,
)

NEWCOMERS = ("91440300MA5DM7AE0E", "91440300MA5DN7AE06", "91440300MA5DP7AE0X")
BUREAU_SERIAL = len(ISSUERS) * SEGMENT
"""First serial of the bureau's own segment; regions follow it."""
_RETIRING = (THIRD_ISSUER, THIRD_PAYMASTER, *NEWCOMERS)
"""Who may retire: the others carry the history on."""

MEMBER_KINDS = (
    *("add_key", "rotate_key", "revoke_key", "propose", "vote", "vote", "vote", "withdraw"),
    *("region", "region_segment", "suspend_issuing", "resume_issuing", "resume_issuing"),
    *("hold", "lift_hold", "appeal_hold"),
    *("bureau_segment", "retired_request", "retired_issue"),
)


class MemberMoves:
    """Makes operations for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.made = 0
        self.serial = BUREAU_SERIAL

    def make(self, kind: str, draw: Draw) -> Move:
        """An operation of this kind."""
        makers: dict[str, Callable[[Draw], Move]] = {
            "add_key": self._add_key,
            "rotate_key": self._rotate_key,
            "revoke_key": self._revoke_key,
            "propose": self._propose,
            "vote": self._vote,
            "withdraw": self._withdraw,
            "region": self._region,
            "region_segment": self._region_segment,
            "suspend_issuing": lambda draw: self._issuing(SuspendIssuing, draw),
            "resume_issuing": lambda draw: self._issuing(ResumeIssuing, draw),
            "hold": self._hold,
            "lift_hold": self._lift_hold,
            "appeal_hold": self._appeal_hold,
            "bureau_segment": lambda _: (
                BUREAU,
                AllotSegment(BUREAU, number(BUREAU_SERIAL), SEGMENT),
            ),
            "retired_request": self._retired_request,
            "retired_issue": self._retired_issue,
        }
        return makers[kind](draw)

    # --- Keys ---

    def _add_key(self, draw: Draw) -> Move:
        who, (a, b) = self._anyone(draw), draw
        if b % 4 == 0:
            key = hashlib.sha256(b"%d" % a).digest()
            return who, ms.AddKey(ms.KeyKind.SEALING, key, 0, self._end(b), b"")
        key, proof = self._new_key(who)
        scope = ALL_SCOPES if b % 3 else 1 + a % ALL_SCOPES
        return who, ms.AddKey(ms.KeyKind.SIGNING, key, scope, self._end(b), proof)

    def _rotate_key(self, draw: Draw) -> Move:
        who, (a, b) = self._anyone(draw), draw
        old = self._some_key(who, a)
        key, proof = self._new_key(who)
        until = self.world.height + 1 + b % 20
        return who, ms.RotateKey(ms.KeyKind.SIGNING, old, key, until, proof)

    def _revoke_key(self, draw: Draw) -> Move:
        who, (a, _) = self._anyone(draw), draw
        return who, ms.RevokeKey(ms.KeyKind.SIGNING, self._some_key(who, a))

    def _new_key(self, who: str) -> tuple[bytes, bytes]:
        self.made += 1
        seed = hashlib.sha256(f"{who} {self.made}".encode()).digest()
        key = public_key(seed)
        self.world.seeds[key] = seed
        return key, sign(seed, possession_message(self.world.network_id, who, key))

    def _some_key(self, who: str, a: int) -> bytes:
        row = participants(self.world).get(who)
        return key_of(who) if row is None else row.signing_keys[a % len(row.signing_keys)].key

    def _end(self, b: int) -> int:
        return NO_END if b % 2 else self.world.height + 1 + b % 50

    # --- Governance ---

    def _propose(self, draw: Draw) -> Move:
        who, (a, b) = BUREAUS[b_of(draw) % 3], draw
        newcomer = NEWCOMERS[a % 3]
        suspended = [
            row.id
            for row in participants(self.world).values()
            if row.state is ParticipantState.SUSPENDED
        ]
        actions: tuple[ms.Action, ...] = (
            ms.Admit(
                newcomer,
                "newcomer",
                (Role.ISSUER, Role.PAYER) if a % 3 == 2 else (Role.TAX_BUREAU,),
                key_of(newcomer),
                key_of(newcomer),
            ),
            ms.Suspend(self._anyone(draw)),
            ms.Reinstate(suspended[a % len(suspended)] if suspended else newcomer),
            ms.Reinstate(suspended[-1] if suspended else newcomer),
            ms.Retire(_RETIRING[b % len(_RETIRING)]),
            ms.ChangeRoles(newcomer, (Role.TAX_BUREAU, Role.PAYER)),
        )
        return who, ms.Propose(actions[a % len(actions)], "why", self.made + b % 3)

    def _vote(self, draw: Draw) -> Move:
        who, (a, b) = BUREAUS[b_of(draw) % 3], draw
        row = self._proposal(a)
        if row is None:
            return self._propose(draw)
        return who, ms.Vote(row.id, row.action.participant, b % 5 != 0)

    def _withdraw(self, draw: Draw) -> Move:
        row = self._proposal(draw[0])
        if row is None:
            return self._propose(draw)
        return row.proposer, ms.WithdrawProposal(row.id)

    def _proposal(self, a: int) -> ProposalRow | None:
        rows = proposals(self.world)
        rows = [row for row in rows if row.state is ProposalState.OPEN] or rows
        return rows[a % len(rows)] if rows else None

    # --- The bureau ---

    def _region(self, draw: Draw) -> Move:
        a, b = draw
        first = BUREAU_SERIAL + SEGMENT + a % 500
        return BUREAUS[b % 3], AllotRegion(NEWCOMERS[a % 2], number(first), 1 + b % 60)

    def _region_segment(self, draw: Draw) -> Move:
        a, b = draw
        first = BUREAU_SERIAL + SEGMENT + a % 500
        who = (*NEWCOMERS, BUREAU)[b % 4]
        return who, AllotSegment(ISSUERS[a % 3], number(first), 1 + b % 20)

    def _issuing(self, make: Callable[[str, str], DirectOperation], draw: Draw) -> Move:
        return BUREAUS[draw[1] % 3], make(ISSUERS[draw[0] % 3], "case")

    def _hold(self, draw: Draw) -> Move:
        a, b = draw
        cause = hashlib.sha256(b"cause %d" % a).digest()
        until = self.world.now + (1 + b % 80) * HOUR
        hold = HoldIssuing(ISSUERS[a % 3], f"case {b % 40}", cause, until, ())
        return BUREAUS[b % 3], hold

    def _lift_hold(self, draw: Draw) -> Move:
        issuer = ISSUERS[draw[0] % 3]
        return BUREAUS[draw[1] % 3], LiftHold(issuer, self._reference(issuer))

    def _appeal_hold(self, draw: Draw) -> Move:
        issuer = ISSUERS[draw[0] % 3]
        grounds = hashlib.sha256(b"grounds %d" % draw[1]).digest()
        return issuer, AppealHold(self._reference(issuer), grounds, ())

    def _reference(self, issuer: str) -> str:
        value = self.world.store.get((Table.HOLD, hold_key(issuer)))
        return "none" if value is None else decode_hold(value).reference

    def _retired_request(self, draw: Draw) -> Move:
        row = self._blue(draw)
        amount = 1 + draw[1] % row.gross
        return BUREAU, ops.ActForRetired(row.issuer, ops.RequestRedLetter(row.number, amount, 2))

    def _retired_issue(self, draw: Draw) -> Move:
        row = self._blue(draw)
        waiting = [form for form in row.forms if form.state is not FormState.ISSUED]
        form = waiting[draw[1] % len(waiting)] if waiting else None
        if (
            form is not None
            and self.world.now - form.since
            > self.world.genesis.terms.of(InvoicesTerms).red_issue_ms
        ):
            gone = ops.WithdrawRedLetter(row.number, form.id)
            return BUREAU, ops.ActForRetired(row.issuer, gone)
        groups, net, tax = group_left(row, form.amount if form else 1)
        groups = groups or (ops.RateGroup(600, 1, 0, 1),)
        self.serial += 1
        red = make_red(
            self.serial, row.number, form.id if form else 0, net=net, tax=tax, groups=groups
        )
        return BUREAU, ops.ActForRetired(row.issuer, red)

    def _blue(self, draw: Draw) -> InvoiceRow:
        """An invoice, of an issuer that has retired if there is one."""
        blues = [row for row in invoices(self.world).values() if not row.red]
        rows = participants(self.world)
        retired = [
            row for row in blues if rows[row.issuer].state is ParticipantState.RETIRED
        ] or blues
        return retired[draw[0] % len(retired)]

    def _anyone(self, draw: Draw) -> str:
        return (*PARTICIPANTS, *NEWCOMERS)[draw[0] % (len(PARTICIPANTS) + len(NEWCOMERS))]


def b_of(draw: Draw) -> int:
    """The second number, without what the first is used for."""
    return draw[1] // 7


# --- What must hold ---------------------------------------------------------------------------


def participants(world: World) -> dict[str, ParticipantRow]:
    """Every participant of the state, by its id."""
    return {
        key.decode(): decode_participant(value)
        for (table, key), value in world.store.items()
        if table is Table.PARTICIPANT
    }


def proposals(world: World) -> list[ProposalRow]:
    """Every proposal of the state."""
    return [
        decode_proposal(value)
        for (table, _), value in world.store.items()
        if table is Table.PROPOSAL
    ]


def check_members(world: World) -> None:
    """Nobody is locked out, governors can decide, and ranges do not overlap."""
    rows = participants(world)
    height = world.height + 1
    for row in rows.values():
        assert len(row.signing_keys) <= ms.SIGNING_KEYS_MAX
        assert len(row.sealing_keys) <= ms.SIGNING_KEYS_MAX
        assert any(
            key.lives(height) and key.not_after == NO_END and key.scope & Scope.KEYS
            for key in row.signing_keys
        )
        assert any(key.lives(height) and key.not_after == NO_END for key in row.sealing_keys)
    governance: GovernanceRow = decode_governance(world.store[Table.META, GOVERNANCE_KEY])
    for governor in governance.governors:
        assert governor.active is (rows[governor.id].state is ParticipantState.ACTIVE)
    assert len(governance.voters) >= governance.threshold
    running = {entry.proposal for entry in governance.open}
    for proposal in proposals(world):
        waits = proposal.state is ProposalState.OPEN and world.now <= proposal.expires
        assert not waits or proposal.id in running
        assert proposal.state is ProposalState.OPEN or proposal.id not in running
        assert not set(proposal.approvals) & set(proposal.rejections)
    _check_ranges(world)


def _check_ranges(world: World) -> None:
    regions, segments = (
        sorted(
            (row.first, row.last)
            for row in (
                decode(value)
                for (table, key), value in world.store.items()
                if table is where and key.startswith(b"n")
            )
        )
        for where, decode in ((Table.REGION, decode_region), (Table.SEGMENTS, decode_allotment))
    )
    for ranges in (regions, segments):
        for (_, last), (first, _) in itertools.pairwise(ranges):
            assert last < first
    for first, last in segments:
        over = [r for r in regions if r[0] <= last and first <= r[1]]
        assert over == [] or (len(over) == 1 and over[0][0] <= first and last <= over[0][1])

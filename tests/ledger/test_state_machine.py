"""Every operation in any order: invariant, conservation, all-or-none, after each step.

`World` checks the invariant of each changed invoice and that no rule reads past the footprint.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from node.ledger.codes import Code, Table
from node.ledger.digest import StateDigest
from node.ledger.invoices.rows import (
    Document,
    InvoiceRow,
    Response,
    decode_invoice,
    decode_payment,
    encode_invoice,
    payment_key,
)
from node.ledger.operations import DirectOperation
from node.ledger.state import RowChange
from tests.ledger.member_moves import (
    BUREAU_SERIAL,
    MEMBER_KINDS,
    MemberMoves,
    check_members,
)
from tests.ledger.moves import ISSUERS, KINDS, SEED, Draw, Moves, invoices, opening
from tests.ledger.world import (
    BUREAU,
    DAY,
    HOUR,
    MONTH,
    PARTICIPANTS,
    START,
    STRANGER,
    World,
    number,
)

INVOICES = 5
_LEAFLESS = {Code.AUTHOR_NOT_ACTIVE, Code.UNKNOWN_AUTHOR}
"""Suspended or retired, or not admitted yet."""
_SAID = frozenset(Response) - {Response.NONE, Response.RECEIVED, Response.DISPUTED}


class Ledger(RuleBasedStateMachine):
    """Steps are transactions of one or two operations, or a jump in time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.moves = Moves(self.world)
        self.members = MemberMoves(self.world)
        self.before: dict[str, InvoiceRow] = {}
        self.applied = 0

    @initialize(quota=st.sampled_from([3_000, 40_000]), lines=st.integers(1, 2))
    def open_registers(self, quota: int, lines: int) -> None:
        for who, operation in opening(quota):
            self.world.ok(who, operation)
        for place in range(lines):
            self.world.ok(*self.moves.issue((place, place)))

    # --- Steps ---

    draws = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))

    @rule(draw=draws)
    def issue(self, draw: Draw) -> None:
        if sum(self.moves.serials.values()) < INVOICES:
            self._apply(*self.moves.issue(draw))

    @rule(kind=st.sampled_from(KINDS), place=st.integers(0, INVOICES), draw=draws)
    def operate(self, kind: str, place: int, draw: Draw) -> None:
        self._apply(*self.moves.make(kind, self._blue(place), draw))

    @rule(place=st.integers(0, 1), draw=draws, choice=st.integers(0, 1_000))
    def go_on(self, place: int, draw: Draw, choice: int) -> None:
        """An operation that the invoice's state suggests, so that long lives are reached."""
        row = self._blue(place)
        kinds = self.moves.suggested(row)
        self._apply(*self.moves.make(kinds[choice % len(kinds)], row, draw))

    @rule(
        place=st.integers(0, 1),
        steps=st.lists(st.tuples(draws, st.integers(0, 1_000)), min_size=3, max_size=12),
    )
    def live_on(self, place: int, steps: list[tuple[Draw, int]]) -> None:
        """A stretch of one invoice's life."""
        for draw, choice in steps:
            self.go_on(place, draw, choice)
            self.value_is_conserved()
            self.nothing_is_taken_back()

    @rule(
        kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
        place=st.integers(0, INVOICES),
        draw=draws,
    )
    def operate_twice(self, kinds: tuple[str, str], place: int, draw: Draw) -> None:
        row = self._blue(place)
        who, first = self.moves.make(kinds[0], row, draw)
        _, second = self.moves.make(kinds[1], row, draw)
        self._apply(who, first, second)

    @rule(
        kind=st.sampled_from(KINDS),
        place=st.integers(0, INVOICES),
        draw=draws,
        who=st.sampled_from(PARTICIPANTS),
    )
    def operate_as_anyone(self, kind: str, place: int, draw: Draw, who: str) -> None:
        _, operation = self.moves.make(kind, self._blue(place), draw)
        self._apply(who, operation)

    @rule(kinds=st.lists(st.sampled_from(MEMBER_KINDS), min_size=1, max_size=6), draw=draws)
    def change_members(self, kinds: list[str], draw: Draw) -> None:
        for place, kind in enumerate(kinds):
            self._apply(*self.members.make(kind, (draw[0] + place, draw[1] + 11 * place)))
            check_members(self.world)

    @rule(hours=st.sampled_from([1, 1, 5, 24, 73, 16 * 24, 31 * 24]))
    def wait(self, hours: int) -> None:
        self.world.later(hours * HOUR)

    def _blue(self, place: int) -> InvoiceRow:
        blues = [row for row in invoices(self.world).values() if not row.red]
        return blues[place % len(blues)]

    def _apply(self, who: str, *operations: DirectOperation) -> None:
        world = self.world
        stored = dict(world.store)
        if len(who) == 64:
            carried, _ = world.by_key(SEED, STRANGER, operations[0])
            result = world.block([carried]).results[0]
        else:
            result = world.run(who, *operations)
        assert result.leaf or result.code in _LEAFLESS
        if result.code is Code.OK:
            self.applied += 1
            return
        refused = dict(world.store)
        for rows in (stored, refused):
            for place in [place for place in rows if place[0] is Table.TXID]:
                del rows[place]
        assert refused == stored

    # --- What must hold ---

    @invariant()
    def value_is_conserved(self) -> None:
        rows = invoices(self.world)
        reds = [row for row in rows.values() if row.red]
        for row in rows.values():
            if row.red:
                continue
            own = [red for red in reds if red.original == row.number]
            assert row.credited == sum(red.gross for red in own)
            for group in row.groups:
                parts = [g for red in own for g in red.groups if g.rate == group.rate]
                assert group.credited_net == sum(g.net for g in parts)
                assert group.credited_tax == sum(g.tax for g in parts)
            if row.document is not Document.CANCELLED:
                taken = row.credited + row.red_reserved + row.locked + row.reimbursed
                assert row.available + taken == row.gross

    @invariant()
    def money_attested_is_paid_or_owed_back(self) -> None:
        attested: dict[str, int] = {}
        for (table, key), value in self.world.store.items():
            if table is Table.PAYMENT:
                payment = decode_payment(value)
                if key == payment_key(payment.invoice, payment.reference):
                    before = attested.get(payment.invoice, 0)
                    attested[payment.invoice] = before + payment.amount
        for row in invoices(self.world).values():
            assert row.paid + row.payment_refund_due == attested.get(row.number, 0)

    @invariant()
    def quota_and_numbers_are_conserved(self) -> None:
        rows = invoices(self.world)
        for issuer in ISSUERS:
            own = [row for row in rows.values() if row.issuer == issuer]
            for month, first, last in (
                (MONTH, START, START + 30 * DAY),
                (MONTH + 1, START + 30 * DAY, START + 61 * DAY),
            ):
                charged = sum(
                    -row.quota if row.red else row.quota
                    for row in own
                    if first <= row.issued_at < last and row.document is not Document.CANCELLED
                )
                if (Table.QUOTA, f"{issuer}{month}".encode()) in self.world.store:
                    assert self.world.quota(issuer, month).used == charged
            drawn = [row for row in own if row.number < number(BUREAU_SERIAL)]
            if drawn:
                assert sum(s.used for s in self.world.segments(issuer).segments) == len(drawn)
        by_bureau = [row for row in rows.values() if row.number >= number(BUREAU_SERIAL)]
        assert all(row.red for row in by_bureau)
        if by_bureau:
            used = sum(s.used for s in self.world.segments(BUREAU).segments)
            assert used == len(by_bureau)

    @invariant()
    def nothing_is_taken_back(self) -> None:
        rows = invoices(self.world)
        for key, old in self.before.items():
            new = rows[key]
            assert new.credited >= old.credited
            assert new.refund_due >= old.refund_due
            assert new.reimbursed + new.refund_due >= old.reimbursed + old.refund_due
            assert new.document >= old.document
            if old.response in _SAID:
                assert (new.response, new.accepted) == (old.response, old.accepted)
            if old.frozen and new.frozen:
                assert (new.holder, new.reimbursed) == (old.holder, old.reimbursed)
                assert new.locked <= old.locked
            if old.red:
                assert new == old
        self.before = rows

    @override
    def teardown(self) -> None:
        rows = [RowChange(t, k, None, v) for (t, k), v in self.world.store.items()]
        assert StateDigest().apply(rows) == self.world.digest
        for row in invoices(self.world).values():
            assert decode_invoice(encode_invoice(row)) == row


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=140,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
"""140 histories: more than 10,000 transactions a run."""

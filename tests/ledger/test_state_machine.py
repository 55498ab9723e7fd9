"""Every operation in any order: invariant, conservation, all-or-none, after each step.

`World` checks the invariant of each changed invoice and that no rule reads past the footprint.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from node.ledger import operations as ops
from node.ledger.codes import Code
from node.ledger.digest import StateDigest
from node.ledger.rows import Document, FormState, InvoiceRow, decode_invoice, encode_row
from node.ledger.signing import public_key
from node.ledger.types import Table
from node.ledger.view import RowChange
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    MONTH,
    OTHER_PAYMASTER,
    PARTICIPANTS,
    PAYMASTER,
    SELLER,
    START,
    STRANGER,
    World,
    make_issue,
    make_red,
    number,
)

SEED = bytes(range(32))
BARE = public_key(SEED).hex()
PARTIES = (BUYER, STRANGER, PAYMASTER, BARE)
INVOICES = 5

KINDS = (
    *("offer", "sign", "refuse", "withdraw", "submit", "submit", "claim", "claim", "release"),
    *("reimburse", "book", "unbook", "cancel", "red", "red", "confirm", "deny", "red_withdraw"),
    *("lapse", "consent", "consent", "issue_red", "issue_red"),
)
"""What an operation's maker is called by; the rarer successes appear twice."""

Draw = tuple[int, int]
"""Two numbers that an operation's makers use as they like."""


def _group_left(row: InvoiceRow, amount: int) -> tuple[tuple[ops.RateGroup, ...], int, int]:
    """Rate groups for a red letter of `amount` gross, taken from the groups in order."""
    groups: list[ops.RateGroup] = []
    for group in row.groups:
        net_left, tax_left = group.net - group.credited_net, group.tax - group.credited_tax
        part = min(amount, net_left + tax_left)
        if not part:
            continue
        tax = min(tax_left, part * group.rate // (10_000 + group.rate))
        net = min(net_left, part - tax)
        groups.append(ops.RateGroup(group.rate, net, part - net, 5))
        amount -= part
    return tuple(groups), sum(g.net for g in groups), sum(g.tax for g in groups)


class Ledger(RuleBasedStateMachine):
    """Steps are transactions of one or two operations, or a jump in time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.serial = 0
        self.before: dict[str, InvoiceRow] = {}
        self.applied = 0

    @initialize(quota=st.sampled_from([3_000, 40_000]), lines=st.integers(1, 2))
    def open_registers(self, quota: int, lines: int) -> None:
        self.world.ok(
            BUREAU,
            ops.AllotSegment(SELLER, number(0), 1_000),
            ops.GrantQuota(SELLER, MONTH, quota, START, START + 30 * DAY),
            ops.GrantQuota(SELLER, MONTH + 1, quota, START, START + 61 * DAY),
            ops.PublishExchangeRate("USD", 7_150_500, "2026-08-31"),
        )
        for _ in range(lines):
            self.world.ok(SELLER, self._issue((self.serial, self.serial)))

    # --- Makers: an operation and the party that it is most likely for ---

    def _next(self) -> int:
        self.serial += 1
        return self.serial

    def _issue(self, draw: Draw) -> ops.IssueInvoice:
        first, second = 100 + draw[0] % 900, draw[1] % 500
        groups = [ops.RateGroup(600, first, (first * 600 + 5_000) // 10_000, 1)]
        if second:
            groups.append(ops.RateGroup(1300, second, (second * 1300 + 5_000) // 10_000, 1))
        net, tax = sum(g.net for g in groups), sum(g.tax for g in groups)
        return make_issue(
            self._next(),
            buyer=(BUYER, BARE, SELLER)[draw[1] % 3],
            groups=tuple(groups),
            net=net,
            tax=tax,
            gross=net + tax,
            currency=("CNY", "USD")[draw[0] % 2],
        )

    def _make(self, kind: str, row: InvoiceRow, draw: Draw) -> tuple[str, ops.DirectOperation]:
        blue, (a, b) = row.number, draw
        amount = 1 + a % max(1, row.gross if b % 4 == 0 else row.available)
        payer = (PAYMASTER, OTHER_PAYMASTER)[b % 2]
        waiting = [s for s in row.submissions if s.left]
        claimant, most = (waiting[0].to, waiting[0].left) if waiting else (payer, 1)
        live = [c for c in row.claims if c.locked] or row.claims
        claim = live[a % len(live)] if live else None
        pending = [f for f in row.forms if f.state is not FormState.ISSUED] or row.forms
        form = pending[b % len(pending)] if pending else None
        claim_id, claimer = (claim.id, claim.owner) if claim else (b % 3, payer)
        form_id = form.id if form else 0
        asked, other = (row.issuer, row.buyer) if form and form.by_issuer else (row.buyer, SELLER)
        offered = row.offer.to if row.offer else STRANGER
        makers: dict[str, Callable[[], tuple[str, ops.DirectOperation]]] = {
            "offer": lambda: (
                row.holder,
                ops.OfferInvoice(blue, PARTIES[a % 4], self.world.now + HOUR),
            ),
            "sign": lambda: (offered, ops.SignOffer(blue)),
            "refuse": lambda: (offered, ops.RefuseOffer(blue)),
            "withdraw": lambda: (row.holder, ops.WithdrawOffer(blue)),
            "submit": lambda: (row.holder, ops.SubmitInvoice(blue, payer, amount)),
            "claim": lambda: (
                claimant,
                ops.ClaimInvoice(blue, min(most, amount) if b % 3 else amount),
            ),
            "release": lambda: (claimer, ops.ReleaseClaim(blue, claim_id)),
            "reimburse": lambda: (
                claimer,
                ops.ReimburseClaim(
                    blue, claim_id, 1 + a % max(1, claim.locked if claim else 1), "b", "p"
                ),
            ),
            "book": lambda: ((row.buyer, claimer)[b % 2], ops.BookInvoice(blue, "book")),
            "unbook": lambda: ((row.buyer, claimer)[b % 2], ops.UnbookInvoice(blue, "why")),
            "cancel": lambda: (SELLER, ops.CancelInvoice(blue, "")),
            "red": lambda: (
                (SELLER, row.buyer)[b % 2],
                ops.RequestRedLetter(
                    blue, row.gross if a % 3 == 0 else 1 + a % row.gross, 1 + b % 4
                ),
            ),
            "confirm": lambda: (other, ops.ConfirmRedLetter(blue, form_id)),
            "deny": lambda: (other, ops.DenyRedLetter(blue, form_id)),
            "red_withdraw": lambda: (asked, ops.WithdrawRedLetter(blue, form_id)),
            "lapse": lambda: (STRANGER, ops.LapseRedLetter(blue, form_id)),
            "consent": lambda: (
                claimer,
                ops.ConsentRedLetter(
                    blue,
                    form_id,
                    claim_id,
                    claim.locked if claim else 1,
                    claim.reimbursed if claim else 0,
                ),
            ),
            "issue_red": lambda: (SELLER, self._red(row, form_id, form.amount if form else 1)),
        }
        return makers[kind]()

    def _red(self, row: InvoiceRow, form: int, amount: int) -> ops.IssueRedLetter:
        groups, net, tax = _group_left(row, amount)
        groups = groups or (ops.RateGroup(600, 1, 0, 1),)
        return make_red(self._next(), row.number, form, net=net, tax=tax, groups=groups)

    # --- Steps ---

    draws = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))

    @rule(draw=draws)
    def issue(self, draw: Draw) -> None:
        if self.serial < INVOICES:
            self._apply(SELLER, self._issue(draw))

    @rule(kind=st.sampled_from(KINDS), place=st.integers(0, INVOICES), draw=draws)
    def operate(self, kind: str, place: int, draw: Draw) -> None:
        who, operation = self._make(kind, self._blue(place), draw)
        self._apply(who, operation)

    @rule(place=st.integers(0, 1), draw=draws, choice=st.integers(0, 1_000))
    def go_on(self, place: int, draw: Draw, choice: int) -> None:
        """An operation that the invoice's state suggests, so that long lives are reached."""
        row = self._blue(place)
        kinds = ["submit", "red", "offer", "book", "unbook"]
        if row.open_offer(self.world.now):
            kinds = ["sign", "sign", "refuse", "withdraw", "red"]
        elif any(s.left for s in row.submissions) and row.available:
            kinds += ["claim"] * 4
        if row.locked:
            kinds += ["reimburse", "reimburse", "release"]
        for form in row.forms:
            if form.state is FormState.REQUESTED:
                kinds += ["confirm", "confirm", "deny", "consent"]
            elif form.state is FormState.CONFIRMED:
                kinds += ["issue_red", "issue_red", "consent", "consent", "red_withdraw", "lapse"]
        who, operation = self._make(kinds[choice % len(kinds)], row, draw)
        self._apply(who, operation)

    @rule(
        kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
        place=st.integers(0, INVOICES),
        draw=draws,
    )
    def operate_twice(self, kinds: tuple[str, str], place: int, draw: Draw) -> None:
        row = self._blue(place)
        who, first = self._make(kinds[0], row, draw)
        _, second = self._make(kinds[1], row, draw)
        self._apply(who, first, second)

    @rule(
        kind=st.sampled_from(KINDS),
        place=st.integers(0, INVOICES),
        draw=draws,
        who=st.sampled_from(PARTICIPANTS),
    )
    def operate_as_anyone(self, kind: str, place: int, draw: Draw, who: str) -> None:
        _, operation = self._make(kind, self._blue(place), draw)
        self._apply(who, operation)

    @rule(hours=st.sampled_from([1, 1, 5, 24, 73, 31 * 24]))
    def wait(self, hours: int) -> None:
        self.world.later(hours * HOUR)

    def _blue(self, place: int) -> InvoiceRow:
        blues = [row for row in self._invoices().values() if not row.red]
        return blues[place % len(blues)]

    def _apply(self, who: str, *operations: ops.DirectOperation) -> None:
        world = self.world
        stored = dict(world.store)
        if len(who) == 64:
            carried, _ = world.by_key(SEED, STRANGER, operations[0])
            result = world.block([carried]).results[0]
        else:
            result = world.run(who, *operations)
        assert result.leaf
        if result.code is Code.OK:
            self.applied += 1
            return
        refused = dict(world.store)
        for rows in (stored, refused):
            for place in [place for place in rows if place[0] is Table.TXID]:
                del rows[place]
        assert refused == stored

    def _invoices(self) -> dict[str, InvoiceRow]:
        return {
            key.decode(): decode_invoice(value)
            for (table, key), value in self.world.store.items()
            if table is Table.INVOICE
        }

    # --- What must hold ---

    @invariant()
    def value_is_conserved(self) -> None:
        rows = self._invoices()
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
        for month, first, last in (
            (MONTH, START, START + 30 * DAY),
            (MONTH + 1, START + 30 * DAY, START + 61 * DAY),
        ):
            charged = sum(
                -row.quota if row.red else row.quota
                for row in rows.values()
                if first <= row.issued_at < last and row.document is not Document.CANCELLED
            )
            if (Table.QUOTA, f"{SELLER}{month}".encode()) in self.world.store:
                assert self.world.quota(SELLER, month).used == charged
        if rows:
            assert sum(s.used for s in self.world.segments().segments) == len(rows)

    @invariant()
    def nothing_is_taken_back(self) -> None:
        rows = self._invoices()
        for key, old in self.before.items():
            new = rows[key]
            assert new.credited >= old.credited
            assert new.refund_due >= old.refund_due
            assert new.reimbursed + new.refund_due >= old.reimbursed + old.refund_due
            assert new.document >= old.document
            if old.red or old.document is Document.CANCELLED:
                assert new == old
        self.before = rows

    @override
    def teardown(self) -> None:
        rows = [RowChange(t, k, None, v) for (t, k), v in self.world.store.items()]
        assert StateDigest().apply(rows) == self.world.digest
        for row in self._invoices().values():
            assert decode_invoice(encode_row(row)) == row


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

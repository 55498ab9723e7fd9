"""Operations that an invoice's state suggests: the makers of random histories.

`Moves.make` turns a kind, an invoice and two drawn numbers into an operation and the party that it
is most likely for; `Moves.suggested` says which kinds fit an invoice, so that long lives are
reached. Neither judges: whether an operation is applied is the rules' work.
"""

from __future__ import annotations

from collections.abc import Callable

from node.ledger.codes import Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota, PublishExchangeRate
from node.ledger.invoices.rows import FormState, InvoiceRow, Response, decode_invoice
from node.ledger.operations import DirectOperation
from node.ledger.signing import public_key
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    MONTH,
    OTHER_PAYMASTER,
    PAYMASTER,
    RIVAL,
    SECOND_BUREAU,
    SELLER,
    START,
    STRANGER,
    THIRD_BUREAU,
    THIRD_ISSUER,
    THIRD_PAYMASTER,
    World,
    make_issue,
    make_red,
    number,
)

SEED = bytes(range(32))
"""Of the bare key that takes part."""
BARE = public_key(SEED).hex()
BUREAUS = (BUREAU, SECOND_BUREAU, THIRD_BUREAU)
ISSUERS = (SELLER, RIVAL, THIRD_ISSUER)
PAYERS = (BUYER, STRANGER, BARE)
REIMBURSERS = (PAYMASTER, OTHER_PAYMASTER, THIRD_PAYMASTER)
PARTIES = (*PAYERS, PAYMASTER)
"""Whom an invoice may be offered to."""
SEGMENT = 2_000
"""Numbers of each issuer, one segment after the other."""

KINDS = (
    *("offer", "sign", "refuse", "withdraw", "submit", "submit", "claim", "claim", "release"),
    *("reimburse", "book", "unbook", "cancel", "red", "red", "confirm", "deny", "red_withdraw"),
    *("red_lapse", "consent", "consent", "issue_red", "issue_red"),
    *("pay", "pay", "deduct", "undeduct"),
    *("respond", "respond", "lapse", "rule", "freeze", "unfreeze", "unfreeze"),
)
"""What an operation's maker is called by; the rarer successes appear twice."""

Draw = tuple[int, int]
"""Two numbers that an operation's makers use as they like."""
Move = tuple[str, DirectOperation]
"""A party and its operation."""


def opening(quota: int) -> list[Move]:
    """Numbers and two months' quota for every issuer, and a rate of exchange."""
    moves: list[Move] = []
    for place, (bureau, issuer) in enumerate(zip(BUREAUS, ISSUERS, strict=True)):
        moves += [
            (bureau, AllotSegment(issuer, number(place * SEGMENT), SEGMENT)),
            (bureau, GrantQuota(issuer, MONTH, quota, START, START + 30 * DAY)),
            (bureau, GrantQuota(issuer, MONTH + 1, quota, START, START + 61 * DAY)),
        ]
    return [*moves, (BUREAU, PublishExchangeRate("USD", 7_150_500, "2026-08-31"))]


def invoices(world: World) -> dict[str, InvoiceRow]:
    """Every invoice of the state, by its number."""
    return {
        key.decode(): decode_invoice(value)
        for (table, key), value in world.store.items()
        if table is Table.INVOICE
    }


class Moves:
    """Makes operations for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.serials = dict.fromkeys(ISSUERS, 0)

    def issue(self, draw: Draw) -> Move:
        """A new invoice of one of the issuers, of one or two rate groups; the second may be < 0."""
        first, second = 100 + draw[0] % 900, draw[1] % 500
        groups = [ops.RateGroup(600, first, (first * 600 + 5_000) // 10_000, 1)]
        if second:
            sign = -1 if second < 50 and draw[0] % 2 else 1
            tax = (second * 1300 + 5_000) // 10_000
            groups.append(ops.RateGroup(1300, sign * second, sign * tax, 1))
        net, tax = sum(g.net for g in groups), sum(g.tax for g in groups)
        issuer = ISSUERS[(draw[0] + draw[1]) % 3]
        invoice = make_issue(
            self._next(issuer),
            buyer=(*PAYERS, SELLER)[draw[1] % 4],
            groups=tuple(groups),
            net=net,
            tax=tax,
            gross=net + tax,
            currency=("CNY", "USD")[draw[0] % 2],
            special=draw[1] % 3 > 0,
        )
        return issuer, invoice

    def suggested(self, row: InvoiceRow) -> list[str]:
        """Kinds that the state of an invoice makes likely."""
        kinds = ["submit", "red", "offer", "book", "unbook", "pay", "deduct"]
        if row.frozen:
            return ["unfreeze", "release", "respond"]
        if row.response in (Response.NONE, Response.RECEIVED):
            kinds += ["respond", "lapse"]
        if row.response is Response.DISPUTED:
            kinds += ["rule", "rule"]
        if row.open_offer(self.world.now):
            kinds = ["sign", "sign", "refuse", "withdraw", "red"]
        elif any(s.left for s in row.submissions) and row.claimable:
            kinds += ["claim"] * 4
        if row.locked:
            kinds += ["reimburse", "reimburse", "release", "freeze"]
        for form in row.forms:
            if form.state is FormState.REQUESTED:
                kinds += ["confirm", "confirm", "deny", "consent"]
            elif form.state is FormState.CONFIRMED:
                kinds += ["issue_red", "issue_red", "consent", "consent"]
                kinds += ["red_withdraw", "red_lapse"]
        return kinds

    def make(self, kind: str, row: InvoiceRow, draw: Draw) -> Move:
        """An operation of this kind on an invoice."""
        return self._makers(row, draw)[kind]()

    def _makers(self, row: InvoiceRow, draw: Draw) -> dict[str, Callable[[], Move]]:
        blue, (a, b) = row.number, draw
        amount = 1 + a % max(1, row.gross if b % 4 == 0 else row.claimable)
        payer = REIMBURSERS[b % 3]
        waiting = [s for s in row.submissions if s.left]
        claimant, most = (waiting[0].to, waiting[0].left) if waiting else (payer, 1)
        live = [c for c in row.claims if c.locked] or row.claims
        claim = live[a % len(live)] if live else None
        pending = [f for f in row.forms if f.state is not FormState.ISSUED] or row.forms
        form = pending[b % len(pending)] if pending else None
        claim_id, claimer = (claim.id, claim.owner) if claim else (b % 3, payer)
        form_id = form.id if form else 0
        asked, other = (
            (row.issuer, row.buyer) if form and form.by_issuer else (row.buyer, row.issuer)
        )
        offered = row.offer.to if row.offer else STRANGER
        bureau = BUREAUS[b % 3]
        locked = claim.locked if claim else 1
        return {
            "pay": lambda: (
                row.issuer,
                ops.PayInvoice(blue, 1 + a % max(1, row.payable + b % 2), f"wire {a % 50}"),
            ),
            "deduct": lambda: (row.buyer, ops.DeductInvoice(blue)),
            "undeduct": lambda: (row.buyer, ops.UndeductInvoice(blue)),
            "respond": lambda: (row.buyer, self._word(row, draw)),
            "lapse": lambda: (STRANGER, ops.LapseResponse(blue)),
            "rule": lambda: (bureau, ops.RuleDispute(blue, a % 2 == 0, "heard both")),
            "freeze": lambda: (bureau, ops.FreezeInvoice(blue, "case")),
            "unfreeze": lambda: (bureau, ops.UnfreezeInvoice(blue, "case")),
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
                ops.ReimburseClaim(blue, claim_id, 1 + a % max(1, locked), "b", "p"),
            ),
            "book": lambda: ((row.buyer, claimer)[b % 2], ops.BookInvoice(blue, "book")),
            "unbook": lambda: ((row.buyer, claimer)[b % 2], ops.UnbookInvoice(blue, "why")),
            "cancel": lambda: (row.issuer, ops.CancelInvoice(blue, "")),
            "red": lambda: (
                (row.issuer, row.buyer)[b % 2],
                ops.RequestRedLetter(
                    blue, row.gross if a % 3 == 0 else 1 + a % row.gross, 1 + b % 4
                ),
            ),
            "confirm": lambda: (other, ops.ConfirmRedLetter(blue, form_id)),
            "deny": lambda: (other, ops.DenyRedLetter(blue, form_id)),
            "red_withdraw": lambda: (asked, ops.WithdrawRedLetter(blue, form_id)),
            "red_lapse": lambda: (STRANGER, ops.LapseRedLetter(blue, form_id)),
            "consent": lambda: (
                claimer,
                ops.ConsentRedLetter(
                    blue, form_id, claim_id, locked, claim.reimbursed if claim else 0
                ),
            ),
            "issue_red": lambda: (row.issuer, self._red(row, form_id, form.amount if form else 1)),
        }

    def _word(self, row: InvoiceRow, draw: Draw) -> ops.RespondInvoice:
        said = Response(1 + draw[0] % 5)
        part = 1 + draw[1] % row.gross if said is Response.PARTLY_ACCEPTED else 0
        return ops.RespondInvoice(row.number, said, part, "why")

    def _red(self, row: InvoiceRow, form: int, amount: int) -> ops.IssueRedLetter:
        groups, net, tax = group_left(row, amount)
        groups = groups or (ops.RateGroup(600, 1, 0, 1),)
        serial = self._next(row.issuer)
        return make_red(serial, row.number, form, net=net, tax=tax, groups=groups)

    def _next(self, issuer: str) -> int:
        self.serials[issuer] += 1
        return ISSUERS.index(issuer) * SEGMENT + self.serials[issuer]


def group_left(row: InvoiceRow, amount: int) -> tuple[tuple[ops.RateGroup, ...], int, int]:
    """Rate groups for a red letter of `amount` gross, taken from the groups in order."""
    if amount == row.gross - row.credited:
        left = [
            ops.RateGroup(g.rate, g.net - g.credited_net, g.tax - g.credited_tax, 9)
            for g in row.groups
        ]
        return tuple(left), sum(g.net for g in left), sum(g.tax for g in left)
    groups: list[ops.RateGroup] = []
    for group in row.groups:
        net_left, tax_left = group.net - group.credited_net, group.tax - group.credited_tax
        part = min(amount, net_left + tax_left)
        if part <= 0:
            continue
        tax = min(tax_left, part * group.rate // (10_000 + group.rate))
        net = min(net_left, part - tax)
        groups.append(ops.RateGroup(group.rate, net, part - net, 5))
        amount -= part
    return tuple(groups), sum(g.net for g in groups), sum(g.tax for g in groups)

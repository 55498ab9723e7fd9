"""DOMAIN §3, rows 15 to 17: paying, the issuing hold, deducting. Every refusal that the law names.

The table is the rulebook's own: a refusal without a case here fails, and so does a case with a code
that the law does not name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.holds.operations import (
    AppealHold,
    HoldIssuing,
    LiftHold,
    UpholdHold,
    uphold_message,
)
from node.ledger.invoices.holds.rows import HoldRow, decode_hold, hold_key
from node.ledger.invoices.rows import _FACETS, Response, Use
from node.ledger.membership.keys import possession_message
from node.ledger.membership.operations import AddKey, KeyKind
from node.ledger.operations import DirectOperation
from node.ledger.participants import ALL_SCOPES, NO_END, Scope, decode_participant
from node.ledger.row_codec import encode_row
from node.ledger.rulebook import RULEBOOK
from node.ledger.signing import public_key, sign
from node.ledger.types import Role
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    RIVAL,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_issue,
    make_red,
    number,
    opened,
    order,
)

BLUE = number(0)
FULL = 1_130
TERM = 15 * DAY
SECOND = hashlib.sha256(b"the bureau's second key").digest()
NARROW = hashlib.sha256(b"a key of the bureau that only governs").digest()
CAUSE = order("salted commitment to a cause")
Setup = Callable[[], World]
Step = tuple[str, DirectOperation]


def after(*steps: Step, wait: int = 0, special: bool = True) -> Setup:
    """A special invoice, then steps that must succeed, then time. The stranger is a bank."""

    def make() -> World:
        world = issued(special=special)
        with_role(world, STRANGER, Role.BANK)
        for who, operation in steps:
            world.ok(who, operation)
        world.later(wait)
        return world

    return make


def with_role(world: World, who: str, role: Role) -> None:
    row = decode_participant(world.store[Table.PARTICIPANT, who.encode()])
    row.roles = tuple(sorted({*row.roles, role}))
    world.replace_row(Table.PARTICIPANT, who.encode(), encode_row(row))


def pay(amount: int, reference: str = "wire 1") -> ops.PayInvoice:
    return ops.PayInvoice(BLUE, amount, reference)


def word(said: Response, amount: int = 0) -> ops.RespondInvoice:
    return ops.RespondInvoice(BLUE, said, amount, "as seen")


PAY = (SELLER, pay(600))
ACCEPT = (BUYER, word(Response.ACCEPTED))
PART = (BUYER, word(Response.PARTLY_ACCEPTED, 400))
FREEZE = (BUREAU, ops.FreezeInvoice(BLUE, "case 1"))
CANCEL = (SELLER, ops.CancelInvoice(BLUE, "typo"))
RED_OF_BUYER = (BUYER, ops.RequestRedLetter(BLUE, 1_130, 2))
RED = (SELLER, ops.RequestRedLetter(BLUE, 1_130, 1))
ISSUE_RED = (SELLER, make_red(1, BLUE, 0, net=1_000, tax=130))
DEDUCT = (BUYER, ops.DeductInvoice(BLUE))
UNDEDUCT = (BUYER, ops.UndeductInvoice(BLUE))


def put(until: int = START + 72 * HOUR, **changed: object) -> HoldIssuing:
    hold = HoldIssuing(SELLER, "SZ-2026-17", CAUSE, until, ())
    return replace(hold, **changed)


def uphold(
    until: int = START + 30 * DAY,
    *,
    reason: str = "books not shown",
    seed: bytes = SECOND,
    signed: bytes | None = None,
) -> Callable[[World], UpholdHold]:
    """Waits for the world: what the second key signs names the network."""

    def make(world: World) -> UpholdHold:
        bare = UpholdHold(SELLER, "SZ-2026-17", until, reason, public_key(seed), bytes(64))
        message = uphold_message(world.network_id, BUREAU, bare)
        return replace(bare, second_signature=sign(signed or seed, message))

    return make


def held(*steps: Step, wait: int = 0) -> Setup:
    """The seller is held, and the bureau has two more keys: one as good, one that only governs."""

    def make() -> World:
        world = opened()
        for seed, scope in ((SECOND, ALL_SCOPES), (NARROW, int(Scope.GOVERN))):
            key = public_key(seed)
            proof = sign(seed, possession_message(world.network_id, BUREAU, key))
            world.ok(BUREAU, AddKey(KeyKind.SIGNING, key, scope, NO_END, proof))
        world.ok(BUREAU, put())
        for who, operation in steps:
            world.ok(who, operation)
        world.later(wait)
        return world

    return make


def upheld() -> World:
    world = held()()
    world.ok(BUREAU, uphold()(world))
    return world


def deemed() -> World:
    world = after(wait=TERM + 1)()
    world.ok(STRANGER, ops.LapseResponse(BLUE))
    return world


LIFT = (BUREAU, LiftHold(SELLER, "SZ-2026-17"))
APPEAL = (SELLER, AppealHold("SZ-2026-17", order("grounds"), ()))
OTHER = put(reference="SZ-2026-18", cause=order("another cause"))
FOUNDING = hashlib.sha256(BUREAU.encode()).digest()
"""The key that signs the bureau's transactions here."""

Operation = DirectOperation | Callable[[World], UpholdHold]
Case = tuple[int, str, Setup, str, Operation, Code]
CASES: list[Case] = [
    # 15 pay
    (15, "by the issuer", after(), *PAY, Code.OK),
    (15, "by a bank", after(), STRANGER, pay(FULL), Code.OK),
    (15, "while frozen", after(FREEZE), *PAY, Code.OK),
    (15, "the rest", after(PAY), STRANGER, pay(530, "wire 2"), Code.OK),
    (15, "unknown", opened, *PAY, Code.UNKNOWN_INVOICE),
    (15, "a red invoice", after(RED, ISSUE_RED), SELLER, ops.PayInvoice(number(1), 1, "w"),
     Code.RED_TAKES_NO_OPERATION),
    (15, "by the buyer", after(), BUYER, pay(1), Code.NOT_BANK),
    (15, "cancelled", after(CANCEL), *PAY, Code.DOCUMENT_CLOSED),
    (15, "the same word again", after(PAY), *PAY, Code.REFERENCE_USED),
    (15, "bank and issuer attest one payment", after(PAY), STRANGER, pay(100), Code.REFERENCE_USED),
    (15, "too much", after(), SELLER, pay(FULL + 1), Code.OVER_PAID),
    (15, "more than is left", after(PAY), SELLER, pay(531, "wire 2"), Code.OVER_PAID),
    (15, "credited", after(RED, ISSUE_RED), SELLER, pay(1), Code.OVER_PAID),
    (15, "beyond the accepted part", after(PART), SELLER, pay(401), Code.OVER_PAID),
    # 16 put
    (16, "put", opened, BUREAU, put(), Code.OK),
    (16, "another cause, once it has ended", held(wait=72 * HOUR + 1), BUREAU,
     replace(OTHER, until=START + 100 * HOUR), Code.OK),
    (16, "by another", opened, RIVAL, put(), Code.NOT_BUREAU),
    (16, "nobody", opened, BUREAU, put(issuer="91440300MA5DM7AE0D"), Code.UNKNOWN_PARTY),
    (16, "no issuer", opened, BUREAU, put(issuer=BUYER), Code.NOT_PERMITTED),
    (16, "too long", opened, BUREAU, put(START + 72 * HOUR + 1), Code.PERIOD_INVALID),
    (16, "over before it begins", opened, BUREAU, put(START), Code.PERIOD_INVALID),
    (16, "twice", held(), BUREAU, put(), Code.ALREADY_HELD),
    (16, "for another cause at once", held(), BUREAU, OTHER, Code.ALREADY_HELD),
    (16, "for the same cause later", held(wait=4 * DAY), BUREAU,
     put(START + 5 * DAY, reference="SZ-2026-19"), Code.ALREADY_HELD),
    (16, "under the same reference later", held(wait=4 * DAY), BUREAU,
     put(START + 5 * DAY, cause=order("salted anew")), Code.ALREADY_HELD),
    (16, "for the same cause after it was lifted", held(LIFT), BUREAU, put(), Code.ALREADY_HELD),
    # 16 uphold
    (16, "upheld", held(), BUREAU, uphold(), Code.OK),
    (16, "upheld by another", held(), RIVAL, uphold(), Code.NOT_BUREAU),
    (16, "upheld when it has ended", held(wait=72 * HOUR + 1), BUREAU, uphold(), Code.NOT_HELD),
    (16, "upheld after it was lifted", held(LIFT), BUREAU, uphold(), Code.NOT_HELD),
    (16, "upheld twice", upheld, BUREAU, uphold(START + 30 * DAY), Code.ALREADY_HELD),
    (16, "upheld without a reason", held(), BUREAU, uphold(reason=""), Code.REASON_REQUIRED),
    (16, "upheld too long", held(), BUREAU, uphold(START + 30 * DAY + 1), Code.PERIOD_INVALID),
    (16, "upheld for less", held(), BUREAU, uphold(START + 72 * HOUR), Code.PERIOD_INVALID),
    (16, "the same key twice", held(), BUREAU, uphold(seed=FOUNDING), Code.SECOND_KEY_NEEDED),
    (16, "a key that may not", held(), BUREAU, uphold(seed=NARROW), Code.SECOND_KEY_NEEDED),
    (16, "a stranger's key", held(), BUREAU, uphold(seed=bytes(32)), Code.SECOND_KEY_NEEDED),
    (16, "a signature of another", held(), BUREAU, uphold(signed=NARROW), Code.SECOND_KEY_NEEDED),
    # 16 lift, appeal
    (16, "lifted", held(), *LIFT, Code.OK),
    (16, "lifted by the firm", held(), SELLER, LIFT[1], Code.NOT_BUREAU),
    (16, "lifted twice", held(LIFT), *LIFT, Code.NOT_HELD),
    (16, "another reference", held(), BUREAU, LiftHold(SELLER, "SZ-2026-18"), Code.NOT_HELD),
    (16, "appealed", held(), *APPEAL, Code.OK),
    (16, "appealed by another", held(), RIVAL, APPEAL[1], Code.NOT_HELD),
    (16, "appealed when it has ended", held(wait=72 * HOUR + 1), *APPEAL, Code.NOT_HELD),
    (16, "appealed twice", held(APPEAL), *APPEAL, Code.ALREADY_APPEALED),
    # 17 deduct, undeduct
    (17, "accepted", after(ACCEPT), *DEDUCT, Code.OK),
    (17, "deemed accepted", deemed, *DEDUCT, Code.OK),
    (17, "taken back", after(ACCEPT, DEDUCT), *UNDEDUCT, Code.OK),
    (17, "taken back once it is credited", after(ACCEPT, DEDUCT, RED, (BUYER,
     ops.ConfirmRedLetter(BLUE, 0)), ISSUE_RED), *UNDEDUCT, Code.OK),
    (17, "again", after(ACCEPT, DEDUCT, UNDEDUCT), *DEDUCT, Code.OK),
    (17, "unknown", opened, *DEDUCT, Code.UNKNOWN_INVOICE),
    (17, "a red invoice", after(RED, ISSUE_RED), BUYER, ops.DeductInvoice(number(1)),
     Code.RED_TAKES_NO_OPERATION),
    (17, "by another", after(ACCEPT), STRANGER, DEDUCT[1], Code.WRONG_PARTY),
    (17, "twice", after(ACCEPT, DEDUCT), *DEDUCT, Code.INVOICE_USED),
    (17, "closed", after(RED, ISSUE_RED), *DEDUCT, Code.DOCUMENT_CLOSED),
    (17, "ordinary", after(ACCEPT, special=False), *DEDUCT, Code.NOT_SPECIAL),
    (17, "no word yet", after(), *DEDUCT, Code.NOT_ACCEPTED),
    (17, "accepted in part", after(PART), *DEDUCT, Code.NOT_ACCEPTED),
    (17, "red form", after(ACCEPT, RED_OF_BUYER), *DEDUCT, Code.RED_PENDING),
    (17, "nothing to take back", after(ACCEPT), *UNDEDUCT, Code.INVOICE_NOT_USED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("setup", "who", "operation", "code"),
    [case[2:] for case in CASES],
    ids=[f"{case[0]} {case[1]}: {case[5].name}" for case in CASES],
)
def test_row(setup: Setup, who: str, operation: Operation, code: Code) -> None:
    world = setup()
    made = operation(world) if callable(operation) else operation
    before = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
    assert world.code(who, made) is code
    if code is not Code.OK:
        now = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
        assert now == before


def test_every_refusal_that_the_law_names_has_a_case() -> None:
    for row in (15, 16, 17):
        named = {
            code for spec in RULEBOOK.specs.values() if spec.row == row for code in spec.refusals
        }
        shown = {case[5] for case in CASES if case[0] == row} - {Code.OK}
        assert shown == named, row


# --- Money ------------------------------------------------------------------------------------


def test_a_red_letter_on_a_paid_part_makes_it_owed_back() -> None:
    part = (BUYER, ops.RequestRedLetter(BLUE, 678, 2))
    red = (SELLER, make_red(1, BLUE, 0, net=600, tax=78))
    world = after((STRANGER, pay(1_000)), part, (SELLER, ops.ConfirmRedLetter(BLUE, 0)), red)()
    row = world.invoice(BLUE)

    assert (row.paid, row.payment_refund_due, row.payable) == (452, 548, 0)
    assert world.code(SELLER, pay(1, "wire 2")) is Code.OVER_PAID


def test_a_partial_acceptance_makes_what_was_paid_beyond_it_owed_back() -> None:
    row = after((SELLER, pay(1_000)), PART)().invoice(BLUE)
    assert (row.paid, row.payment_refund_due, row.payable) == (400, 600, 0)


def test_a_reference_counts_once_for_its_signer_whatever_the_invoice() -> None:
    world = after(PAY, (SELLER, make_issue(1)))()
    assert world.code(SELLER, ops.PayInvoice(number(1), 1, "wire 1")) is Code.REFERENCE_USED
    # Nobody uses up another's references: the bank's own are its own.
    world.ok(STRANGER, ops.PayInvoice(number(1), 1, "wire 1"))


@pytest.mark.parametrize("steps", [(PAY,), (DEDUCT,)])
def test_an_invoice_that_is_paid_or_used_needs_a_red_letter(steps: tuple[Step, ...]) -> None:
    world = after(ACCEPT, *steps)() if DEDUCT in steps else after(*steps)()
    assert world.code(*CANCEL) is Code.USE_RED_LETTER


def test_the_issuer_s_own_red_form_waits_for_a_buyer_who_has_used_the_invoice() -> None:
    world = after(ACCEPT, DEDUCT, RED)()
    assert world.invoice(BLUE).used is Use.DEDUCTED
    assert world.code(*ISSUE_RED) is Code.NOT_CONFIRMED


def test_an_untouched_invoice_keeps_its_bytes() -> None:
    """Facets that follow are stored once they are touched, and leave the row when they are not."""
    world = after(ACCEPT)()
    before = world.store[Table.INVOICE, BLUE.encode()]
    world.ok(*DEDUCT)
    assert len(world.store[Table.INVOICE, BLUE.encode()]) == len(before) + _FACETS
    world.ok(*UNDEDUCT)
    assert world.store[Table.INVOICE, BLUE.encode()] == before


# --- The hold ---------------------------------------------------------------------------------


def hold(world: World) -> HoldRow:
    return decode_hold(world.store[Table.HOLD, hold_key(SELLER)])


def test_a_hold_ends_by_block_time_alone() -> None:
    world = held()()
    assert world.code(SELLER, make_issue(0)) is Code.ISSUING_HELD
    world.later(72 * HOUR)
    assert world.code(SELLER, make_issue(0)) is Code.ISSUING_HELD
    before = world.store[Table.HOLD, hold_key(SELLER)]
    world.later(1)
    world.ok(SELLER, make_issue(0))
    assert world.store[Table.HOLD, hold_key(SELLER)] == before


def test_an_upheld_hold_ends_so_too() -> None:
    world = upheld()
    world.later(30 * DAY)
    assert world.code(SELLER, make_issue(0)) is Code.ISSUING_HELD
    world.later(1)
    assert world.code(SELLER, make_issue(0)) is not Code.ISSUING_HELD


def test_a_hold_stops_blue_invoices_of_this_issuer_only() -> None:
    world = opened()
    world.ok(SELLER, make_issue(0))
    world.ok(BUREAU, put())
    world.ok(SELLER, ops.RequestRedLetter(BLUE, FULL, 1))
    world.ok(SELLER, make_red(1, BLUE, 0, net=1_000, tax=130))
    assert world.code(SELLER, make_issue(2)) is Code.ISSUING_HELD
    world.ok(BUREAU, LiftHold(SELLER, "SZ-2026-17"))
    world.ok(SELLER, make_issue(2))


def test_an_order_repeated_while_held_is_told_its_number() -> None:
    world = opened()
    world.ok(SELLER, make_issue(0))
    world.ok(BUREAU, put())
    again = world.ok(SELLER, make_issue(5, order_name="order 0"))
    assert again.notes[0].number == number(0)


def test_an_appeal_stands_beside_the_hold() -> None:
    world = held(APPEAL)()
    row = hold(world)
    assert (row.appealed_at, row.appeal) == (START, order("grounds"))
    assert world.code(SELLER, make_issue(0)) is Code.ISSUING_HELD

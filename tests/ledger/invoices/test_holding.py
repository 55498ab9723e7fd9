"""Row 4 of DOMAIN §3: offer, sign, refuse, withdraw."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.ledger.operations import Operation
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    PAYMASTER,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_red,
    number,
)

BLUE = number(0)
UNTIL = START + HOUR
OFFER = ops.OfferInvoice(BLUE, STRANGER, UNTIL)


def _claim(world: World) -> None:
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 10))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 10))


def _reimburse(world: World) -> None:
    _claim(world)
    world.ok(PAYMASTER, ops.ReimburseClaim(BLUE, 0, 4, "b", "p"))


def _red_form(world: World) -> None:
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 10, 4))


def _cancel(world: World) -> None:
    world.ok(SELLER, ops.CancelInvoice(BLUE, "x"))


def _credit(world: World) -> None:
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 1_130, 1))
    world.ok(SELLER, make_red(50, BLUE, 0, net=1_000, tax=130))


def _offer(world: World) -> None:
    world.ok(BUYER, OFFER)


def _nothing(world: World) -> None:
    del world


def test_signing_makes_the_receiver_the_holder() -> None:
    world = issued()
    world.ok(BUYER, OFFER)
    assert world.invoice(BLUE).holder == BUYER
    world.ok(STRANGER, ops.SignOffer(BLUE))
    row = world.invoice(BLUE)
    assert (row.holder, row.offer, row.buyer) == (STRANGER, None, BUYER)
    assert world.code(BUYER, ops.OfferInvoice(BLUE, PAYMASTER, UNTIL)) is Code.NOT_HOLDER


@pytest.mark.parametrize(
    ("who", "operation"),
    [(STRANGER, ops.RefuseOffer(BLUE)), (BUYER, ops.WithdrawOffer(BLUE))],
)
def test_refused_or_withdrawn_it_stays_with_the_holder(who: str, operation: Operation) -> None:
    world = issued()
    world.ok(BUYER, OFFER)
    world.ok(who, operation)
    row = world.invoice(BLUE)
    assert (row.holder, row.offer) == (BUYER, None)
    assert world.code(STRANGER, ops.SignOffer(BLUE)) is Code.NO_OFFER


def test_signing_ends_what_the_former_holder_submitted() -> None:
    world = issued()
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 10), OFFER)
    assert world.code(PAYMASTER, ops.ClaimInvoice(BLUE, 10)) is Code.OFFER_OPEN
    world.ok(STRANGER, ops.SignOffer(BLUE))
    assert world.code(PAYMASTER, ops.ClaimInvoice(BLUE, 10)) is Code.NOT_SUBMITTED


Case = tuple[Code, Callable[[World], None], str, Operation]
REFUSALS: list[Case] = [
    (Code.UNKNOWN_INVOICE, _nothing, BUYER, ops.OfferInvoice(number(9), STRANGER, UNTIL)),
    (Code.NOT_HOLDER, _nothing, SELLER, OFFER),
    (Code.WRONG_PARTY, _nothing, BUYER, ops.OfferInvoice(BLUE, BUYER, UNTIL)),
    (Code.UNKNOWN_PARTY, _nothing, BUYER, ops.OfferInvoice(BLUE, "9" * 18, UNTIL)),
    (Code.OFFER_EXPIRED, _nothing, BUYER, ops.OfferInvoice(BLUE, STRANGER, START)),
    (Code.PERIOD_INVALID, _nothing, BUYER, ops.OfferInvoice(BLUE, STRANGER, START + 31 * DAY)),
    (Code.OFFER_OPEN, _offer, BUYER, ops.OfferInvoice(BLUE, BUREAU, UNTIL)),
    (Code.HAS_CLAIM, _claim, BUYER, OFFER),
    (Code.HAS_CLAIM, _reimburse, BUYER, OFFER),
    (Code.RED_PENDING, _red_form, BUYER, OFFER),
    (Code.DOCUMENT_CLOSED, _cancel, BUYER, OFFER),
    (Code.DOCUMENT_CLOSED, _credit, BUYER, OFFER),
    (Code.NO_OFFER, _nothing, STRANGER, ops.SignOffer(BLUE)),
    (Code.WRONG_PARTY, _offer, BUREAU, ops.SignOffer(BLUE)),
    (Code.WRONG_PARTY, _offer, BUYER, ops.SignOffer(BLUE)),
    (Code.WRONG_PARTY, _offer, BUYER, ops.RefuseOffer(BLUE)),
    (Code.NO_OFFER, _nothing, STRANGER, ops.RefuseOffer(BLUE)),
    (Code.NOT_HOLDER, _offer, STRANGER, ops.WithdrawOffer(BLUE)),
    (Code.NO_OFFER, _nothing, BUYER, ops.WithdrawOffer(BLUE)),
    (Code.DOCUMENT_CLOSED, _credit, STRANGER, ops.SignOffer(BLUE)),
    (Code.DOCUMENT_CLOSED, _credit, STRANGER, ops.RefuseOffer(BLUE)),
    (Code.DOCUMENT_CLOSED, _credit, BUYER, ops.WithdrawOffer(BLUE)),
]


@pytest.mark.parametrize(("code", "prepare", "author", "operation"), REFUSALS)
def test_row_4_is_refused(
    code: Code, prepare: Callable[[World], None], author: str, operation: Operation
) -> None:
    world = issued()
    prepare(world)
    before = world.invoice(BLUE)
    assert world.code(author, operation) is code
    assert world.invoice(BLUE) == before


def test_preconditions_are_checked_again_when_the_offer_is_signed() -> None:
    world = issued()
    world.ok(BUYER, OFFER)
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 10, 4))
    assert world.code(STRANGER, ops.SignOffer(BLUE)) is Code.RED_PENDING
    world.ok(SELLER, ops.WithdrawRedLetter(BLUE, 0))
    world.ok(STRANGER, ops.SignOffer(BLUE))


def test_an_offer_holds_to_its_last_millisecond_and_then_counts_as_none() -> None:
    world = issued()
    world.ok(BUYER, OFFER)
    world.now = UNTIL
    assert world.code(BUYER, ops.OfferInvoice(BLUE, BUREAU, UNTIL + 1)) is Code.OFFER_OPEN
    world.now = UNTIL + 1
    for who, operation in (
        (STRANGER, ops.SignOffer(BLUE)),
        (STRANGER, ops.RefuseOffer(BLUE)),
        (BUYER, ops.WithdrawOffer(BLUE)),
    ):
        assert world.code(who, operation) is Code.OFFER_EXPIRED
    assert world.invoice(BLUE).open_offer(world.now) is None
    world.ok(BUYER, ops.OfferInvoice(BLUE, BUREAU, UNTIL + HOUR))
    world.ok(BUREAU, ops.SignOffer(BLUE))


def test_an_offer_signed_in_its_last_millisecond_counts() -> None:
    world = issued()
    world.ok(BUYER, OFFER)
    world.now = UNTIL
    world.ok(STRANGER, ops.SignOffer(BLUE))

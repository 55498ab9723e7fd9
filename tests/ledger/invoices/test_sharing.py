"""Later readers and discrepancies: who may say what, how often, and on which invoices."""

from __future__ import annotations

import hashlib

import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.rows import (
    SHARERS_MAX,
    SHARES_OF_ONE_MAX,
    DiscrepancyKind,
    DiscrepancyRow,
    SharerRow,
    decode_discrepancy,
    decode_share,
    discrepancy_key,
    encode_invoice,
    share_key,
    share_range,
)
from node.ledger.signing import public_key
from tests.ledger.world import (
    BUREAU,
    BUYER,
    DAY,
    HOUR,
    PAYMASTER,
    SECOND_BUREAU,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    make_red,
    number,
)

BLUE = number(0)
COMMITMENT = bytes(range(32))
SEED = hashlib.sha256(b"a bare key").digest()
BARE = public_key(SEED).hex()


def reader(number: int) -> bytes:
    return hashlib.sha256(b"reader %d" % number).digest()


def share(place: int = 0, invoice: str = BLUE, wrapped: bytes = b"w" * 48) -> ops.ShareDetails:
    return ops.ShareDetails(invoice, reader(place), b"s" * 32, wrapped, b"n" * 24)


def sealed(buyer: str = BUYER) -> World:
    return issued(details=COMMITMENT, buyer=buyer)


@pytest.mark.parametrize("who", [SELLER, BUYER, BUREAU, SECOND_BUREAU])
def test_a_party_and_the_bureau_pass_the_key_on(who: str) -> None:
    world = sealed()
    world.ok(who, share())
    row = decode_share(world.store[Table.SHARE, share_key(BLUE, reader(0), who)])
    assert (row.sealer, row.wrapped, row.nonce) == (b"s" * 32, b"w" * 48, b"n" * 24)
    assert world.invoice(BLUE).sharers == (SharerRow(who, 1),)


@pytest.mark.parametrize("who", [STRANGER, PAYMASTER])
def test_nobody_else_does(who: str) -> None:
    world = sealed()
    assert world.code(who, share()) is Code.WRONG_PARTY


def test_the_holder_shares_and_the_holder_before_no_more() -> None:
    world = sealed(buyer=BARE)
    for operation in (ops.OfferInvoice(BLUE, STRANGER, world.now + HOUR), share(1)):
        carried, _ = world.by_key(SEED, PAYMASTER, operation)
        assert world.block([carried]).results[0].code is Code.OK
    world.ok(STRANGER, ops.SignOffer(BLUE))
    world.ok(STRANGER, ops.OfferInvoice(BLUE, PAYMASTER, world.now + HOUR))
    world.ok(PAYMASTER, ops.SignOffer(BLUE))
    assert world.code(STRANGER, share(2)) is Code.WRONG_PARTY
    world.ok(PAYMASTER, share(2))
    assert {row.party for row in world.invoice(BLUE).sharers} == {BARE, PAYMASTER}


def test_an_invoice_without_details_has_nothing_to_share() -> None:
    world = issued()
    assert world.code(SELLER, share()) is Code.NO_DETAILS
    assert world.code(SELLER, share(invoice=number(999))) is Code.UNKNOWN_INVOICE


def test_a_worthless_wrap_takes_the_place_of_no_other_party_s() -> None:
    world = sealed()
    world.ok(SELLER, share())
    world.ok(BUYER, share(wrapped=b"x" * 48))
    world.ok(BUYER, share(wrapped=b"y" * 48))
    mine = decode_share(world.store[Table.SHARE, share_key(BLUE, reader(0), SELLER)])
    theirs = decode_share(world.store[Table.SHARE, share_key(BLUE, reader(0), BUYER)])
    assert (mine.wrapped, theirs.wrapped) == (b"w" * 48, b"y" * 48)
    assert world.invoice(BLUE).sharers == (SharerRow(SELLER, 1), SharerRow(BUYER, 1))


def test_one_party_fills_its_own_room_only() -> None:
    world = sealed()
    for place in range(SHARES_OF_ONE_MAX):
        world.ok(BUYER, share(place))
    assert world.code(BUYER, share(SHARES_OF_ONE_MAX)) is Code.TOO_MANY_SHARES
    world.ok(BUYER, share(0))
    world.ok(SELLER, share(SHARES_OF_ONE_MAX))


def test_sharers_are_bounded() -> None:
    world = sealed()
    row = world.invoice(BLUE)
    row.sharers = tuple(SharerRow(f"{n:018d}", 1) for n in range(SHARERS_MAX))
    world.replace_row(Table.INVOICE, BLUE.encode(), encode_invoice(row))
    assert world.code(SELLER, share()) is Code.TOO_MANY_SHARES


def red() -> tuple[World, str]:
    world = issued()
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 1_130, 1))
    world.ok(SELLER, make_red(1, BLUE, 0, net=1_000, tax=130, details=COMMITMENT))
    return world, number(1)


def test_a_red_invoice_is_shared_and_found_wrong_too() -> None:
    world, number_ = red()
    world.ok(SELLER, share(invoice=number_))
    world.ok(BUREAU, ops.RecordDiscrepancy(number_, DiscrepancyKind.LINE_OVER_CREDIT))


def test_a_discrepancy_is_recorded_once_and_resolved_once() -> None:
    world = sealed()
    kind = DiscrepancyKind.NET_MISMATCH
    assert world.code(BUREAU, ops.ResolveDiscrepancy(BLUE, kind, "why")) is Code.NO_DISCREPANCY
    world.ok(BUREAU, ops.RecordDiscrepancy(BLUE, kind))
    recorded = world.now
    assert world.code(SECOND_BUREAU, ops.RecordDiscrepancy(BLUE, kind)) is Code.ALREADY_RECORDED
    world.ok(BUREAU, ops.RecordDiscrepancy(BLUE, DiscrepancyKind.LINE_AMOUNT))
    world.later(DAY)
    assert world.code(BUREAU, ops.ResolveDiscrepancy(BLUE, kind, "")) is Code.REASON_REQUIRED
    world.ok(SECOND_BUREAU, ops.ResolveDiscrepancy(BLUE, kind, "corrected"))
    assert (
        world.code(BUREAU, ops.ResolveDiscrepancy(BLUE, kind, "again")) is Code.DISCREPANCY_RESOLVED
    )
    assert world.code(BUREAU, ops.RecordDiscrepancy(BLUE, kind)) is Code.ALREADY_RECORDED
    row = decode_discrepancy(world.store[Table.DISCREPANCY, discrepancy_key(BLUE, kind)])
    assert isinstance(row, DiscrepancyRow)
    assert (row.kind, row.bureau, row.reason) == (kind, BUREAU, "corrected")
    assert START <= recorded == row.recorded_at < row.resolved_at


def test_a_discrepancy_is_the_bureau_s_word() -> None:
    world = sealed()
    for who in (SELLER, BUYER, STRANGER):
        assert world.code(who, ops.RecordDiscrepancy(BLUE, 1)) is Code.NOT_BUREAU
        assert world.code(who, ops.ResolveDiscrepancy(BLUE, 1, "x")) is Code.NOT_BUREAU
    assert world.code(BUREAU, ops.RecordDiscrepancy(number(999), 1)) is Code.UNKNOWN_INVOICE


@pytest.mark.parametrize("first", [0, 1, 0x7F, 0x80, 0xFE, 0xFF])
def test_the_range_of_an_invoice_s_shares_holds_any_reader_and_no_other_invoice(first: int) -> None:
    for blue in (BLUE, "0" * 20, "9" * 20):
        low, high = share_range(blue)
        for rest in (bytes(31), b"\xff" * 31):
            assert low <= share_key(blue, bytes((first,)) + rest, BUYER) < high
        for other in (int(blue) - 1, int(blue) + 1):
            if 0 <= other < 10**20:
                key = share_key(f"{other:020d}", bytes((first,)) * 32, BUYER)
                assert not low <= key < high

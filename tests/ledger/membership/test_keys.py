"""Participants' keys: added, revoked, rotated; which of them count, and for what."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from node.ledger.codes import Code, Table
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import PublishTaxRates
from node.ledger.membership.keys import possession_message
from node.ledger.membership.operations import (
    SIGNING_KEYS_MAX,
    AddKey,
    KeyKind,
    MembershipOperation,
    RevokeKey,
    RotateKey,
)
from node.ledger.operations import Operation
from node.ledger.participants import ALL_SCOPES, NO_END, ParticipantRow, Scope, decode_participant
from node.ledger.rulebook import RULEBOOK
from node.ledger.signing import public_key, sign
from tests.ledger.world import (
    BUREAU,
    BUYER,
    PAYMASTER,
    SELLER,
    World,
    issued,
    key_of,
    make_issue,
    number,
    opened,
)

SIGNING, SEALING = KeyKind.SIGNING, KeyKind.SEALING


def seed(place: int) -> bytes:
    return bytes([place + 1]) * 32


def fresh(place: int) -> bytes:
    return public_key(seed(place))


def proof(world: World, place: int, who: str = SELLER) -> bytes:
    return sign(seed(place), possession_message(world.network_id, who, fresh(place)))


def adding(
    world: World, place: int, *, scope: int = ALL_SCOPES, not_after: int = NO_END, who: str = SELLER
) -> AddKey:
    return AddKey(SIGNING, fresh(place), scope, not_after, proof(world, place, who))


def rotating(world: World, place: int, *, until: int, old: bytes | None = None) -> RotateKey:
    return RotateKey(SIGNING, old or key_of(SELLER), fresh(place), until, proof(world, place))


def row_of(world: World, who: str = SELLER) -> ParticipantRow:
    return decode_participant(world.store[Table.PARTICIPANT, who.encode()])


def signed_by(world: World, key: bytes, *operations: Operation, who: str = SELLER) -> Code:
    return world.block([world.transaction(who, operations, key=key)]).results[0].code


def test_an_added_key_signs_and_a_revoked_one_does_not() -> None:
    world = opened()
    assert signed_by(world, fresh(0), make_issue(0)) is Code.UNKNOWN_AUTHOR
    world.ok(SELLER, adding(world, 0))
    assert signed_by(world, fresh(0), make_issue(0)) is Code.OK
    assert signed_by(world, key_of(SELLER), make_issue(1)) is Code.OK
    assert signed_by(world, fresh(0), RevokeKey(SIGNING, key_of(SELLER))) is Code.OK
    assert signed_by(world, key_of(SELLER), make_issue(2)) is Code.UNKNOWN_AUTHOR
    assert signed_by(world, fresh(0), make_issue(2)) is Code.OK


def test_a_key_does_not_count_for_later_transactions_of_the_block_that_revokes_it() -> None:
    world = opened()
    world.ok(SELLER, adding(world, 0))
    codes = [
        result.code
        for result in world.block(
            [
                world.transaction(SELLER, [make_issue(0)], key=fresh(0)),
                world.transaction(SELLER, [RevokeKey(SIGNING, fresh(0))]),
                world.transaction(SELLER, [make_issue(1)], key=fresh(0)),
            ]
        ).results
    ]
    assert codes == [Code.OK, Code.OK, Code.UNKNOWN_AUTHOR]


def test_a_key_counts_up_to_its_last_height() -> None:
    world = opened()
    world.ok(SELLER, adding(world, 0, not_after=world.height + 3))
    for code in (Code.OK, Code.OK, Code.UNKNOWN_AUTHOR):
        assert signed_by(world, fresh(0), make_issue(world.height)) is code


def test_rotation_keeps_the_old_key_for_what_is_on_its_way() -> None:
    world = opened()
    world.ok(SELLER, rotating(world, 0, until=world.height + 2))
    assert signed_by(world, key_of(SELLER), make_issue(0)) is Code.OK
    assert signed_by(world, key_of(SELLER), make_issue(1)) is Code.UNKNOWN_AUTHOR
    assert signed_by(world, fresh(0), make_issue(1)) is Code.OK
    assert row_of(world).signing_keys[-1].scope == ALL_SCOPES


def test_rotation_never_lengthens_the_old_key() -> None:
    world = opened()
    world.ok(SELLER, adding(world, 0, not_after=world.height + 5))
    end = world.height + 4
    world.ok(SELLER, rotating(world, 1, until=NO_END, old=fresh(0)))
    assert [key.not_after for key in row_of(world).signing_keys] == [NO_END, end, end]


def test_a_sealing_key_is_rotated() -> None:
    world = opened()
    old = key_of(SELLER)
    world.ok(SELLER, RotateKey(SEALING, old, b"s" * 32, world.height + 1, b""))
    keys = row_of(world).sealing_keys
    assert [(key.key, key.scope, key.lives(world.height + 1)) for key in keys] == [
        (old, 0, False),
        (b"s" * 32, 0, True),
    ]


def test_a_key_may_stand_in_two_rows_and_signs_for_whom_it_names() -> None:
    world = opened()
    world.ok(SELLER, adding(world, 0))
    world.ok(BUYER, adding(world, 0, who=BUYER))
    assert signed_by(world, fresh(0), make_issue(0)) is Code.OK
    assert signed_by(world, fresh(0), make_issue(1), who=BUYER) is Code.NOT_PERMITTED


def test_ended_keys_make_room() -> None:
    world = opened()
    for place in range(SIGNING_KEYS_MAX - 1):
        world.ok(SELLER, adding(world, place))
    more = adding(world, 50)
    assert world.code(SELLER, more) is Code.TOO_MANY_KEYS
    world.ok(SELLER, RevokeKey(SIGNING, fresh(3)))
    world.ok(SELLER, more)
    held = {key.key for key in row_of(world).signing_keys}
    assert fresh(3) not in held
    assert {key_of(SELLER), fresh(50)} < held
    assert len(held) == SIGNING_KEYS_MAX


def test_a_participant_cannot_lock_itself_out() -> None:
    world = opened()
    own = key_of(SELLER)
    last = RevokeKey(SIGNING, own)
    assert world.code(SELLER, last) is Code.LAST_KEY
    world.ok(SELLER, adding(world, 0, scope=int(Scope.ISSUE)))
    world.ok(SELLER, adding(world, 1, not_after=world.height + 1_000))
    assert world.code(SELLER, last) is Code.LAST_KEY
    assert world.code(SELLER, RevokeKey(SEALING, own)) is Code.LAST_KEY
    world.ok(SELLER, adding(world, 2, scope=int(Scope.KEYS)))
    world.ok(SELLER, last)
    assert signed_by(world, fresh(2), RevokeKey(SIGNING, fresh(2))) is Code.LAST_KEY


REFUSALS: list[tuple[Code, str]] = [
    (Code.KEY_EXISTS, "again"),
    (Code.KEY_EXISTS, "again after its end"),
    (Code.KEY_PROOF_INVALID, "another's proof"),
    (Code.KEY_PROOF_INVALID, "no proof"),
    (Code.KEY_PROOF_INVALID, "proof of a sealing key"),
    (Code.SCOPE_INVALID, "no scope"),
    (Code.SCOPE_INVALID, "scope of a sealing key"),
    (Code.PERIOD_INVALID, "ended before"),
    (Code.PERIOD_INVALID, "old one ended before"),
    (Code.UNKNOWN_KEY, "revoke unknown"),
    (Code.UNKNOWN_KEY, "rotate unknown"),
    (Code.UNKNOWN_KEY, "of the other kind"),
    (Code.KEY_ENDED, "revoke ended"),
    (Code.KEY_ENDED, "rotate ended"),
    (Code.KEY_EXISTS, "rotate to itself"),
]


@pytest.mark.parametrize(("code", "what"), REFUSALS)
def test_key_operations_are_refused(code: Code, what: str) -> None:
    world = opened()
    world.ok(SELLER, adding(world, 0))
    world.ok(SELLER, adding(world, 1))
    world.ok(SELLER, RevokeKey(SIGNING, fresh(1)))
    good = adding(world, 2)
    operations: dict[str, Operation] = {
        "again": adding(world, 0),
        "again after its end": adding(world, 1),
        "another's proof": replace(good, proof=proof(world, 2, BUYER)),
        "no proof": replace(good, proof=b""),
        "proof of a sealing key": replace(good, kind=SEALING, scope=0),
        "no scope": replace(good, scope=0),
        "scope of a sealing key": AddKey(SEALING, b"s" * 32, 1, NO_END, b""),
        "ended before": replace(good, not_after=world.height),
        "old one ended before": rotating(world, 2, until=world.height),
        "revoke unknown": RevokeKey(SIGNING, fresh(9)),
        "rotate unknown": rotating(world, 2, until=99, old=fresh(9)),
        "of the other kind": RevokeKey(SEALING, fresh(0)),
        "revoke ended": RevokeKey(SIGNING, fresh(1)),
        "rotate ended": rotating(world, 2, until=99, old=fresh(1)),
        "rotate to itself": RotateKey(
            SIGNING, fresh(0), fresh(0), world.height + 9, proof(world, 0)
        ),
    }
    before = row_of(world)
    assert world.code(SELLER, operations[what]) is code
    assert row_of(world) == before


def test_a_scope_permits_its_operations_only() -> None:
    world = issued()
    assert world.code(BUYER, ops.SubmitInvoice(number(0), PAYMASTER, 100)) is Code.OK
    cases: list[tuple[str, Scope, Operation]] = [
        (SELLER, Scope.ISSUE, make_issue(1)),
        (PAYMASTER, Scope.REIMBURSE, ops.ClaimInvoice(number(0), 10)),
        (BUYER, Scope.HOLD, ops.BookInvoice(number(0), "books")),
        (BUREAU, Scope.REGISTER, PublishTaxRates(SELLER, (600,))),
    ]
    for who, scope, operation in cases:
        for place, held in enumerate((Scope(ALL_SCOPES) & ~SCOPE_OF(operation), scope)):
            name = 10 * (1 + int(scope)) + place
            world.ok(who, adding(world, name, scope=int(held), who=who))
            expected = Code.OK if held == scope else Code.KEY_SCOPE
            assert signed_by(world, fresh(name), operation, who=who) is expected


def SCOPE_OF(operation: Operation) -> Scope:  # noqa: N802 - reads as the table it looks into
    return Scope(RULEBOOK.scopes[type(operation)])


def test_every_operation_has_a_scope_and_members_operations_name_theirs() -> None:
    assert set(RULEBOOK.scopes) == set(get_args(Operation))
    assert all(0 < scopes <= ALL_SCOPES for scopes in RULEBOOK.scopes.values())
    for kind in get_args(MembershipOperation):
        assert not RULEBOOK.scopes[kind] & Scope.HOLD

"""The rulebook: what it refuses to be made of, and rules that one law attaches to another's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from node.ledger.codes import Code, Table
from node.ledger.invoices import booking, responses
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment
from node.ledger.invoices.law import INVOICES_LAW
from node.ledger.invoices.on_invoice import on_invoice
from node.ledger.invoices.reads import named
from node.ledger.membership.governance import proposal_id
from node.ledger.membership.law import MEMBERSHIP_LAW
from node.ledger.membership.operations import Propose, Retire, Vote
from node.ledger.operation import Shape
from node.ledger.participants import Scope
from node.ledger.reads import Reads
from node.ledger.row_codec import TableKind
from node.ledger.rulebook import RULEBOOK, Rulebook, RulebookError, rulebook_of
from node.ledger.spec import Law, OperationSpec, also
from node.ledger.step import Step
from tests.ledger.membership.test_keys import adding, fresh, signed_by
from tests.ledger.world import (
    BUREAU,
    SECOND_BUREAU,
    SELLER,
    World,
    issued,
    make_genesis,
    make_issue,
    make_red,
    number,
)
from tests.terms import EVERY_DOMAIN, make_terms

BLUE = number(0)
SEED = bytes(31) + b"k"
KEY = b"made-up"
LIMIT = 100


class Tally(msgspec.Struct, array_like=True):
    """How many red letters a made-up law has seen, and over how much."""

    letters: int = 0
    gross: int = 0


TALLY = TableKind(Table.META, msgspec.msgpack.Decoder(Tally).decode)


class Clear(Shape, frozen=True, tag=9_001):
    """A made-up operation with a row of its own."""


def _clear(step: Step, _: Clear) -> Code:
    step.state[TALLY].put(KEY, Tally())
    return Code.OK


def _reads(reads: Reads, _actor: str, _op: object) -> None:
    reads.rows[Table.META][KEY] = None


def _count(step: Step, op: ops.IssueRedLetter) -> Code:
    """Counts, and refuses what is over the limit after it has written."""
    tally = step.state[TALLY].edit(KEY) or Tally()
    step.state[TALLY].put(KEY, Tally(tally.letters + 1, tally.gross + op.gross))
    return Code.NO_DETAILS if op.gross > LIMIT else Code.OK


CLEAR = OperationSpec(
    kind=Clear,
    name="clear",
    row=None,
    apply=_clear,
    scopes=Scope.HOLD,
    refusals=frozenset(),
    reads=_reads,
)
MADE_UP = Law(
    name="made up",
    operations=(CLEAR,),
    tables=(TALLY,),
    attached=(
        also(
            ops.IssueRedLetter,
            reads=_reads,
            apply=_count,
            refusals=frozenset({Code.NO_DETAILS}),
        ),
    ),
)
WITH_MADE_UP = Rulebook((MEMBERSHIP_LAW, INVOICES_LAW, MADE_UP))


STEP = Step.__new__(Step)

# --- What a rulebook is not made of -----------------------------------------------------------


class Same(Shape, frozen=True, tag=9_001):
    """Has the tag of another."""


class Other(Shape, frozen=True, tag=9_002):
    """Has the name of another."""


def _like(kind: type, name: str) -> OperationSpec[Any]:
    spec: OperationSpec[Any] = CLEAR
    return replace(spec, kind=kind, name=name)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (replace(CLEAR, name="again"), "operation"),
        (_like(Same, "same"), "tag 9001"),
        (_like(Other, "book"), "name 'book'"),
    ],
)
def test_a_type_a_tag_or_a_name_stands_once(spec: OperationSpec[Any], what: str) -> None:
    second = Law(name="second", operations=(spec,), tables=())
    with pytest.raises(RulebookError, match=f"{what}.*stands twice"):
        Rulebook((MEMBERSHIP_LAW, INVOICES_LAW, MADE_UP, second))


def test_a_table_is_of_one_law() -> None:
    kind = TableKind(Table.SHARE, TALLY.decode)
    with pytest.raises(RulebookError, match=r"SHARE.* is of invoices and of second"):
        Rulebook((INVOICES_LAW, Law(name="second", operations=(), tables=(kind,))))
    with pytest.raises(RulebookError, match=r"table kind .* stands twice"):
        Rulebook((MADE_UP, Law(name="second", operations=(), tables=(TALLY,))))


def test_a_rule_is_attached_to_what_some_law_has() -> None:
    with pytest.raises(RulebookError, match="made up attaches a rule to IssueRedLetter"):
        Rulebook((MEMBERSHIP_LAW, MADE_UP))


def test_a_rule_under_the_wrong_operation_is_an_error_of_mypy() -> None:
    """The type checker counts a needless `ignore` as an error: so each of these is one."""
    rule = on_invoice(booking.unbook, open_only=True)
    OperationSpec(
        kind=ops.BookInvoice,
        name="book",
        row=8,
        apply=rule,  # type: ignore[arg-type]
        scopes=Scope.HOLD,
        refusals=frozenset(),
        reads=named,
    )
    also(ops.BookInvoice, reads=named, apply=rule)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        on_invoice(responses.respond, open_only=True)(STEP, Clear())  # type: ignore[arg-type]


# --- What another law attaches ----------------------------------------------------------------


def world_with_form(amount: int = 50) -> World:
    """An invoice with a confirmed form, under the made-up law too."""
    world = issued()
    world.rulebook = WITH_MADE_UP
    world.ok(SELLER, ops.RequestRedLetter(BLUE, amount, 2))
    return world


LETTER = make_red(1, BLUE, 0, net=44, tax=6)


def clear(world: World) -> Code:
    """Apply the made-up operation, which no decoder of transactions knows."""
    known = world.transaction(SELLER, [make_issue(9)])
    body = msgspec.structs.replace(known.body, operations=(Clear(),))
    return world.block([msgspec.structs.replace(known, body=body)]).results[0].code


def tally(world: World) -> Tally | None:
    value = world.store.get((Table.META, KEY))
    return None if value is None else TALLY.decode(value)


def test_an_attached_rule_runs_in_the_same_step_after_the_operation_s_own() -> None:
    world = world_with_form()
    world.ok(SELLER, LETTER)

    assert tally(world) == Tally(1, 50)
    assert world.invoice(BLUE).credited == 50


def test_its_refusal_refuses_the_whole_transaction() -> None:
    world = world_with_form(1_130)
    before = dict(world.store)
    result = world.run(SELLER, make_red(1, BLUE, 0, net=1_000, tax=130))

    assert (result.code, result.operation) == (Code.NO_DETAILS, 0)
    changed = {place for place in world.store if world.store[place] != before.get(place)}
    assert {table for table, _ in changed} == {Table.TXID}


def test_it_does_not_run_when_the_own_rule_refuses_or_changes_nothing() -> None:
    world = world_with_form()
    assert world.code(BUREAU, LETTER) is Code.WRONG_PARTY
    assert tally(world) is None
    world.ok(SELLER, LETTER)
    again = world.ok(SELLER, LETTER)

    assert again.notes[0].number == number(1)
    assert tally(world) == Tally(1, 50)
    assert clear(world) is Code.OK
    assert tally(world) == Tally()


def test_it_is_listed_with_the_operation_and_absent_without_its_law() -> None:
    refusals = WITH_MADE_UP.refusals[ops.IssueRedLetter]
    assert refusals == RULEBOOK.refusals[ops.IssueRedLetter] | {Code.NO_DETAILS}
    assert [each.apply for each in WITH_MADE_UP.attached[ops.IssueRedLetter]] == [_count]
    assert RULEBOOK.attached == {}

    world = world_with_form()
    world.rulebook = RULEBOOK
    world.ok(SELLER, LETTER)
    assert tally(world) is None


def test_it_runs_for_an_issuer_that_has_retired_too() -> None:
    world = world_with_form()
    world.ok(BUREAU, AllotSegment(BUREAU, number(5_000), 10))
    proposal = Propose(Retire(SELLER), "closed its doors", 0)
    world.ok(BUREAU, proposal)
    world.ok(SECOND_BUREAU, Vote(proposal_id(BUREAU, proposal), SELLER, True))
    red = make_red(5_000, BLUE, 0, net=44, tax=6)
    world.ok(BUREAU, ops.ActForRetired(SELLER, red))

    assert tally(world) == Tally(1, 50)


# --- Networks without a domain ---


def world_without_invoices() -> World:
    return World(make_genesis(make_terms(("membership",))))


def test_an_operation_of_a_domain_that_is_not_there_is_refused() -> None:
    world = world_without_invoices()

    result = world.run(SELLER, make_issue(1))
    assert (result.code, result.operation, result.leaf) == (Code.DOMAIN_ABSENT, 0, True)
    carried, _ = world.by_key(SEED, BUREAU, ops.OfferInvoice(BLUE, BUREAU, 9))
    assert world.block([carried]).results[0].code is Code.DOMAIN_ABSENT
    world.ok(BUREAU, Propose(Retire(SELLER), "closed its doors", 0))


def test_a_key_of_any_scope_hears_that_the_domain_is_absent() -> None:
    world = world_without_invoices()
    world.ok(SELLER, adding(world, 1, scope=int(Scope.KEYS)))

    assert signed_by(world, fresh(1), make_issue(1)) is Code.DOMAIN_ABSENT


def test_its_rows_are_not_opened_and_its_tables_not_known() -> None:
    world = world_without_invoices()

    assert Table.TAX_RATES not in {table for table, _ in world.store}
    assert Table.INVOICE not in {kind.table for kind in rulebook_of(("membership",)).tables}
    assert Table.TAX_RATES in {table for table, _ in World().store}


def test_the_order_in_which_a_genesis_names_domains_makes_no_other_rules() -> None:
    assert rulebook_of(EVERY_DOMAIN[::-1]) is RULEBOOK


def test_what_a_domain_attaches_is_absent_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.ledger.rulebook.LAWS", (MEMBERSHIP_LAW, INVOICES_LAW, MADE_UP))
    rulebook_of.cache_clear()
    try:
        with_it = rulebook_of(("membership", "invoices", MADE_UP.name))
        assert set(with_it.attached) == {ops.IssueRedLetter}
        assert rulebook_of(("membership", "invoices")).attached == {}
        with pytest.raises(RulebookError, match="IssueRedLetter, which no law has"):
            rulebook_of(("membership", MADE_UP.name))
    finally:
        rulebook_of.cache_clear()


def test_a_domain_that_this_program_does_not_know_ends_the_start() -> None:
    with pytest.raises(RulebookError, match=r"no domain 'barter'; it knows .*invoices, memb"):
        rulebook_of(("membership", "barter"))

"""A fault of the rules costs its transaction only; one of the machine costs the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.ledger.codes import LEAFLESS_MAX, Code, Table
from node.ledger.execution import blobs, footprint
from node.ledger.execution import execute as execution
from node.ledger.execution.execute import CheckedTransaction, PrefetchedState, execute_block
from node.ledger.faults import FAULTS_KEPT_MAX
from node.ledger.invoices import booking
from node.ledger.invoices import operations as ops
from node.ledger.invoices.on_invoice import on_invoice
from node.ledger.invoices.rows import ORDERS, InvoiceRow, OrderRow, order_key
from node.ledger.reads import Reads
from node.ledger.row_codec import live_key
from node.ledger.rulebook import RULEBOOK, Rulebook
from node.ledger.step import Step
from node.ledger.stored import Scan, UnprefetchedError, UnreadableStateError
from node.ledger.transaction import Transaction
from tests.ledger.world import BUYER, SELLER, STRANGER, World, issued, make_issue, number

FAULT = "planted"
BLUE = number(0)
Rule = Callable[[Step, Any, Any], Code]


def book(reference: str = FAULT) -> ops.BookInvoice:
    return ops.BookInvoice(BLUE, reference)


@pytest.fixture
def world() -> World:
    world = issued()
    world.faulty = True
    return world


def plant(patch: pytest.MonkeyPatch, fault: Rule) -> None:
    """The rule of booking fails over one reference, after it has written."""

    def rule(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
        code = booking.book(step, invoice, op)
        return fault(step, invoice, op) if op.reference == FAULT else code

    patch.setitem(RULEBOOK.rules, ops.BookInvoice, on_invoice(rule, open_only=True))


def raising(error: BaseException) -> Rule:
    def fail(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
        raise error

    return fail


def recurse(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
    return recurse(step, invoice, op)


def no_code(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Any:
    return "not a code"


def unencodable(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
    invoice.locked = 2**65
    return Code.OK


def undecodable_type(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
    invoice.holder = object()  # type: ignore[assignment]
    return Code.OK


def surrogate(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
    invoice.holder = "\ud800"
    return Code.OK


def rewritten_order(step: Step, invoice: InvoiceRow, op: ops.BookInvoice) -> Code:
    step.state[ORDERS].put(order_key(SELLER, invoice.order), OrderRow("0" * 20, b""))
    return Code.OK


FAULTS: dict[str, Rule] = {
    "key error": raising(KeyError("x")),
    "assertion": raising(AssertionError()),
    "unprefetched": raising(UnprefetchedError("x")),
    "stop iteration": raising(StopIteration()),
    "recursion": recurse,
    "no code": no_code,
    "number too large to store": unencodable,
    "value of no type": undecodable_type,
    "text that is no text": surrogate,
    "order written twice": rewritten_order,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_rules_costs_its_transaction_only(
    world: World, fault: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault is rewritten_order:
        key = order_key(SELLER, world.invoice(BLUE).order)
        name_rows = footprint.name_rows

        def also_the_order(found: Reads, transaction: Transaction, rulebook: Rulebook) -> None:
            name_rows(found, transaction, rulebook)
            found.rows[Table.ORDER][key] = None

        monkeypatch.setattr(footprint, "name_rows", also_the_order)
    plant(monkeypatch, fault)
    faulty = world.transaction(BUYER, [ops.RespondInvoice(BLUE, 1, 0, ""), book()])
    before = world.transaction(SELLER, [make_issue(1)])
    after = world.transaction(BUYER, [book("sound")])
    rows = dict(world.store)

    outcome = world.block([before, faulty, after])

    codes = [(r.code, r.operation, r.leaf) for r in outcome.results]
    assert codes == [(Code.OK, None, True), (Code.RULE_FAULT, 1, True), (Code.OK, None, True)]
    assert [(f.txid, f.operation) for f in outcome.faults] == [(faulty.txid, 1)]
    assert outcome.faults[0].error is not None
    assert world.invoice(BLUE).response == 0, "what it did before the fault is undone"
    assert [b.reference for b in world.invoice(BLUE).bookings] == ["sound"]
    live = (Table.TXID, live_key(faulty.body.valid_until, faulty.txid))
    assert live in world.store
    assert live not in rows
    assert world.block([faulty]).results[0].code is Code.DUPLICATE, "it is not done again"


def test_the_outcome_does_not_hang_on_how_careful_the_block_was_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, unencodable)
    sound = [world.transaction(BUYER, [book(f"sound {n}")]) for n in range(2)]
    other = World(world.genesis)
    other.store, other.height, other.now, other.digest = (
        dict(world.store),
        world.height,
        world.now,
        world.digest,
    )
    alone = other.block(sound)
    careful = world.block([*sound, world.transaction(BUYER, [book()])])

    assert careful.results[:2] == alone.results
    assert careful.changes[: len(alone.changes) - 1] == alone.changes[:-1]


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError(28, "disk full"), UnreadableStateError(), KeyboardInterrupt()]
)
def test_a_fault_of_the_machine_ends_the_block(
    world: World, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, raising(error))
    with pytest.raises(type(error)):
        world.run(BUYER, book())


def test_a_damaged_row_ends_the_block_and_is_no_outcome(world: World) -> None:
    world.store[Table.INVOICE, BLUE.encode()] = b"\x93\x01"
    with pytest.raises(UnreadableStateError):
        world.run(BUYER, book("sound"))


def test_a_fault_before_the_author_is_known_leaves_no_leaf(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = blobs.travelling_blobs

    def fail(transaction: Transaction, *, some: bool = False) -> Any:
        if transaction.body.author == STRANGER:
            raise ValueError
        return sound(transaction, some=some)

    monkeypatch.setattr(execution, "travelling_blobs", fail)
    faulty = world.transaction(STRANGER, [book("sound")])
    outcome = world.block([faulty, world.transaction(BUYER, [book("sound")])])

    assert [(r.code, r.leaf) for r in outcome.results] == [(Code.RULE_FAULT, False), (0, True)]
    assert (Table.TXID, live_key(faulty.body.valid_until, faulty.txid)) not in world.store
    assert Code.RULE_FAULT > LEAFLESS_MAX, "the code alone does not say that there is no leaf"


def test_a_fault_in_the_operation_of_a_bare_key_is_one_of_its_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, raising(KeyError()))
    transaction, _ = world.by_key(bytes(32), SELLER, book())
    outcome = world.block([transaction])
    assert (outcome.results[0].code, outcome.results[0].leaf) == (Code.RULE_FAULT, True)
    assert [change.table for change in outcome.changes] == [Table.TXID], "not the bare key's record"


def test_few_errors_of_a_block_are_kept_and_all_are_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, raising(KeyError()))
    count = FAULTS_KEPT_MAX + 3
    outcome = world.block([world.transaction(BUYER, [book()]) for _ in range(count)])
    assert len(outcome.faults) == count
    assert sum(fault.error is not None for fault in outcome.faults) == FAULTS_KEPT_MAX


# --- The footprint decides nothing ---


class Stored:
    """Reads what was forgotten, as the storage floor does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.asked: list[bytes] = []

    def row(self, table: Table, key: bytes) -> bytes | None:
        self.asked.append(key)
        return self._world.store.get((table, key))

    def scan(self, scan: Scan) -> list[tuple[bytes, bytes]]:
        self.asked.append(scan.low)
        found = sorted((k, v) for (t, k), v in self._world.store.items() if t is scan.table)
        return [(k, v) for k, v in found if scan.low <= k < scan.high][: scan.limit]


def test_a_block_whose_footprint_is_empty_comes_to_the_same(world: World) -> None:
    transactions = [
        world.transaction(SELLER, [make_issue(1)]),
        world.transaction(BUYER, [book("sound")]),
        world.transaction(BUYER, [book("sound")]),
    ]
    world.height += 1
    context = world.context()
    checked = [CheckedTransaction(transaction, True) for transaction in transactions]
    stored = Stored(world)
    forgotten = execute_block(PrefetchedState({}, {}, stored), context, checked)
    world.height -= 1
    outcome = world.block(transactions)

    assert forgotten == outcome
    assert len(stored.asked) > 5


def test_a_footprint_that_fails_over_a_transaction_is_told_and_costs_reads_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, actor: str, op: Any) -> None:
        raise KeyError(op)

    monkeypatch.setitem(RULEBOOK.reads, ops.OfferInvoice, fail)
    offer = ops.OfferInvoice(BLUE, STRANGER, world.now + 1_000)
    transaction = world.transaction(BUYER, [offer])
    checked = [CheckedTransaction(transaction, True)]
    world.height += 1
    wanted = footprint.footprint(checked, world.context())
    assert [txid for txid, _ in wanted.faults] == [transaction.txid]
    view = PrefetchedState({}, {}, Stored(world))
    outcome = execute_block(view, world.context(), checked)
    assert outcome.results[0].code is Code.OK
    assert Table.INVOICE in [change.table for change in outcome.changes]

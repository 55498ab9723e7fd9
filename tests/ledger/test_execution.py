"""The envelope, all-or-none, bare keys, expiry, determinism, and what a block may read."""

from __future__ import annotations

import hashlib

import pytest

from node.ledger.codes import LEAFLESS_MAX, Code, Table
from node.ledger.context import BlockContext
from node.ledger.execution.bykey import BY_KEY_TAG, decode_operation, encode_operation, message_of
from node.ledger.execution.execute import (
    CheckedTransaction,
    PrefetchedState,
    Result,
    Scan,
    UnknownRulesError,
    UnprefetchedError,
    execute_block,
    footprint,
)
from node.ledger.execution.footprint import EXPIRED_MIN
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment
from node.ledger.operations import ByKey, DirectOperation
from node.ledger.participants import ParticipantState, decode_participant
from node.ledger.row_codec import (
    RULES_KEY,
    RulesRow,
    decode_height,
    encode_height,
    encode_row,
    live_key,
)
from node.ledger.signing import public_key, sign
from node.ledger.transaction import MalformedTransactionError, Transaction
from tests.ledger.recording import recorded_history
from tests.ledger.world import (
    BUREAU,
    BUYER,
    HOUR,
    PAYMASTER,
    SELLER,
    START,
    STRANGER,
    World,
    issued,
    key_of,
    make_genesis,
    make_issue,
    make_red,
    number,
    open_registers,
    opened,
)
from tests.terms import make_terms

BLUE = number(0)
SEED = bytes(range(32))
BARE = public_key(SEED).hex()


def live_rows(world: World) -> dict[bytes, bytes]:
    return {key: row for (table, key), row in world.store.items() if table is Table.TXID}


# --- Envelope ---

ENVELOPES: list[tuple[Code, dict[str, object]]] = [
    (Code.WRONG_NETWORK, {"network": bytes(32)}),
    (Code.UNKNOWN_AUTHOR, {"author": "9" * 18}),
    (Code.UNKNOWN_AUTHOR, {"key": bytes(32)}),
    (Code.UNKNOWN_AUTHOR, {"key": key_of(BUYER)}),
    (Code.EXPIRED, {"valid_until": 1}),
    (Code.VALIDITY_TOO_LONG, {"valid_until": 2 + 1_000 + 1}),
]


@pytest.mark.parametrize(("code", "changed"), ENVELOPES)
def test_a_bad_envelope_leaves_no_leaf_and_no_record(
    code: Code, changed: dict[str, object]
) -> None:
    world = opened(make_genesis(make_terms(validity_heights=1_000)))
    before = dict(world.store)
    result = world.block([world.transaction(SELLER, [make_issue()], **changed)]).results[0]
    assert (result.code, result.operation, result.leaf) == (code, None, False)
    assert code <= LEAFLESS_MAX
    assert world.store == before


@pytest.mark.parametrize("valid_until", [2, 2 + 1_000])
def test_the_first_and_the_last_height_of_validity_count(valid_until: int) -> None:
    world = opened(make_genesis(make_terms(validity_heights=1_000)))
    transaction = world.transaction(SELLER, [make_issue()], valid_until=valid_until)
    assert world.block([transaction]).results[0].code is Code.OK


def test_genesis_cannot_lengthen_the_window_past_the_formats_limit() -> None:
    world = opened(make_genesis(make_terms(validity_heights=10**9)))
    transaction = world.transaction(SELLER, [make_issue()], valid_until=2 + 100_001)
    assert world.block([transaction]).results[0].code is Code.VALIDITY_TOO_LONG


def test_a_bad_signature_leaves_no_leaf() -> None:
    world = opened()
    result = world.block([world.transaction(SELLER, [make_issue()])], signed=False).results[0]
    assert (result.code, result.leaf) == (Code.BAD_SIGNATURE, False)


@pytest.mark.parametrize("state", [ParticipantState.SUSPENDED, ParticipantState.RETIRED])
def test_only_active_participants_are_authors(state: ParticipantState) -> None:
    world = opened()
    place = (Table.PARTICIPANT, SELLER.encode())
    row = decode_participant(world.store[place])
    row.state = state
    world.replace_row(*place, encode_row(row))
    assert world.code(SELLER, make_issue()) is Code.AUTHOR_NOT_ACTIVE


def test_a_duplicate_is_skipped_in_its_block_and_later() -> None:
    world = opened()
    once = world.transaction(SELLER, [make_issue()])
    results = world.block([once, once]).results
    assert [(r.code, r.leaf) for r in results] == [(Code.OK, True), (Code.DUPLICATE, False)]
    assert world.block([once]).results[0].code is Code.DUPLICATE


def test_a_refused_transaction_is_recorded_and_not_tried_again() -> None:
    world = opened()
    early = world.transaction(SELLER, [make_issue(5_000)])
    refused = world.block([early]).results[0]
    assert (refused.code, refused.leaf) == (Code.NUMBER_NOT_ALLOTTED, True)
    key = live_key(early.body.valid_until, early.txid)
    assert decode_height(live_rows(world)[key]) == world.height
    assert world.block([early]).results[0].code is Code.DUPLICATE


# --- Expiry of live rows ---


def test_live_rows_go_when_their_last_height_has_passed() -> None:
    world = opened()
    transaction = world.transaction(SELLER, [make_issue()], valid_until=3)
    world.block([transaction])
    key = live_key(3, transaction.txid)
    world.block([])
    assert key in live_rows(world)
    changes = world.block([]).changes
    assert key not in live_rows(world)
    assert [(c.table, c.key, c.new) for c in changes] == [(Table.TXID, key, None)]
    assert world.block([transaction]).results[0].code is Code.EXPIRED


def test_a_block_deletes_a_bounded_number_of_live_rows_oldest_first() -> None:
    world = opened()
    count = EXPIRED_MIN + 300
    for i in range(count):
        world.replace_row(Table.TXID, live_key(1 + i % 2, i.to_bytes(32, "big")), encode_height(1))
    kept = len(live_rows(world)) - count
    world.height = 5
    deleted = [change.key for change in world.block([]).changes]
    assert len(deleted) == EXPIRED_MIN
    assert sum(key < live_key(2, bytes(32)) for key in deleted) == count / 2
    world.block([])
    assert len(live_rows(world)) == kept


def test_what_left_no_leaf_does_not_change_how_many_live_rows_go() -> None:
    """Else who rebuilds the state from the leaves would come to another one."""
    whole, rebuilt = opened(), opened()
    for world in (whole, rebuilt):
        for i in range(EXPIRED_MIN + 300):
            row = live_key(1, i.to_bytes(32, "big"))
            world.replace_row(Table.TXID, row, encode_height(1))
        world.height = 5
    issue = whole.transaction(SELLER, [make_issue()])
    outcome = whole.block([issue] * 50)
    assert [result.leaf for result in outcome.results] == [True] + [False] * 49
    rebuilt.block([issue])
    assert whole.digest == rebuilt.digest
    assert whole.store == rebuilt.store


def certified(world: World, blobs: tuple[bytes, ...], *hold: bytes) -> Result:
    """A transaction that names these blobs, applied from its leaf beside those that are held."""
    named = tuple(hashlib.sha256(blob).digest() for blob in blobs)
    transaction = world.transaction(SELLER, [make_issue(blobs=named)], hold)
    world.height += 1
    context, checked = world.context(), [CheckedTransaction(transaction, True, certified=True)]
    return execute_block(world._prefetch(checked, context), context, checked).results[0]


@pytest.mark.parametrize("held", [(), (b"a",), (b"b",), (b"a", b"b")])
def test_of_a_certified_transaction_blobs_may_be_missing(held: tuple[bytes, ...]) -> None:
    result = certified(opened(), (b"a", b"b"), *held)
    assert (result.code, [blob for _, blob in result.blobs]) == (Code.OK, list(held))


@pytest.mark.parametrize("held", [(b"x",), (b"b", b"a"), (b"a", b"a"), (b"a", b"b", b"b")])
def test_of_a_certified_transaction_no_blob_may_be_another(held: tuple[bytes, ...]) -> None:
    result = certified(opened(), (b"a", b"b"), *held)
    assert (result.code, result.leaf) == (Code.BLOB_MISMATCH, False)


# --- All or none ---


def test_a_refused_operation_undoes_those_before_it() -> None:
    world = issued()
    before = dict(world.store)
    result = world.run(
        SELLER,
        make_issue(1),
        ops.RequestRedLetter(BLUE, 1_130, 1),
        make_red(2, BLUE, 0, net=1_000, tax=130),
        make_issue(3),
        ops.CancelInvoice(number(3), ""),
        make_issue(1, order_name="other"),
    )
    assert (result.code, result.operation, result.notes) == (Code.NUMBER_USED, 5, ())
    after = {place: row for place, row in world.store.items() if place[0] is not Table.TXID}
    assert after == {p: r for p, r in before.items() if p[0] is not Table.TXID}


def test_a_refusal_undoes_nothing_of_the_transactions_before_it() -> None:
    world = opened()
    block = [
        world.transaction(SELLER, [make_issue(0), make_issue(1)]),
        world.transaction(SELLER, [make_issue(5), make_issue(0, order_name="again")]),
        world.transaction(SELLER, [make_issue(2), make_issue(3)]),
    ]
    results = world.block(block).results
    assert [(r.code, r.operation) for r in results] == [
        (Code.OK, None),
        (Code.NUMBER_USED, 1),
        (Code.OK, None),
    ]
    assert (Table.INVOICE, number(5).encode()) not in world.store
    assert world.quota().used == 4_000
    assert world.segments().segments[0].used == 4


def test_a_block_reads_its_own_writes() -> None:
    world = opened()
    until = world.now + HOUR
    block = [
        world.transaction(SELLER, [make_issue(0)]),
        world.transaction(BUYER, [ops.OfferInvoice(BLUE, STRANGER, until)]),
        world.transaction(STRANGER, [ops.SignOffer(BLUE), ops.SubmitInvoice(BLUE, PAYMASTER, 9)]),
        world.transaction(PAYMASTER, [ops.ClaimInvoice(BLUE, 9)]),
    ]
    outcome = world.block(block)
    assert [r.code for r in outcome.results] == [Code.OK] * 4
    assert sum(change.table is Table.INVOICE for change in outcome.changes) == 1
    assert (world.invoice(BLUE).holder, world.invoice(BLUE).locked) == (STRANGER, 9)


# --- Bare keys ---


def bare_world() -> World:
    return issued(buyer=BARE)


def test_a_bare_key_acts_inside_any_participants_transaction() -> None:
    world = bare_world()
    carried, _ = world.by_key(SEED, STRANGER, ops.SubmitInvoice(BLUE, PAYMASTER, 100))
    assert world.block([carried]).results[0].code is Code.OK
    assert world.invoice(BLUE).submissions[0].to == PAYMASTER
    request, _ = world.by_key(SEED, SELLER, ops.RequestRedLetter(BLUE, 5, 2))
    assert world.block([request]).results[0].code is Code.OK
    assert not world.invoice(BLUE).forms[0].by_issuer


def test_an_operation_that_is_not_wrapped_acts_for_the_author() -> None:
    world = bare_world()
    assert world.code(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 1)) is Code.NOT_HOLDER


def test_wrapping_ends_with_its_operation() -> None:
    world = bare_world()
    _, wrapped = world.by_key(SEED, SELLER, ops.BookInvoice(BLUE, "b"))
    body_nonce = world.nonce
    both = world.transaction(
        SELLER, [wrapped, make_issue(1)], nonce=body_nonce, valid_until=world.height + 10
    )
    assert world.block([both]).results[0].code is Code.OK


def _altered(world: World, transaction: Transaction, **changed: object) -> Transaction:
    """The same wrapped operations in a transaction with another body."""
    fields = {
        "nonce": transaction.body.nonce,
        "valid_until": transaction.body.valid_until,
        **changed,
    }
    author = str(fields.pop("author", transaction.body.author))
    return world.transaction(author, transaction.body.operations, **fields)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": 999},
        {"valid_until": 9},
        {"author": STRANGER, "key": key_of(STRANGER)},
    ],
    ids=["nonce", "valid until", "author"],
)
def test_a_bare_keys_operation_cannot_be_lifted_into_another_transaction(
    changed: dict[str, object],
) -> None:
    world = bare_world()
    carried, _ = world.by_key(SEED, SELLER, ops.BookInvoice(BLUE, "b"))
    lifted = _altered(world, carried, **changed)
    result = world.block([lifted]).results[0]
    assert (result.code, result.leaf) == (Code.PARTY_SIGNATURE_INVALID, True)
    assert world.block([carried]).results[0].code is Code.OK


def test_an_author_cannot_repeat_a_bare_keys_operation() -> None:
    world = bare_world()
    carried, wrapped = world.by_key(SEED, SELLER, ops.RequestRedLetter(BLUE, 5, 2))
    twice = world.transaction(
        SELLER,
        [wrapped, wrapped],
        nonce=carried.body.nonce,
        valid_until=carried.body.valid_until,
    )
    assert world.block([twice]).results[0].code is Code.PARTY_SIGNATURE_INVALID
    assert world.block([carried]).results[0].code is Code.OK
    beside = world.transaction(
        SELLER,
        [make_issue(1), wrapped],
        nonce=carried.body.nonce,
        valid_until=carried.body.valid_until,
    )
    assert world.block([beside]).results[0].code is Code.PARTY_SIGNATURE_INVALID
    assert len(world.invoice(BLUE).forms) == 1


def test_a_bare_keys_operation_of_a_refused_transaction_may_be_used_again() -> None:
    world = bare_world()
    carried, wrapped = world.by_key(SEED, SELLER, ops.BookInvoice(BLUE, "b"))
    refused = world.transaction(
        SELLER,
        [wrapped, make_issue(9_999)],
        nonce=carried.body.nonce,
        valid_until=carried.body.valid_until,
    )
    assert world.block([refused]).results[0].code is Code.NUMBER_NOT_ALLOTTED
    assert world.block([carried]).results[0].code is Code.OK


def test_a_strangers_signature_does_not_act_for_the_key() -> None:
    world = bare_world()
    carried, wrapped = world.by_key(SEED, SELLER, ops.BookInvoice(BLUE, "b"))
    forged = ByKey(
        wrapped.key, sign(bytes(32), message_of(carried.body, wrapped)), wrapped.operation
    )
    transaction = world.transaction(
        SELLER, [forged], nonce=carried.body.nonce, valid_until=carried.body.valid_until
    )
    assert world.block([transaction]).results[0].code is Code.PARTY_SIGNATURE_INVALID


@pytest.mark.parametrize(
    "operation",
    [
        make_issue(1),
        AllotSegment(SELLER, number(5_000), 1),
        ops.ClaimInvoice(BLUE, 1),
        ops.CancelInvoice(BLUE, ""),
        make_red(1, BLUE, 0, net=1, tax=0),
    ],
)
def test_what_needs_a_participant_is_not_for_bare_keys(operation: DirectOperation) -> None:
    world = bare_world()
    carried, _ = world.by_key(SEED, BUREAU, operation)
    assert world.block([carried]).results[0].code is Code.NOT_PERMITTED


def test_a_malformed_wrapped_operation_leaves_no_leaf() -> None:
    world = bare_world()
    inner = encode_operation(ops.BookInvoice(BLUE, "b"))
    loose = b"\xdc\x00\x03" + inner[1:]  # the same array with a longer header
    for data in (b"", b"\xc0", inner + b"\x00", loose):
        result = world.run(SELLER, ByKey(bytes(32), bytes(64), data))
        assert (result.code, result.leaf) == (Code.MALFORMED, False)
        with pytest.raises(MalformedTransactionError):
            decode_operation(data)
    assert decode_operation(inner) == ops.BookInvoice(BLUE, "b")


def test_what_a_bare_key_signs_names_tag_network_author_nonce_and_validity() -> None:
    world = bare_world()
    carried, wrapped = world.by_key(SEED, SELLER, ops.BookInvoice(BLUE, "b"))
    message = message_of(carried.body, wrapped)
    head = BY_KEY_TAG + world.network_id + SELLER.encode()
    assert message[: len(head)] == head
    rest = message[len(head) :]
    assert int.from_bytes(rest[:8], "big") == carried.body.nonce
    assert int.from_bytes(rest[8:16], "big") == carried.body.valid_until
    assert rest[16:] == wrapped.operation


# --- Reading ---


def test_reading_what_was_not_prefetched_is_an_error() -> None:
    view = PrefetchedState({Table.META: {b"there": b"x", b"not there": None}}, {})
    read = view.reader(Table.META)
    assert read(b"there") == b"x"
    assert read(b"not there") is None
    with pytest.raises(UnprefetchedError):
        read(b"unknown")
    with pytest.raises(UnprefetchedError):
        view.reader(Table.INVOICE)(b"there")
    with pytest.raises(UnprefetchedError):
        view.scan(Scan(Table.META, b"", b"z", 1))


def test_a_block_without_one_of_its_rows_is_a_fault_and_not_a_refusal() -> None:
    world = opened()
    world.height += 1
    checked = [CheckedTransaction(world.transaction(SELLER, [make_issue()]), True)]
    wanted = footprint(checked, world.context())
    scans: dict[Scan, list[tuple[bytes, bytes]]] = {scan: [] for scan in wanted.scans}
    rows = {
        table: {key: world.store.get((table, key)) for key in keys}
        for table, keys in wanted.rows.items()
    }
    execute_block(PrefetchedState(rows, scans), world.context(), checked)
    places = [(table, key) for table, keys in wanted.rows.items() for key in keys]
    for table, missing in places:
        if (table, missing) == (Table.TAX_RATES, SELLER.encode()) or table is Table.META:
            continue
        left = {key: value for key, value in rows[table].items() if key != missing}
        part = {**rows, table: left}
        faults = execute_block(PrefetchedState(part, scans), world.context(), checked).faults
        assert [type(fault.error) for fault in faults] == [UnprefetchedError], (table, missing)


def test_unknown_rules_stop_the_node() -> None:
    world = opened()
    world.replace_row(Table.META, RULES_KEY, encode_row(RulesRow(2)))
    with pytest.raises(UnknownRulesError):
        world.block([])


# --- Determinism ---


def _history(world: World) -> None:
    world.ok(SELLER, make_issue(0), make_issue(1))
    world.run(SELLER, make_issue(1, order_name="clash"))
    world.ok(BUYER, ops.SubmitInvoice(BLUE, PAYMASTER, 700), ops.BookInvoice(number(1), "b"))
    world.ok(PAYMASTER, ops.ClaimInvoice(BLUE, 600), ops.ReimburseClaim(BLUE, 0, 500, "b", "p"))
    world.later(HOUR)
    world.ok(SELLER, ops.RequestRedLetter(BLUE, 1_130, 1))
    world.ok(BUYER, ops.ConfirmRedLetter(BLUE, 0))
    world.ok(PAYMASTER, ops.ConsentRedLetter(BLUE, 0, 0, 0, 500))
    world.ok(SELLER, make_red(9, BLUE, 0, net=1_000, tax=130))


def test_the_same_blocks_make_the_same_changes_and_digest() -> None:
    first, second = opened(), opened()
    _history(first)
    _history(second)
    assert first.log == second.log
    assert first.digest == second.digest
    assert first.digest.rows == len(first.store)


def test_rows_of_a_fixed_history_keep_their_bytes() -> None:
    """A change of this value is a change of the format: it needs a new rules version."""
    world = World()
    world.network_id = recorded_history().network_id  # rows name transactions, and those it
    open_registers(world)
    _history(world)
    assert world.digest.value().hex() == PINNED_DIGEST


PINNED_DIGEST = "03a221ca23155bbc4477b32395dafa05319671cdbbd0e07968f045c1d8222f50"


# --- Calendar ---


@pytest.mark.parametrize(
    ("time_ms", "month", "date"),
    [
        (0, 197_001, "1970-01-01"),
        (START - 1, 202_608, "2026-08-31"),
        (START, 202_609, "2026-09-01"),
        (2**53, 999_912, "9999-12-31"),
    ],
)
def test_month_and_date_are_those_of_the_block_time_in_utc(
    time_ms: int, month: int, date: str
) -> None:
    context = BlockContext(bytes(32), 1, time_ms, "CNY", make_terms())
    assert (context.month, context.date) == (month, date)

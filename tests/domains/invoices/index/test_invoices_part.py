"""The invoices' part of the query index: steps, lists, inbox, statements, rebuilding."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from node.domains.invoices.index import queries
from node.domains.invoices.index.queries import (
    IndexedInvoice,
    InvoiceFilter,
    InvoiceQueries,
    ListWalk,
    WaitingItem,
)
from node.domains.invoices.index.rows import WaitingKind, invoice_batch, waiting_of
from node.domains.invoices.index.statement_rows import WHOLE, StatementKind
from node.ledger.execution.bykey import encode_operation
from node.ledger.invoices import operations as ops
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.rows import (
    Document,
    FormRow,
    FormState,
    GroupRow,
    InvoiceRow,
    OfferRow,
    Response,
    SubmissionRow,
)
from node.ledger.operations import ByKey, Operation
from node.ledger.rulebook import RULEBOOK
from node.ledger.transaction import transaction_id
from node.storage.index import QueryIndex, discard
from node.storage.index_part import open_block
from node.storage.sql import Sql
from node.storage.transactions_part import TransactionQueries
from tests.domains.invoices.index.handmade import (
    BUYER,
    ISSUER,
    NEVER,
    PAYER,
    Ledger,
    follow,
    issue,
    number,
    row,
)
from tests.index_parts import INDEX_PARTS


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[QueryIndex]:
    opened = await QueryIndex.open(tmp_path / "index.db", INDEX_PARTS, b"network")
    yield opened
    await opened.close()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def listed(index: QueryIndex, limit: int = 100, **conditions: object) -> list[str]:
    wanted = InvoiceFilter(**conditions)  # type: ignore[arg-type]
    page = await InvoiceQueries(index).invoices(wanted, None, limit)
    return [invoice.number for invoice in page.invoices]


# --- Statements ------------------------------------------------------------------------------


async def test_a_statement_counts_issued_red_and_cancelled_by_rate_at_any_pace(
    tmp_path: Path, ledger: Ledger
) -> None:
    groups = (GroupRow(0, 40, 0, 1), GroupRow(1_300, 60, 8, 1))
    month_ms = 31 * 86_400_000

    def put(n: int, txid: bytes, **changes: object) -> None:
        values = {"groups": groups, "net": 100, "tax": 8, "gross": 108, **changes}
        ledger.put(row(number(n), txid, **values))  # type: ignore[arg-type]

    first = ledger.body([issue(number(1)), issue(number(2))])
    put(1, transaction_id(first))
    put(2, transaction_id(first), document=Document.CANCELLED)
    cancel = ledger.body([ops.CancelInvoice(number(2), "wrong")])
    red = ledger.body(
        [
            ops.IssueRedLetter(
                *(number(1), 0, number(3), (RateGroup(1_300, 60, 8, 1),), 60, 8, 68, bytes(32)),
                *(None, ()),
            )
        ]
    )
    put(3, transaction_id(red), original=number(1), groups=groups[1:], net=60, gross=68)
    later = ledger.body([issue(number(4))])
    put(4, transaction_id(later), issued_at=month_ms)
    repeated = ledger.body([issue(number(5))])
    refused = ledger.body([issue(number(6)), ops.CancelInvoice(number(1), "no")])
    blocks = [
        ledger.block(first),
        ledger.block(cancel, red),
        ledger.block(later, repeated, (refused, 124)),
    ]

    found = []
    for pace in (1, 2, 3):
        opened = await QueryIndex.open(tmp_path / f"{pace}.db", INDEX_PARTS, b"network")
        for start in range(0, len(blocks), pace):
            await follow(opened, ledger, *blocks[start : start + pace])
        found.append(
            (
                await InvoiceQueries(opened).statement(ISSUER, 197001),
                await InvoiceQueries(opened).statement(ISSUER, 197002),
            )
        )
        await opened.close()

    assert found[0] == found[1] == found[2]
    january, february = found[0]
    assert [msgspec.structs.astuple(line)[1:] for line in january] == [
        (StatementKind.ISSUED, WHOLE, 2, 200, 16),
        (StatementKind.ISSUED, 0, 2, 80, 0),
        (StatementKind.ISSUED, 1_300, 2, 120, 16),
        (StatementKind.RED, WHOLE, 1, 60, 8),
        (StatementKind.RED, 1_300, 1, 60, 8),
        (StatementKind.CANCELLED, WHOLE, 1, 100, 8),
        (StatementKind.CANCELLED, 0, 1, 40, 0),
        (StatementKind.CANCELLED, 1_300, 1, 60, 8),
    ]
    assert [(line.kind, line.rate, line.documents) for line in february] == [
        (StatementKind.ISSUED, WHOLE, 1),
        (StatementKind.ISSUED, 0, 1),
        (StatementKind.ISSUED, 1_300, 1),
    ]


async def test_sums_of_a_statement_pass_64_bits(index: QueryIndex, ledger: Ledger) -> None:
    body = ledger.issue(number(1), gross=10**15)
    await follow(index, ledger, ledger.block(body))
    await index._writer.run(
        lambda c: c.execute("UPDATE invoice_statements SET net = ?", (str(10**20),)).rowcount
    )
    await follow(index, ledger, ledger.block(ledger.issue(number(2), gross=10**15)))

    (whole,) = await InvoiceQueries(index).statement(ISSUER, 197001)
    assert whole.net == 10**20 + 10**15


# --- Following -------------------------------------------------------------------------------


async def test_a_refused_transaction_leaves_no_step_and_no_invoice(
    index: QueryIndex, ledger: Ledger
) -> None:
    await follow(index, ledger, ledger.block((ledger.body([issue(number(1))]), 124)))

    assert await InvoiceQueries(index).steps(number(1), NEVER, 10) == []
    assert await listed(index) == []


async def test_a_fault_over_one_transaction_costs_its_steps_only(
    index: QueryIndex, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> NoReturn:
        raise ZeroDivisionError

    monkeypatch.setitem(RULEBOOK.facts, ops.BookInvoice, fail)
    sound, faulty, after = (number(n) for n in (1, 2, 3))
    first, last = ledger.issue(sound), ledger.issue(after)
    book = ledger.body(
        [issue(faulty), ops.OfferInvoice(sound, BUYER, 9), ops.BookInvoice(sound, "x")]
    )
    block = ledger.block(first, book, last)
    batch = await index.prepare([block])
    assert [(part, txid) for part, txid, _ in batch.faults] == [("invoices", transaction_id(book))]
    await index.follow(batch, ledger.stored(batch.missing))

    assert await listed(index) == [after, sound]
    assert await InvoiceQueries(index).steps(sound, NEVER, 10) == []
    found = await TransactionQueries(index).transaction(transaction_id(book))
    assert found is not None
    assert index.height == 1


async def test_rebuilding_gives_the_same_answers(tmp_path: Path, ledger: Ledger) -> None:
    """Random lives of 60 invoices, followed block by block and again in batches with late rows."""
    rng = random.Random(11)
    path = tmp_path / "index.db"
    index = await QueryIndex.open(path, INDEX_PARTS, b"network")
    live: list[str] = []
    for height in range(120):
        bodies: list[bytes] = []
        if height % 2 == 0:
            fresh = number(height)
            bodies.append(ledger.issue(fresh, gross=rng.randrange(1, 1_000)))
            live.append(fresh)
        touched = rng.choice(live)
        invoice = msgspec.msgpack.decode(ledger.rows[touched], type=InvoiceRow)
        invoice.holder = rng.choice((BUYER, PAYER, "ab" * 32))
        invoice.document = rng.choice(list(Document))
        invoice.response = rng.choice(list(Response))
        invoice.frozen = rng.choice(("", "case"))
        invoice.submissions = (SubmissionRow(PAYER, 5, rng.randrange(2)),)
        ledger.put(invoice)
        bodies.append(ledger.body([ops.SubmitInvoice(touched, PAYER, 5)], author=BUYER))
        await follow(index, ledger, ledger.block(*bodies))

    async def answers(of: QueryIndex) -> list[object]:
        return [
            await InvoiceQueries(of).invoices(InvoiceFilter(), None, 500),
            *[
                await InvoiceQueries(of).invoices(InvoiceFilter(state=state), None, 500)
                for state in Document
            ],
            *[
                await InvoiceQueries(of).invoices(InvoiceFilter(response=said), None, 500)
                for said in Response
            ],
            await InvoiceQueries(of).invoices(InvoiceFilter(frozen=True), None, 500),
            *[await InvoiceQueries(of).steps(n, NEVER, 500) for n in live],
            [
                (w.kind, w.invoice.number)
                for w in await InvoiceQueries(of).waiting([PAYER], (-1, -1, -1), 500)
            ],
            of.height,
        ]

    before = await answers(index)
    await index.close()
    discard(path)
    rebuilt = await QueryIndex.open(path, INDEX_PARTS, b"network")
    for start in range(0, len(ledger.blocks), 50):
        await follow(rebuilt, ledger, *ledger.blocks[start : start + 50])

    assert await answers(rebuilt) == before
    await rebuilt.close()


# --- Repeated orders and late rows -----------------------------------------------------------


async def test_a_repeated_order_issues_nothing_under_its_own_number(
    index: QueryIndex, ledger: Ledger
) -> None:
    """The ledger answers a repeated order with the first number; the second may be used later."""
    first = ledger.block(ledger.issue(number(1)))
    repeated = ledger.block(ledger.body([issue(number(2))]))
    await follow(index, ledger, first, repeated)
    assert await listed(index) == [number(1)]
    assert await InvoiceQueries(index).invoice(number(2)) is None

    await follow(index, ledger, ledger.block(ledger.issue(number(2), gross=7)))

    assert await listed(index) == [number(2), number(1)]
    issued = await InvoiceQueries(index).invoice(number(2))
    assert issued is not None
    assert issued.leaf_index == ledger.blocks[2].first_index


async def test_the_same_order_twice_in_one_batch_is_issued_where_it_was_first(
    index: QueryIndex, ledger: Ledger
) -> None:
    issued, repeated = ledger.issue(number(1)), ledger.body([issue(number(1))])

    await follow(index, ledger, ledger.block(issued, repeated), ledger.block(repeated))

    (invoice,) = (await InvoiceQueries(index).invoices(InvoiceFilter(), None, 10)).invoices
    assert (invoice.number, invoice.leaf_index) == (number(1), 0)
    (whole,) = await InvoiceQueries(index).statement(ISSUER, 197001)
    assert whole.documents == 1


async def test_a_row_of_a_later_height_does_not_disturb_a_follower_that_lags(
    index: QueryIndex, ledger: Ledger
) -> None:
    repeated = ledger.block(ledger.body([issue(number(2))]))
    issued = ledger.block(ledger.issue(number(2)))
    cancelled = ledger.block(ledger.body([ops.CancelInvoice(number(2), "typo")]))
    ledger.put(
        row(
            number(2),
            msgspec.msgpack.decode(ledger.rows[number(2)], type=InvoiceRow).txid,
            document=Document.CANCELLED,
        )
    )

    await follow(index, ledger, repeated)  # the state already holds the invoice of block 2
    await follow(index, ledger, issued)
    await follow(index, ledger, cancelled)

    assert await listed(index) == [number(2)]
    assert [s.tag for s in await InvoiceQueries(index).steps(number(2), NEVER, 10)] == [50]


# --- Steps -----------------------------------------------------------------------------------


async def test_steps_tell_signer_amount_other_party_and_reference(
    index: QueryIndex, ledger: Ledger
) -> None:
    inner = msgspec.msgpack.encode(ops.SignOffer(number(1)))
    key = bytes(range(32))
    life: list[Operation] = [
        ops.OfferInvoice(number(1), PAYER, 9),
        ByKey(key, bytes(64), inner),
        ops.SubmitInvoice(number(1), PAYER, 60),
        ops.ClaimInvoice(number(1), 50),
        ops.ReimburseClaim(number(1), 0, 40, "B", "P"),
        ops.RequestRedLetter(number(1), 30, 2),
        ops.ConsentRedLetter(number(1), 3, 0, 5, 6),
    ]
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    body = ledger.body(life, author=BUYER)
    await follow(index, ledger, ledger.block(body))

    steps = await InvoiceQueries(index).steps(number(1), NEVER, 100)

    assert [(s.tag, s.signer, s.amount, s.other, s.reference) for s in steps] == [
        (20, BUYER, None, PAYER, None),
        (21, key.hex(), None, None, None),
        (30, BUYER, 60, PAYER, None),
        (31, BUYER, 50, None, None),
        (33, BUYER, 40, None, 0),
        (51, BUYER, 30, None, None),
        (56, BUYER, 11, None, 3),
    ]
    assert [(s.height, s.time_ms, s.index, s.operation) for s in steps[-2:]] == [
        (2, 2_000, 2, 5),
        (2, 2_000, 2, 6),
    ]
    assert {step.txid for step in steps} == {transaction_id(body)}


async def test_steps_page_by_position(index: QueryIndex, ledger: Ledger) -> None:
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    for _ in range(3):
        touch = [ops.BookInvoice(number(1), "b")] * 3
        await follow(index, ledger, ledger.block(ledger.body(touch)))
    everything = await InvoiceQueries(index).steps(number(1), NEVER, 100)

    paged = []
    after = NEVER
    while page := await InvoiceQueries(index).steps(number(1), after, 4):
        paged += page
        after = (page[-1].index, page[-1].operation)

    assert paged == everything
    assert len(paged) == 9


async def test_a_red_invoice_is_listed_and_leads_back(index: QueryIndex, ledger: Ledger) -> None:
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    groups = (RateGroup(0, 100, 0, 1),)
    red = ops.IssueRedLetter(number(1), 0, number(2), groups, 100, 0, 100, bytes(32), None, ())
    body = ledger.body([red])
    ledger.put(row(number(2), transaction_id(body), original=number(1)))
    await follow(index, ledger, ledger.block(body))

    (back,) = await InvoiceQueries(index).steps(number(2), NEVER, 10)
    forward = (await InvoiceQueries(index).steps(number(1), NEVER, 10))[-1]

    assert await listed(index) == [number(2), number(1)]
    assert (back.tag, back.other, back.amount) == (57, number(1), 100)
    assert (forward.tag, forward.other, forward.reference) == (57, number(2), 0)


# --- Lists -----------------------------------------------------------------------------------


async def test_lists_are_in_order_of_issue_also_within_one_transaction(
    index: QueryIndex, ledger: Ledger
) -> None:
    await follow(index, ledger, ledger.block(ledger.issue(number(5), number(3), number(4))))

    assert await listed(index) == [number(4), number(3), number(5)]


async def test_lists_filter_by_time_of_issue(index: QueryIndex, ledger: Ledger) -> None:
    for n in range(1, 6):
        await follow(index, ledger, ledger.block(ledger.issue(number(n))))

    assert await listed(index, from_ms=3_000) == [number(5), number(4), number(3)]
    assert await listed(index, to_ms=3_000) == [number(2), number(1)]
    assert await listed(index, from_ms=2_001, to_ms=4_001) == [number(4), number(3)]
    assert await listed(index, from_ms=9_000) == []


async def test_a_party_is_whoever_ever_held_the_invoice_or_had_it_submitted(
    index: QueryIndex, ledger: Ledger
) -> None:
    await follow(index, ledger, ledger.block(ledger.issue(number(1))))
    sign = ByKey(bytes.fromhex("cd" * 32), bytes(64), encode_operation(ops.SignOffer(number(1))))
    for body in (
        ledger.body([ops.OfferInvoice(number(1), "ef" * 32, 9)]),
        ledger.body([sign]),
        ledger.body([ops.SubmitInvoice(number(1), PAYER, 5)]),
    ):
        await follow(index, ledger, ledger.block(body))

    for party in (ISSUER, BUYER, "cd" * 32, PAYER):
        assert await listed(index, party=party) == [number(1)]
    assert await listed(index, party="ef" * 32) == []


async def test_a_page_that_scans_too_much_ends_short_but_not_the_list(
    index: QueryIndex, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SCAN_MAX", 10)
    for n in range(35):
        gross = 1_000 if n in {2, 33} else 1
        await follow(index, ledger, ledger.block(ledger.issue(number(n), gross=gross)))

    for party in (None, ISSUER):
        found: list[IndexedInvoice] = []
        before: int | None = None
        pages = 0
        while True:
            page = await InvoiceQueries(index).invoices(
                InvoiceFilter(party=party, min_gross=500), before, 10
            )
            found += page.invoices
            pages += 1
            if page.next_before is None:
                break
            before = page.next_before
        assert [invoice.number for invoice in found] == [number(33), number(2)]
        assert pages == 4


async def test_lists_use_their_keys(index: QueryIndex) -> None:
    """No list, trace or inbox query sorts or scans a whole table."""
    everything = InvoiceFilter(state=1, response=1, frozen=True, party=PAYER, min_gross=1)

    def plans(sql: Sql) -> list[str]:
        walks = [ListWalk.of(party, 1, 9) for party in (None, PAYER)]
        asked = [
            walk.page(sql, wanted) for walk in walks for wanted in (everything, InvoiceFilter())
        ]
        queries = [(query, (*values, 1)) for query, values in asked]
        queries += [walk.last() for walk in walks]
        return [
            str(line[3])
            for query, values in queries
            for line in sql.select(f"EXPLAIN QUERY PLAN {query}", values)
        ]

    details = await index.read(plans)

    assert not [line for line in details if "TEMP B-TREE" in line]
    assert not [line for line in details if line.startswith("SCAN invoices")]


# --- Inbox -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "waiting"),
    [
        ({}, []),
        ({"offer": OfferRow(PAYER, 9)}, [(PAYER, WaitingKind.OFFER, 0)]),
        (
            {"submissions": (SubmissionRow(PAYER, 5, 5), SubmissionRow("ab" * 32, 5, 0))},
            [(PAYER, WaitingKind.SUBMISSION, 0)],
        ),
        (
            {"forms": (FormRow(2, True, 5, 5, 2, FormState.REQUESTED, 0),)},
            [(BUYER, WaitingKind.RED_CONFIRMATION, 2)],
        ),
        (
            {"forms": (FormRow(2, False, 5, 5, 2, FormState.REQUESTED, 0),)},
            [(ISSUER, WaitingKind.RED_CONFIRMATION, 2)],
        ),
        (
            {"forms": (FormRow(2, False, 5, 5, 2, FormState.CONFIRMED, 0),)},
            [(ISSUER, WaitingKind.RED_ISSUE, 2)],
        ),
        ({"forms": (FormRow(2, False, 5, 5, 2, FormState.ISSUED, 0),)}, []),
        ({"offer": OfferRow(PAYER, 9), "document": Document.CANCELLED}, []),
    ],
)
def test_what_waits_is_read_from_the_row(
    changes: dict[str, object], waiting: list[tuple[str, int, int]]
) -> None:
    invoice = row(number(1), bytes(32), **changes)  # type: ignore[arg-type]

    assert list(waiting_of(invoice)) == waiting


async def test_what_waits_leaves_when_it_is_done_and_pages(
    index: QueryIndex, ledger: Ledger
) -> None:
    body = ledger.issue(*(number(n) for n in range(5)))
    txid = transaction_id(body)
    for n in range(5):
        ledger.put(row(number(n), txid, offer=OfferRow(PAYER, 9)))
    await follow(index, ledger, ledger.block(body))

    first = await InvoiceQueries(index).waiting([PAYER], (-1, -1, -1), 3)
    last = first[-1]
    rest = await InvoiceQueries(index).waiting(
        [PAYER], (last.invoice.sequence, last.kind, last.reference), 3
    )
    ledger.put(row(number(0), txid, holder=PAYER))
    await follow(index, ledger, ledger.block(ledger.body([ops.SignOffer(number(0))])))
    after = await InvoiceQueries(index).waiting([PAYER], (-1, -1, -1), 10)

    def numbers(items: list[WaitingItem]) -> list[str]:
        return [item.invoice.number for item in items]

    assert numbers(first + rest) == [number(n) for n in range(5)]
    assert numbers(after) == [number(n) for n in range(1, 5)]
    assert await InvoiceQueries(index).waiting([BUYER], (-1, -1, -1), 10) == []


def test_a_batch_names_each_touched_invoice_once(ledger: Ledger) -> None:
    body = ledger.body([ops.BookInvoice(number(1), "a"), ops.UnbookInvoice(number(1), "b")])

    issued = ledger.issue(number(1))

    batch = invoice_batch([open_block(ledger.block(issued, body))])

    assert list(batch.touched) == [number(1)]
    assert batch.missing == [number(1).encode()]
    assert len(batch.steps) == 2
    assert list(batch.born) == [(number(1), transaction_id(issued))]

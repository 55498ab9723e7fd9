"""What was verified is known by its exact bytes, whatever it begins like."""

from __future__ import annotations

import msgspec

from node.ledger.invoices.operations import BookInvoice
from node.ledger.transaction import decode_transaction, encode_body, encode_wire
from node.submission.admission import BEGINNING_BYTES, VerifiedCache
from tests.node.transactions import make_transaction

ONE, OTHER = make_transaction(1, operations=3), make_transaction(2, operations=3)


def test_only_the_exact_bytes_are_known() -> None:
    cache = VerifiedCache()
    cache.add(ONE)
    resigned = encode_wire(ONE.body_bytes, bytes(64))
    assert cache.get(bytes(bytearray(ONE.wire))) is ONE
    assert cache.get(resigned) is None
    assert cache.get(OTHER.wire) is None
    cache.forget([resigned, OTHER.wire])
    assert cache.get(ONE.wire) is ONE
    cache.forget([ONE.wire])
    assert cache.get(ONE.wire) is None


def test_the_beginning_tells_transactions_of_one_key_apart() -> None:
    assert ONE.wire[:BEGINNING_BYTES] != OTHER.wire[:BEGINNING_BYTES]
    largest = make_transaction(2**63 - 1, author="9" * 18)
    assert largest.wire.index((2**63 - 1).to_bytes(8, "big")) + 8 <= BEGINNING_BYTES


def test_of_two_that_begin_alike_the_newer_is_known() -> None:
    *operations, last = ONE.body.operations
    assert isinstance(last, BookInvoice)
    changed = (*operations, msgspec.structs.replace(last, reference="rev"))
    body = encode_body(msgspec.structs.replace(ONE.body, operations=changed))
    alike = decode_transaction(encode_wire(body, ONE.signature))
    assert alike.wire[:BEGINNING_BYTES] == ONE.wire[:BEGINNING_BYTES]
    cache = VerifiedCache(bytes_max=len(ONE.wire))
    for transaction in (ONE, alike, OTHER):
        cache.add(transaction)
        assert cache.get(transaction.wire) is transaction
    assert cache.get(ONE.wire) is None
    assert cache.get(alike.wire) is None


def test_the_oldest_give_way() -> None:
    many = [make_transaction(n) for n in range(10)]
    cache = VerifiedCache(bytes_max=sum(len(t.wire) for t in many[-3:]))
    for transaction in many:
        cache.add(transaction)
    assert [t for t in many if cache.get(t.wire) is t] == many[-3:]

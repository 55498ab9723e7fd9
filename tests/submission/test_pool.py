"""The pool keeps order and bounds, and offers nothing twice."""

from __future__ import annotations

from node.submission.pool import Pool, PoolLimits
from tests.node.transactions import make_transaction


def make_pool(**limits: int) -> Pool:
    return Pool(PoolLimits(**limits))


def test_take_returns_oldest_first_and_not_again_while_in_flight() -> None:
    pool = make_pool()
    transactions = [make_transaction(n) for n in range(5)]
    for transaction in transactions:
        assert pool.add(transaction)

    assert transactions[:3] == pool.take(10**6, 3, 100)
    assert transactions[3:] == pool.take(10**6, 10, 100)
    assert pool.take(10**6, 10, 100) == []
    assert len(pool) == 5


def test_take_stops_at_bytes_and_operations_but_takes_at_least_one() -> None:
    pool = make_pool()
    small, large = make_transaction(1), make_transaction(2, operations=50)
    pool.add(small)
    pool.add(large)

    assert [small] == pool.take(len(small.wire) + 1, 10, 100)
    assert [large] == pool.take(1, 10, 1)


def test_give_back_restores_the_order() -> None:
    pool = make_pool()
    transactions = [make_transaction(n) for n in range(4)]
    for transaction in transactions:
        pool.add(transaction)
    taken = pool.take(10**6, 2, 100)

    pool.give_back(taken)

    assert transactions == pool.take(10**6, 10, 100)


def test_applied_transactions_leave_and_are_remembered() -> None:
    pool = make_pool(remembered_max=1)
    first, second = make_transaction(1), make_transaction(2)
    pool.add(first)
    pool.add(second)
    pool.take(10**6, 1, 100)

    pool.applied([first.txid])
    assert pool.knows(first.txid)
    assert not pool.add(first)
    pool.applied([second.txid])

    assert 0 == len(pool) == pool.size_bytes
    assert not pool.knows(first.txid)  # only the newest is remembered


def test_a_full_pool_refuses_and_drops_nothing() -> None:
    pool = make_pool(transactions_max=2)
    kept = [make_transaction(n) for n in range(2)]
    for transaction in kept:
        assert pool.add(transaction)

    assert not pool.add(make_transaction(9))
    assert kept == pool.take(10**6, 10, 100)


def test_expired_transactions_leave() -> None:
    pool = make_pool()
    early, late = make_transaction(1, valid_until=5), make_transaction(2, valid_until=6)
    pool.add(early)
    pool.add(late)

    assert [early.txid] == pool.expire(5)
    assert [late] == pool.take(10**6, 10, 100)

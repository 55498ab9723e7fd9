"""The judge judged: histories made by hand, good and bad, and a slow judge to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from random import Random  # noqa: TID251 - seeded

import pytest

from tests.sim.linearizability import Action, Operation, check_registers, check_set, unexplained


def read(call: int, end: int | None, result: object, key: str = "x") -> Operation:
    return Operation(key, Action.READ, call, end, result=result)


def write(call: int, end: int | None, value: object, key: str = "x") -> Operation:
    return Operation(key, Action.WRITE, call, end, value)


def cas(call: int, end: int | None, expected: object, value: object, held: object) -> Operation:
    return Operation("x", Action.CAS, call, end, value, expected, held)


def add(call: int, end: int | None, value: object) -> Operation:
    return Operation("set", Action.ADD, call, end, value)


def read_set(call: int, end: int | None, *elements: object) -> Operation:
    return Operation("set", Action.READ, call, end, result=elements)


GOOD = {
    "nothing": [],
    "one after another": [write(1, 2, 1), read(3, 4, 1), write(5, 6, 2), read(7, 8, 2)],
    "a read overlaps a write and sees the old": [write(1, 4, 1), read(2, 3, None)],
    "a read overlaps a write and sees the new": [write(1, 4, 1), read(2, 3, 1)],
    "concurrent writes in the other order": [write(1, 6, 1), write(2, 5, 2), read(7, 8, 1)],
    "unknown, took effect late": [write(1, None, 1), read(2, 3, None), read(4, 5, 1)],
    "unknown, never took effect": [write(1, None, 1), write(2, 3, 2), read(4, 5, 2)],
    "unknown, after a known one": [write(1, None, 1), write(2, 3, 2), read(4, 5, 2), read(6, 7, 1)],
    "cas takes": [write(1, 2, 1), cas(3, 4, 1, 2, held=1), read(5, 6, 2)],
    "cas refuses": [write(1, 2, 1), cas(3, 4, 9, 2, held=1), read(5, 6, 1)],
    "one of two cas wins": [
        write(1, 2, 1),
        cas(3, 6, 1, 2, held=1),
        cas(4, 5, 1, 3, held=2),
        read(7, 8, 2),
    ],
    "a failed cas saw an unknown write": [
        write(1, 2, 1),
        write(3, None, 2),
        cas(4, 5, 1, 3, held=2),
    ],
    "an unknown cas took effect": [write(1, 2, 1), cas(3, None, 1, 2, held=None), read(4, 5, 2)],
}
BAD = {
    "stale read": [write(1, 2, 1), write(3, 4, 2), read(5, 6, 1)],
    "read of the beginning after a write": [write(1, 2, 1), read(3, 4, None)],
    "lost write": [write(1, 2, 1), read(3, 4, 1), read(5, 6, None)],
    "read of never written": [write(1, 2, 1), read(3, 4, 7)],
    "read before the write was called": [read(1, 2, 1), write(3, 4, 1)],
    "new, then old": [write(1, 10, 1), read(2, 3, 1), read(4, 5, None)],
    "two readers in cyclic order": [
        write(1, 20, 1),
        write(2, 21, 2),
        read(3, 4, 1),
        read(5, 6, 2),
        read(7, 8, 1),
    ],
    "an unknown write takes effect twice": [
        write(1, None, 1),
        read(2, 3, 1),
        write(4, 5, 2),
        read(6, 7, 2),
        read(8, 9, 1),
    ],
    "both cas win": [write(1, 2, 1), cas(3, 6, 1, 2, held=1), cas(4, 5, 1, 3, held=1)],
    "cas refused by a value that is not there": [write(1, 2, 1), cas(3, 4, 1, 2, held=9)],
    "cas that held the value but did not write": [
        write(1, 2, 1),
        cas(3, 4, 1, 2, held=1),
        read(5, 6, 1),
    ],
    "an unknown cas without its expected value": [
        write(1, 2, 1),
        cas(3, None, 9, 2, held=None),
        read(4, 5, 2),
    ],
}
GOOD_SETS = {
    "nothing": [],
    "grows": [add(1, 2, "a"), read_set(3, 4, "a"), add(5, 6, "b"), read_set(7, 8, "a", "b")],
    "order of elements means nothing": [add(1, 2, "a"), add(3, 4, "b"), read_set(5, 6, "b", "a")],
    "an overlapping add may be missing": [add(1, 4, "a"), read_set(2, 3)],
    "unknown, seen late": [add(1, None, "a"), read_set(2, 3), read_set(4, 5, "a")],
    "unknown, never seen": [add(1, None, "a"), read_set(2, 3)],
    "equal reads": [add(1, 2, "a"), read_set(3, 6, "a"), read_set(4, 5, "a")],
}
BAD_SETS = {
    "acknowledged and missing": [add(1, 2, "a"), read_set(3, 4)],
    "acknowledged, missing, and others seen": [
        add(1, 2, "a"),
        add(3, 4, "b"),
        read_set(5, 6, "b"),
    ],
    "seen, then missing": [add(1, None, "a"), read_set(2, 3, "a"), read_set(4, 5)],
    "applied twice": [add(1, 2, "a"), read_set(3, 4, "a", "a")],
    "never added": [add(1, 2, "a"), read_set(3, 4, "a", "b")],
    "seen before it was added": [read_set(1, 2, "a"), add(3, 4, "a")],
    "two reads, each without the other's": [
        add(1, 10, "a"),
        add(2, 11, "b"),
        read_set(3, 6, "a"),
        read_set(4, 7, "b"),
    ],
    "a later add seen before an earlier one": [
        add(1, 2, "a"),
        add(3, 4, "b"),
        read_set(5, 7, "a"),
        read_set(6, 8, "a", "b"),
        read_set(9, 10, "a"),
    ],
    "adds in a step against their order": [
        add(5, 6, "a"),
        add(1, 2, "b"),
        read_set(3, 8, "a"),
        read_set(7, 9, "a", "b"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_register_history_is_explained(name: str) -> None:
    assert check_registers(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_register_history_is_not(name: str) -> None:
    assert len(check_registers(BAD[name])) == 1


@pytest.mark.parametrize("name", GOOD_SETS)
def test_a_good_set_history_is_explained(name: str) -> None:
    assert check_set(GOOD_SETS[name]) == []


@pytest.mark.parametrize("name", BAD_SETS)
def test_a_bad_set_history_is_not(name: str) -> None:
    assert len(check_set(BAD_SETS[name])) == 1


def test_keys_are_judged_apart() -> None:
    good = [write(1, 2, 1, "x"), read(3, 4, 1, "x")]
    bad = [write(5, 6, 1, "y"), read(7, 8, None, "y")]

    assert check_registers(good + bad) == [f"no order explains {bad[1].described()}"]


def test_many_unknown_writes_do_not_make_the_search_explode() -> None:
    unknown = [write(number, None, number) for number in range(60)]
    known = [write(100 + 2 * n, 101 + 2 * n, 100 + n) for n in range(60)]

    assert check_registers([*unknown, *known, read(300, 301, 159)]) == []
    assert check_registers([*unknown, *known, read(300, 301, 158)]) != []
    assert check_registers([*unknown, *known, read(300, 301, 30)]) == []


def test_random_histories_get_the_verdict_of_trying_every_order() -> None:
    rng = Random(1)
    verdicts = [0, 0]
    for _ in range(1_500):
        operations = random_history(rng)
        explained = unexplained(operations) is None
        assert explained == any_order_explains(operations, register_explains), operations
        verdicts[explained] += 1
    assert min(verdicts) > 200  # both verdicts are really tried


def test_random_set_histories_get_the_verdict_of_trying_every_order() -> None:
    rng = Random(2)
    verdicts = [0, 0]
    for _ in range(1_500):
        operations = random_set_history(rng)
        explained = not check_set(operations)
        assert explained == any_order_explains(operations, set_explains), operations
        verdicts[explained] += 1
    assert min(verdicts) > 200


def random_history(rng: Random) -> list[Operation]:
    """Up to five operations on few values, so that by luck some make sense."""
    operations = []
    for call, end in random_intervals(rng):
        value, expected, result = (rng.choice([None, 1, 2]) for _ in range(3))
        action = rng.choice([Action.READ, Action.WRITE, Action.CAS])
        operations.append(Operation("x", action, call, end, value or 3, expected, result))
    return operations


def random_set_history(rng: Random) -> list[Operation]:
    elements = iter("abcde")
    operations = []
    for call, end in random_intervals(rng):
        if rng.randrange(2):
            operations.append(add(call, end, next(elements)))
        else:
            operations.append(read_set(call, end, *rng.sample("abc", rng.randrange(4))))
    return operations


def random_intervals(rng: Random) -> list[tuple[int, int | None]]:
    moments = list(range(10))
    rng.shuffle(moments)
    intervals: list[tuple[int, int | None]] = []
    for number in range(rng.randrange(2, 6)):
        call, end = sorted(moments[2 * number : 2 * number + 2])
        intervals.append((call, None if rng.randrange(4) == 0 else end))
    return intervals


def any_order_explains(
    operations: list[Operation], explains: Callable[[Sequence[Operation]], bool]
) -> bool:
    """Brute force: every order, with every choice of unknown operations left out."""
    unknown = [op for op in operations if op.end is None]
    for chosen in range(1 << len(unknown)):
        left_out = [op for number, op in enumerate(unknown) if chosen >> number & 1]
        kept = [op for op in operations if op not in left_out]
        if any(in_real_time(order) and explains(order) for order in permutations(kept)):
            return True
    return False


def in_real_time(order: Sequence[Operation]) -> bool:
    return all(
        later.end is None or later.end > earlier.call
        for place, earlier in enumerate(order)
        for later in order[place:]
    )


def register_explains(order: Sequence[Operation]) -> bool:
    value: object = None
    for op in order:
        if op.action is not Action.WRITE and op.end is not None and op.result != value:
            return False
        if op.action is Action.WRITE or (op.action is Action.CAS and op.expected == value):
            value = op.value
    return True


def set_explains(order: Sequence[Operation]) -> bool:
    elements: set[object] = set()
    for op in order:
        if op.action is Action.ADD:
            elements.add(op.value)
        elif op.end is not None and set(op.result) != elements:  # type: ignore[call-overload]
            return False
    return True

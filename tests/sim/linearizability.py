"""Whether what clients saw could have come from one copy that does one thing at a time. Pure.

Owns two checks, of registers and of one growing set; knows nothing of Raft. An operation is an
interval on a clock that ticks at every call and every return, so no two moments are equal. Without
an end its outcome is unknown: it may take effect at any moment after its call, or never. What was
rejected must not be in the history at all.

Registers are checked key by key (linearizability is local) with the search of Wing and Gong as
Lowe made it practical: place the operations one after another, go back when one returned before it
could be placed, and never look twice at the same set of placed operations with the same value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What an operation does. A value is any hashable object; None is "never written"."""

    READ = "read"
    """Returns the value (of a set: a tuple of its elements)."""
    WRITE = "write"
    CAS = "cas"
    """Writes `value` if the register holds `expected`; returns what the register held."""
    ADD = "add"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client."""

    key: str
    action: Action
    call: int
    end: int | None
    """None: the outcome is unknown."""
    value: object = None
    expected: object = None
    result: object = None

    def described(self) -> str:
        """For people."""
        shown = {
            Action.READ: f"read = {self.result}",
            Action.WRITE: f"write {self.value}",
            Action.CAS: f"cas {self.expected} -> {self.value}, held {self.result}",
            Action.ADD: f"add {self.value}",
        }[self.action]
        return f"{self.key}: {shown} [{self.call}, {'?' if self.end is None else self.end}]"


def check_registers(history: Iterable[Operation]) -> list[str]:
    """The keys whose operations no order explains, each with the operation that is left over."""
    by_key: dict[str, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    left_over = [unexplained(operations) for _, operations in sorted(by_key.items())]
    return [f"no order explains {one.described()}" for one in left_over if one is not None]


def unexplained(operations: Sequence[Operation]) -> Operation | None:
    """None if the history of one register, empty at first, is linearizable.

    Otherwise the first operation that returned before it could be placed, in the attempt that
    placed the most.
    """
    return _Search(_relevant(operations)).run()


def check_set(history: Iterable[Operation]) -> list[str]:
    """Contradictions in the history of one set: adds of distinct elements, and reads of it all.

    Reads of a growing set must form a chain by inclusion. The chain says on which step each add
    took effect: just before the first read that shows its element. Then the history is
    linearizable exactly when nothing on a later step returned before something on an earlier step
    was called.
    """
    adds = {add.value: add for add in history if add.action is Action.ADD}
    reads = [read for read in history if read.action is Action.READ and read.end is not None]
    reads.sort(key=lambda read: len(_elements(read)))
    steps: list[list[Operation]] = []
    """By turns the adds of a step of the chain, and the reads that show it."""
    shown: frozenset[object] = frozenset()
    for read in reads:
        elements = frozenset(_elements(read))
        if len(elements) < len(_elements(read)):
            return [f"an element is there twice: {read.described()}"]
        if not shown <= elements:
            return [f"{sorted(map(str, shown - elements))} was seen, but not by {read.described()}"]
        unknown = elements - adds.keys()
        if unknown:
            return [f"nobody added {sorted(map(str, unknown))}: {read.described()}"]
        if elements != shown or not steps:
            new = [add for value, add in adds.items() if value in elements and value not in shown]
            steps += [new, []]
            shown = elements
        steps[-1].append(read)
    steps.append([add for add in adds.values() if add.value not in shown and add.end is not None])
    return _out_of_order(steps)


def _out_of_order(steps: Sequence[Sequence[Operation]]) -> list[str]:
    last_call: Operation | None = None
    for step in steps:
        for operation in step:
            if operation.end is not None and last_call and operation.end < last_call.call:
                late, early = operation.described(), last_call.described()
                return [f"{late} must come after {early}, but ended before its call"]
        for operation in step:
            if last_call is None or operation.call > last_call.call:
                last_call = operation
    return []


def _elements(read: Operation) -> Sequence[object]:
    assert isinstance(read.result, tuple)
    return read.result


def _relevant(operations: Sequence[Operation]) -> list[Operation]:
    """Without unknown operations that left no trace.

    A value that no result shows, and that no unknown cas needs which itself left a trace, changes
    nothing for anybody; so a write of it whose outcome is unknown is as good as never made. That
    keeps the search narrow.
    """
    kept = [operation for operation in operations if operation.end is not None]
    unknown = [
        operation
        for operation in operations
        if operation.end is None and operation.action is not Action.READ
    ]
    seen = {operation.result for operation in kept if operation.action is not Action.WRITE}
    while traced := [operation for operation in unknown if operation.value in seen]:
        kept += traced
        unknown = [operation for operation in unknown if operation.value not in seen]
        seen |= {operation.expected for operation in traced if operation.action is Action.CAS}
    return kept


class _Search:
    """A list of calls and returns in order; placed operations are taken out, and put back."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        moments: list[tuple[int, int, bool]] = []
        for number, operation in enumerate(operations):
            moments.append((operation.call, number, False))
            if operation.end is not None:
                moments.append((operation.end, number, True))
        moments.sort()
        size = len(moments)
        self._number = [-1, *(number for _, number, _ in moments)]
        self._is_return = [False, *(is_return for _, _, is_return in moments)]
        self._after = [*range(1, size + 1), 0]
        """A ring; place 0 is its head."""
        self._before = [size, *range(size)]
        self._return_at = [0] * len(operations)
        for place, (_, number, is_return) in enumerate(moments, start=1):
            if is_return:
                self._return_at[number] = place

    def run(self) -> Operation | None:
        """None, or the operation that could not be placed."""
        after, operations = self._after, self._operations
        unplaced = sum(operation.end is not None for operation in operations)
        value: object = None
        placed = 0
        visited: set[tuple[int, object]] = set()
        stack: list[tuple[int, object]] = []
        deepest, stuck = -1, 0
        place = after[0]
        while unplaced:
            number = self._number[place]
            if self._is_return[place]:
                if len(stack) > deepest:
                    deepest, stuck = len(stack), number
                if not stack:
                    return operations[stuck]
                place, value = stack.pop()
                number = self._number[place]
                placed &= ~(1 << number)
                unplaced += self._return_at[number] != 0
                self._put_back(place)
                place = after[place]
                continue
            operation = operations[number]
            fits, new_value = _applied(operation, value)
            state = (placed | 1 << number, new_value)
            if not fits or state in visited:
                place = after[place]
                continue
            visited.add(state)
            stack.append((place, value))
            placed, value = state
            unplaced -= self._return_at[number] != 0
            self._take_out(place)
            place = after[0]
        return None

    def _take_out(self, place: int) -> None:
        for gone in (place, self._return_at[self._number[place]]):
            if gone:
                self._after[self._before[gone]] = self._after[gone]
                self._before[self._after[gone]] = self._before[gone]

    def _put_back(self, place: int) -> None:
        for back in (self._return_at[self._number[place]], place):  # last out, first in
            if back:
                self._after[self._before[back]] = back
                self._before[self._after[back]] = back


def _applied(operation: Operation, value: object) -> tuple[bool, object]:
    """Whether a register with `value` can do this, and what it holds afterwards."""
    match operation.action:
        case Action.READ:
            return operation.result == value, value
        case Action.WRITE:
            return True, operation.value
        case Action.CAS:
            fits = operation.end is None or operation.result == value
            return fits, operation.value if value == operation.expected else value
        case Action.ADD:
            raise ValueError("a register has no add")

"""Lines that others can cause are written once in a while."""

from __future__ import annotations

from node.system.logs import SELDOM_MS, Seldom


class Hands:
    """A clock that a test turns."""

    now_ms = 5

    def time_ms(self) -> int:
        return 0

    def monotonic_ms(self) -> int:
        return self.now_ms


def test_each_thing_has_a_line_of_its_own_and_then_waits() -> None:
    clock = Hands()
    seldom = Seldom(clock)
    assert [seldom.due(about) for about in (1, 2, 1, 2, None, None)] == [
        *(True, True, False, False),
        *(True, False),
    ]
    clock.now_ms += SELDOM_MS - 1
    assert not seldom.due(1)
    clock.now_ms += 1
    assert seldom.due(1)
    assert not seldom.due(1)

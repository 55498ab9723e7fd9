"""The wall clock as the node reads it, wherever the machine's stands."""

from __future__ import annotations

import time

import pytest

from node.api.requests import time_text
from node.chain.block import Block, decode_block, encode_block
from node.system.clock import TIME_MS_MAX, SystemClock


@pytest.mark.parametrize(
    ("seconds", "read"),
    [(-1, 0), (0, 0), (2**31, 2**31 * 1000), (10**12, TIME_MS_MAX)],
    ids=["before 1970", "1970", "after 2038", "after 9999"],
)
def test_a_clock_outside_the_calendar_makes_nothing_that_others_cannot_read(
    monkeypatch: pytest.MonkeyPatch, seconds: int, read: int
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: seconds * 10**9)
    now = SystemClock().time_ms()
    assert now == read
    assert decode_block(encode_block(Block(1, now, ()))).time_ms == now
    assert time_text(now).endswith("Z")

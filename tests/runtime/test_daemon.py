"""What the daemon makes of its surroundings."""

from __future__ import annotations

import pytest

from node.runtime.daemon import _watchdog_seconds


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("4000000", 2.0),
        ("", 10.0),
        ("0", 10.0),
        ("-1", 10.0),
        ("infinity", 10.0),
        ("²", 10.0),
        ("9" * 400, 10.0),
    ],
)
def test_a_watchdog_time_that_is_none_keeps_no_core_busy(
    monkeypatch: pytest.MonkeyPatch, limit: str, seconds: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", limit)
    assert _watchdog_seconds() == seconds

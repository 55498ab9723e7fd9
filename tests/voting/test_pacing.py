"""The leader's pace."""

from __future__ import annotations

import msgspec
import pytest

from node.voting.pacing import (
    BACKLOG_BLOCKS_MAX,
    BACKLOG_BYTES_MAX,
    IDLE_SEAL_MS,
    INTERVAL_MS_MIN,
    PIPELINE_MAX,
    STALLED_MS,
    Situation,
    delay_ms,
)

QUIET = Situation(
    now_ms=1_000_000,
    waiting=0,
    unsettled_blocks=0,
    unsettled_bytes=0,
    last_proposal_ms=0,
    last_final_ms=999_999,
    work_reported=False,
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"waiting": 1}, 0),
        ({"waiting": 1, "last_proposal_ms": 999_999}, INTERVAL_MS_MIN - 1),
        ({"waiting": 1, "unsettled_blocks": PIPELINE_MAX}, STALLED_MS - 1),
        ({"waiting": 1, "unsettled_blocks": PIPELINE_MAX, "last_final_ms": 0}, 0),
        ({"waiting": 1, "unsettled_blocks": BACKLOG_BLOCKS_MAX + 1, "last_final_ms": 0}, None),
        ({"waiting": 1, "unsettled_bytes": BACKLOG_BYTES_MAX + 1, "last_final_ms": 0}, None),
        ({"work_reported": True}, 0),
        ({"work_reported": True, "last_proposal_ms": 999_000}, IDLE_SEAL_MS - 1_000),
    ],
)
def test_delay(change: dict[str, int], expected: int | None) -> None:
    situation = msgspec.structs.replace(QUIET, **change)

    assert expected == delay_ms(situation)

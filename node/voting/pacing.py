"""The leader's pace: when to propose an entry, and with how much in it.

Owns pacing only: it is told what waits and answers with a decision; the wiring acts. Pure.

A block is proposed as soon as there is work and room, at most 60 a second. With
`PIPELINE_MAX` blocks on their way to finality the next one waits, so batches grow by themselves
while disks sync and cosignatures travel. Past `BACKLOG_BLOCKS_MAX` blocks or
`BACKLOG_BYTES_MAX` bytes that are committed but not final nothing is proposed at all.
"""

from __future__ import annotations

import msgspec

INTERVAL_MS_MIN = 16
"""Two small blocks cost nearly twice as much as one, and nodes that share a machine delay each
other: `piaolian bench --rate 100` on two cores tells where the best pace lies."""
PIPELINE_MAX = 2
STALLED_MS = 1_000
"""If finality does not move for so long, the pipeline bound gives way to the backlog bound."""
IDLE_SEAL_MS = 5_000
"""An empty block is sealed this often while any voter reports pending or lapsing work."""
BACKLOG_BLOCKS_MAX = 256
BACKLOG_BYTES_MAX = 64 * 1024 * 1024
BLOCK_BYTES_MAX = 1_500_000
BLOCK_TRANSACTIONS_MAX = 4_000
BLOCK_OPERATIONS_MAX = 6_000
"""Bounds the time one block takes to apply (about 30 µs an operation)."""


class Situation(msgspec.Struct, frozen=True):
    """What the pace depends on, at one instant."""

    now_ms: int
    waiting: int
    """Transactions that wait in the pool."""
    unsettled_blocks: int
    """Blocks proposed by this leader and not final yet."""
    unsettled_bytes: int
    last_proposal_ms: int
    last_final_ms: int
    """When the final height last moved (or this node became leader)."""
    work_reported: bool
    """Some voter reports pending or lapsing work."""


def not_finalising(blocks: int, size: int) -> bool:
    """True when so much is committed but not final that the leader proposes nothing."""
    return blocks > BACKLOG_BLOCKS_MAX or size > BACKLOG_BYTES_MAX


def delay_ms(situation: Situation) -> int | None:
    """Milliseconds until the next proposal is due: 0 now, None only when something changes."""
    if not_finalising(situation.unsettled_blocks, situation.unsettled_bytes):
        return None
    since = situation.now_ms - situation.last_proposal_ms
    if situation.waiting:
        if (
            situation.unsettled_blocks >= PIPELINE_MAX
            and situation.now_ms - situation.last_final_ms < STALLED_MS
        ):
            return max(1, STALLED_MS - (situation.now_ms - situation.last_final_ms))
        return max(0, INTERVAL_MS_MIN - since)
    if situation.work_reported:
        return max(0, IDLE_SEAL_MS - since)
    return None

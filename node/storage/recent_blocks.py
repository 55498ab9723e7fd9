"""The newest blocks, as they were applied, for the query index. Owns how many of them are kept.

The index is right behind the ledger in the ordinary case: what it would read and decode again was
in memory a moment ago. It comes to the same rows either way; a block that is not here any more is
read from the ledger. Event loop only; knows no file.
"""

from __future__ import annotations

from collections import deque

from node.ledger.codes import Code
from node.storage.index_part import OpenedBlock, OpenedTransaction
from node.storage.ledger_values import AppliedBlock

BLOCKS_MAX = 256
BYTES_MAX = 8 * 1024 * 1024
"""Of payloads and state rows. What is kept of them, decoded and without the sealed blobs, takes
about as much where invoices are sealed, and twice as much where they are not."""


class RecentBlocks:
    """Consecutive blocks, the oldest leaving first when there are too many."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[OpenedBlock, int]] = deque()
        self._bytes = 0

    def add(self, block: AppliedBlock) -> None:
        """Keep a block that is stored; it follows the one added last."""
        if self._blocks and self._blocks[-1][0].height + 1 != block.height:
            self.forget(self._blocks[-1][0].height)
        size = block.payload_bytes + block.rows_bytes
        self._blocks.append((_opened(block), size))
        self._bytes += size
        while self._bytes > BYTES_MAX or len(self._blocks) > BLOCKS_MAX:
            self._drop_oldest()

    def after(self, height: int, limit: int) -> list[OpenedBlock]:
        """Up to `limit` blocks from `height` + 1 on; none when that one is not here."""
        first = self._blocks[0][0].height if self._blocks else 0
        if not first <= height + 1 < first + len(self._blocks):
            return []
        start = height + 1 - first
        return [self._blocks[place][0] for place in range(start, len(self._blocks))][:limit]

    def forget(self, height: int) -> None:
        """Blocks up to `height` are needed no more."""
        while self._blocks and self._blocks[0][0].height <= height:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, size = self._blocks.popleft()
        self._bytes -= size


def _opened(block: AppliedBlock) -> OpenedBlock:
    transactions = [
        OpenedTransaction(t.index, t.txid, int(t.code), t.body if t.code is Code.OK else None)
        for t in block.transactions
    ]
    return OpenedBlock(
        height=block.height,
        first_index=block.first_index,
        time_ms=block.time_ms,
        transactions=transactions,
        rows=block.rows,
    )

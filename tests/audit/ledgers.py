"""Data folders made without processes: a ledger with certificates, and its query index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from node.ledger.genesis import Genesis
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota
from node.ledger.operations import Operation
from node.storage.index import QueryIndex
from tests.index_parts import INDEX_PARTS
from tests.ledger.world import BUREAU, BUYER, DAY, MONTH, SELLER, START, make_issue
from tests.ledger.world import number as invoice_number
from tests.node.chronicle import Chronicle, blob, transaction

SEGMENT_COUNT = 10_000_000


def open_registers(genesis: Genesis) -> bytes:
    """Numbers and quota for the seller."""
    return transaction(
        genesis,
        BUREAU,
        1,
        [
            AllotSegment(SELLER, invoice_number(0), SEGMENT_COUNT),
            GrantQuota(SELLER, MONTH, 10**14, START, START + 300 * DAY),
        ],
    )


def issue_batch(genesis: Genesis, first: int, count: int, details: int) -> bytes:
    """One transaction that issues so many invoices, each with a sealed blob of so many bytes."""
    operations: list[Operation] = []
    blobs = []
    for serial in range(first, first + count):
        body = blob(f"details {serial}", details)
        named = (hashlib.sha256(body).digest(),) if details else ()
        operations.append(make_issue(serial, buyer=BUYER, blobs=named))
        blobs += [body] if details else []
    return transaction(genesis, SELLER, first, operations, tuple(blobs))


async def write_ledger(
    folder: Path, invoices: int, *, batch: int, block: int = 300, details: int = 0
) -> Genesis:
    """A certified ledger of invoices in transactions of `batch`, with its index."""
    made = await Chronicle.open(folder)
    genesis = made.genesis
    await made.certify(await made.add(open_registers(genesis)))
    per_block = max(1, block // batch) * batch
    for start in range(0, invoices, per_block):
        end = min(invoices, start + per_block)
        wires = [
            issue_batch(genesis, first, min(batch, end - first), details)
            for first in range(start, end, batch)
        ]
        await made.certify(await made.add(*wires))
    await write_index(folder, made)
    await made.close()
    return genesis


async def write_index(folder: Path, made: Chronicle, heights: int = 2**53) -> None:
    """The query index of the ledger, up to a height."""
    index = await QueryIndex.open(folder / "index.db", INDEX_PARTS, made.genesis.network_id)
    while index.height < heights:
        room = min(64, heights - index.height)
        blocks: Sequence[object] = await made.reader.blocks(index.height + 1, room, 1 << 30)
        if not blocks:
            break
        batch = await index.prepare(blocks)  # type: ignore[arg-type]
        rows = {table: await made.reader.rows(table, keys) for table, keys in batch.missing.items()}
        await index.follow(batch, rows)
    await index.close()

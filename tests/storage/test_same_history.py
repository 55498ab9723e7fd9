"""One random history on four nodes: the same root, the same digest, the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from node.chain.block import Block, encode_block
from node.chain.voters import VoterSet
from node.ledger.codes import Code, Table
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from tests.ledger.history import PastBlock, SigningWorld, random_history
from tests.ledger.moves import invoices

TERM = 3
BLOCKS = 400


def entries(past: Sequence[PastBlock]) -> list[CommittedEntry]:
    return [
        CommittedEntry(
            index, TERM, 0, encode_block(Block(TERM, block.time_ms, block.wires)), bytes(32)
        )
        for index, block in enumerate(past, 1)
    ]


async def replay(
    folder: Path, world: SigningWorld, past: Sequence[PastBlock], together: int, reopen: int
) -> tuple[list[AppliedBlock], dict[tuple[Table, bytes], bytes]]:
    """Apply a history, `together` entries a job, opening the files anew after `reopen` jobs."""
    voters = VoterSet.from_genesis(world.genesis)
    path = folder / "ledger.db"
    ledger = await Ledger.open(path, world.genesis, voters.hash, lambda _: None)
    applied: list[AppliedBlock] = []
    todo = entries(past)
    for job, start in enumerate(range(0, len(todo), together), 1):
        applied += await ledger.apply(todo[start : start + together], lambda _: None)
        if job % reopen == 0:
            await ledger.close()
            ledger = await Ledger.open(path, world.genesis, voters.hash, lambda _: None)
    await ledger.close()
    reader = await LedgerReader.open(path)
    rows: dict[tuple[Table, bytes], bytes] = {
        (table, key): value
        for table in Table
        if table is not Table.ORDER
        for key, value in await reader.scan(table, b"", b"\xff" * 64, 1_000_000)
    }
    orders = [key for table, key in world.store if table is Table.ORDER]
    rows |= {(Table.ORDER, k): v for k, v in (await reader.rows(Table.ORDER, orders)).items()}
    await reader.close()
    return applied, rows


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_same_history_on_four_nodes(tmp_path: Path, seed: int) -> None:
    world, past = random_history(seed, BLOCKS)
    results = []
    for node, (together, reopen) in enumerate([(1, 1_000), (4, 1_000), (7, 5), (64, 2)]):
        folder = tmp_path / str(node)
        folder.mkdir()
        results.append(await replay(folder, world, past, together, reopen))

    first, rows = results[0]
    assert rows == world.store
    assert [block.state_digest for block in first] == [block.digest for block in past]
    for applied, stored in results[1:]:
        assert [b.root for b in applied] == [b.root for b in first]
        assert [b.state_digest for b in applied] == [b.state_digest for b in first]
        assert stored == rows
    # The history is worth replaying: most kinds of outcomes are in it.
    codes = {t.code for block in first for t in block.transactions}
    assert Code.OK in codes
    assert len(codes) > 15
    assert sum(row.red for row in invoices(world).values()) > 2


def test_the_same_seed_gives_the_same_bytes() -> None:
    _, first = random_history(7, 40)
    _, second = random_history(7, 40)
    assert first == second
    assert random_history(8, 40)[1] != first

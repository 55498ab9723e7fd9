"""A rule that fails: one leaf, root and digest on every node, whichever way a block reaches it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from node.audit.run import Audit
from node.chain.leaf import TransactionLeaf, decode_leaf
from node.chain.leaf_range import Assembler
from node.chain.merkle import decode_frontier
from node.ledger.codes import Code
from node.ledger.invoices import operations as ops
from node.storage.damage import DamagedFileError
from tests.audit.ledgers import open_registers, write_index
from tests.cluster.faulty_node import FAULTS, FOOTPRINT, NO_MEMORY, plant
from tests.index_parts import INDEX_PARTS
from tests.ledger.world import BUYER, number
from tests.node.chronicle import Chronicle, found, issue, transaction

INDEX = 400


@pytest.fixture
async def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Chronicle]]:
    """Four ledgers with one invoice, and rules that fail."""
    plant(monkeypatch)
    async with AsyncExitStack() as files:
        made = [await Chronicle.open(tmp_path / f"node{n}") for n in range(4)]
        for node in made:
            files.push_async_callback(node.close)
            await node.add(open_registers(node.genesis), issue(node.genesis, 0))
        yield made


def book(reference: str, nonce: int) -> bytes:
    return transaction(found(), BUYER, nonce, [ops.BookInvoice(number(0), reference)])


async def test_every_node_states_the_same_and_goes_on(nodes: list[Chronicle]) -> None:
    wires = [
        book("one", 1),
        *(book(fault, 10 + n) for n, fault in enumerate(FAULTS)),
        issue(found(), 1),
    ]
    blocks = [await node.add(*wires) for node in nodes]
    later = [await node.add(issue(found(), 2), book(FAULTS[0], 10)) for node in nodes]

    assert len({(b.root, b.state_digest, b.size) for b in blocks}) == 1
    assert len({(b.root, b.state_digest, b.size) for b in later}) == 1
    faults = [Code.RULE_FAULT] * len(FAULTS)
    assert [t.code for t in blocks[0].transactions] == [Code.OK, *faults, Code.OK]
    assert [fault.operation for fault in blocks[0].faults] == [0] * len(FAULTS)
    assert [t.code for t in later[0].transactions] == [Code.OK]
    assert [code for _, code in later[0].skipped] == [Code.DUPLICATE], "it has a record"
    stored = (await nodes[0].reader.blocks(blocks[0].height, 1, 1 << 20))[0]
    leaf = decode_leaf(stored.leaves[1])
    assert isinstance(leaf, TransactionLeaf)
    assert leaf.code == Code.RULE_FAULT


async def test_it_stands_after_a_restart_a_catch_up_and_an_audit(
    nodes: list[Chronicle], tmp_path: Path
) -> None:
    source = nodes[0]
    unsigned = bytearray(book("unsigned", 30))
    unsigned[-70] ^= 1  # leaves no leaf, so who catches up never sees it
    wires = [bytes(unsigned), *(book(fault, 10 + n) for n, fault in enumerate(FAULTS))]
    block = await source.add(*wires, book(FOOTPRINT, 20))
    await source.add(issue(found(), 2))
    for made in source.blocks:
        await source.certify(made)
    await source.reopen()
    await source.certify(await source.add(issue(found(), 3)))
    assert [t.code for t in block.transactions] == [*[Code.RULE_FAULT] * len(FAULTS), Code.OK]

    copy = await Chronicle.open(tmp_path / "copy")
    assembler = Assembler(decode_frontier(copy.ledger.head.frontier), copy.voters)
    while (run := await source.reader.leaf_range(assembler.size)) is not None:
        for certified in assembler.add(assembler.prove(run)):
            last = certified.seal.height == len(source.blocks)
            await copy.ledger.adopt(certified, INDEX, lambda _: None, last=last)
    assert copy.ledger.head.state_digest() == source.ledger.head.state_digest()
    assert copy.ledger.head.root() == source.ledger.head.root()
    await copy.close()

    await write_index(source.folder, source)
    outcome = Audit(found(), "bureau", INDEX_PARTS, workers=0, from_height=0).run(source.folder)
    assert outcome.first is None
    with sqlite3.connect(source.folder / "index.db") as index:
        count = "SELECT count(*) FROM transactions WHERE code = ?"
        assert index.execute(count, (Code.RULE_FAULT,)).fetchone() == (len(FAULTS),)
    index.close()


async def test_a_fault_of_the_machine_stops_the_node_before_it_states_anything(
    nodes: list[Chronicle],
) -> None:
    before = nodes[0].ledger.head
    with pytest.raises(MemoryError):
        await nodes[0].add(book(NO_MEMORY, 10))
    assert nodes[0].ledger.head == before


async def test_a_row_that_the_disk_damaged_stops_the_node(nodes: list[Chronicle]) -> None:
    with sqlite3.connect(nodes[0].folder / "ledger.db") as connection:
        key = number(0).encode()
        connection.execute("UPDATE state SET value = ? WHERE key = ?", (b"\x91", key))
    connection.close()
    with pytest.raises(DamagedFileError, match=r"ledger\.db is damaged"):
        await nodes[0].add(book("one", 1))

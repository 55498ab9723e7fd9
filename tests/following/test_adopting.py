"""Blocks of peers: what is true is done again, to the byte; what is not changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from node.chain.certificate import parse_certificate
from node.chain.checkpoint import Checkpoint, sign_origin
from node.chain.leaf import SealLeaf, TransactionLeaf, decode_leaf, encode_leaf
from node.chain.leaf_range import (
    RANGE_BYTES,
    Assembler,
    FalseRangeError,
    LeafRange,
    OtherHistoryError,
)
from node.chain.merkle import decode_frontier, leaf_hashes
from node.ledger.codes import Code
from node.storage import leaf_ranges as runs
from node.storage.ledger_values import AppliedBlock, CommittedEntry, LedgerError, NotReproducedError
from tests.chain.network import seed
from tests.node.chronicle import Chronicle, blob, found, write_history

CERTIFIED = 6
INDEX = 2 * CERTIFIED
"""The Raft index of the sixth height: the chronicle leaves out every other one."""


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Chronicle]:
    """The ledger of a peer."""
    made = await Chronicle.open(tmp_path / "source")
    await write_history(made)
    yield made
    await made.close()


@pytest.fixture
async def copy(tmp_path: Path) -> AsyncIterator[Chronicle]:
    """An empty ledger of the same network."""
    made = await Chronicle.open(tmp_path / "copy")
    yield made
    await made.close()


def assembler_of(chronicle: Chronicle) -> Assembler:
    return Assembler(decode_frontier(chronicle.ledger.head.frontier), chronicle.voters)


async def read(source: Chronicle, first: int = 0) -> LeafRange:
    run = await source.reader.leaf_range(first)
    assert run is not None
    return run


async def adopt(source: Chronicle, copy: Chronicle) -> list[AppliedBlock]:
    """Take everything that the peer can prove; the blocks as `after` saw them."""
    assembler, seen, stored = assembler_of(copy), list[AppliedBlock](), list[AppliedBlock]()
    while (run := await source.reader.leaf_range(assembler.size)) is not None:
        for block in assembler.add(assembler.prove(run)):
            last = block.seal.height == CERTIFIED
            stored.append(await copy.ledger.adopt(block, INDEX, seen.append, last=last))
    assert [block.height for block in seen] == [block.height for block in stored]
    return stored


@pytest.mark.parametrize("run_bytes", [1, 700, 5_000, RANGE_BYTES])
async def test_every_certified_block_comes_to_the_same_again(
    source: Chronicle, copy: Chronicle, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", run_bytes)
    blocks = await adopt(source, copy)

    theirs, ours = source.contents(), copy.contents()
    assert len(theirs["blocks"]) == CERTIFIED + 1
    assert len(ours["blobs"]) == 32
    theirs["blocks"].pop()  # the seventh is not final
    for name in ("blocks", "blobs", "certificates"):
        assert ours[name] == theirs[name]
    for adopted, applied in zip(blocks, source.blocks, strict=False):
        assert (adopted.root, adopted.state_digest) == (applied.root, applied.state_digest)
        codes = [(t.txid, t.code, t.index) for t in applied.transactions]
        assert [(t.txid, t.code, t.index) for t in adopted.transactions] == codes
    assert copy.ledger.head.raft_index == INDEX

    # The seventh as consensus brings it: then both are equal in everything.
    seventh = source.blocks[-1]
    await copy.add(*(t.wire for t in seventh.transactions), time_ms=seventh.time_ms)
    assert copy.contents() == source.contents()


async def test_what_is_not_final_is_not_given_away(source: Chronicle) -> None:
    assert await source.reader.leaf_range(source.blocks[CERTIFIED - 1].size) is None
    assert await source.reader.leaf_range(source.blocks[-1].size) is None
    assert await source.reader.leaf_range(10**9) is None
    run = await read(source)
    assert len(run.leaves) == source.blocks[CERTIFIED - 1].size


async def test_an_erased_blob_is_missing_and_nothing_else(
    source: Chronicle, copy: Chronicle
) -> None:
    erased = [blob("details 1", 400), blob("details 13", 200)]
    with sqlite3.connect(source.folder / "ledger.db") as connection:
        for body in erased:
            assert connection.execute("DELETE FROM blobs WHERE body = ?", (body,)).rowcount == 1
    connection.close()
    assert assembler_of(copy).prove(await read(source)).lacking == len(erased)
    await adopt(source, copy)
    assert copy.ledger.head.state_digest() == source.blocks[CERTIFIED - 1].state_digest
    assert copy.contents()["blobs"] == source.contents()["blobs"]


# --- Falsehood ---------------------------------------------------------------------------------

Change = Callable[[Chronicle, LeafRange], LeafRange]
replace = msgspec.structs.replace


def with_leaf(run: LeafRange, index: int, leaf: bytes) -> LeafRange:
    return replace(run, leaves=(*run.leaves[:index], leaf, *run.leaves[index + 1 :]))


def leaf_byte(source: Chronicle, run: LeafRange) -> LeafRange:
    changed = bytearray(run.leaves[3])
    changed[-1] ^= 1
    return with_leaf(run, 3, bytes(changed))


def code(source: Chronicle, run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[3])
    assert isinstance(leaf, TransactionLeaf)
    return with_leaf(run, 3, encode_leaf(replace(leaf, code=Code.NOT_PERMITTED)))


def omitted(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, leaves=run.leaves[:2] + run.leaves[3:])


def swapped(source: Chronicle, run: LeafRange) -> LeafRange:
    leaves = list(run.leaves)
    leaves[2], leaves[3] = leaves[3], leaves[2]
    return replace(run, leaves=tuple(leaves))


def seal(source: Chronicle, run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[1])
    assert isinstance(leaf, SealLeaf)
    return with_leaf(run, 1, encode_leaf(replace(leaf, time_ms=leaf.time_ms + 1)))


def garbage(source: Chronicle, run: LeafRange) -> LeafRange:
    return with_leaf(run, 0, b"\xc1")


def uncertified(source: Chronicle, run: LeafRange) -> LeafRange:
    leaf = encode_leaf(TransactionLeaf(0, 7, b"body", bytes(64)))
    return replace(run, leaves=(*run.leaves, leaf))


def other_blob(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, blobs=(b"x" + run.blobs[0][1:], *run.blobs[1:]))


def blob_of_a_refused_one(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, blobs=(*run.blobs, blob("details 10005", 500)))


def blob_twice(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, blobs=(*run.blobs, run.blobs[0]))


def with_last(run: LeafRange, note: str) -> LeafRange:
    return replace(run, certificates=(*run.certificates[:-1], note))


def too_few(source: Chronicle, run: LeafRange) -> LeafRange:
    certificate = parse_certificate(run.certificates[-1])
    fewer = replace(certificate, cosignatures=certificate.cosignatures[:2])
    return with_last(run, fewer.encode())


def one_voter_thrice(source: Chronicle, run: LeafRange) -> LeafRange:
    certificate = parse_certificate(run.certificates[-1])
    return with_last(
        run, replace(certificate, cosignatures=(certificate.cosignatures[0],) * 3).encode()
    )


def cosignature(source: Chronicle, run: LeafRange) -> LeafRange:
    certificate = parse_certificate(run.certificates[-1])
    first = certificate.cosignatures[0]
    damaged = replace(first, blob=first.blob[:-1] + bytes([first.blob[-1] ^ 1]))
    return with_last(
        run, replace(certificate, cosignatures=(damaged, *certificate.cosignatures[1:])).encode()
    )


def unpublished(source: Chronicle, run: LeafRange) -> LeafRange:
    note = source.certificate(source.blocks[CERTIFIED - 1], published=False).encode()
    return with_last(run, note)


def other_root(source: Chronicle, run: LeafRange) -> LeafRange:
    """The signatures of the true tree under another root."""
    certificate = parse_certificate(run.certificates[-1])
    lie = replace(certificate.checkpoint, root=bytes(32))
    published = replace(certificate, checkpoint=lie, origin_signature=None).published(
        sign_origin(lie, seed("bureau/origin"))
    )
    return with_last(run, published.encode())


def other_network(source: Chronicle, run: LeafRange) -> LeafRange:
    foreign = Chronicle(
        found("other"),
        type(source.voters).from_genesis(found("other")),
        source.folder,
        source.ledger,
        source.reader,
        [],
    )
    note = foreign.certificate(source.blocks[CERTIFIED - 1]).encode()
    return with_last(run, note)


def no_certificate_of_the_run(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, certificates=run.certificates[:1])


def certificates_out_of_order(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, certificates=(run.certificates[1], run.certificates[0], *run.certificates))


def certificate_within_a_block(source: Chronicle, run: LeafRange) -> LeafRange:
    """Signed by q voters, who never do that."""
    size = source.blocks[0].size + 1
    frontier = decode_frontier(b"\0" * 8).append_hashes(leaf_hashes(run.leaves[:size]))
    note = source.sign(Checkpoint(source.voters.origin, size, frontier.root())).encode()
    return replace(run, certificates=(run.certificates[0], note, *run.certificates[1:]))


def shifted(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, first=1)


def needless_path(source: Chronicle, run: LeafRange) -> LeafRange:
    return replace(run, path=(bytes(32),))


@pytest.mark.parametrize(
    "change",
    [
        leaf_byte,
        code,
        omitted,
        swapped,
        seal,
        garbage,
        uncertified,
        other_blob,
        blob_of_a_refused_one,
        blob_twice,
        too_few,
        one_voter_thrice,
        cosignature,
        unpublished,
        other_root,
        other_network,
        no_certificate_of_the_run,
        certificates_out_of_order,
        certificate_within_a_block,
        shifted,
        needless_path,
    ],
    ids=lambda change: change.__name__,
)
async def test_a_false_run_is_refused_and_changes_nothing(
    source: Chronicle, copy: Chronicle, change: Change
) -> None:
    run = await read(source)
    assembler = assembler_of(copy)
    with pytest.raises(FalseRangeError):
        assembler.prove(change(source, run))
    assert assembler.size == 0
    assert len(assembler.add(assembler.prove(run))) == CERTIFIED


async def test_a_part_of_a_block_needs_its_proof(
    source: Chronicle, copy: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 3_000)
    run = await read(source)
    assert len(run.path) > 0
    assembler = assembler_of(copy)
    for path in (run.path[1:], (bytes(32), *run.path[1:]), ()):
        with pytest.raises(OtherHistoryError):
            assembler.prove(replace(run, path=path))
    assembler.prove(run)


async def test_a_run_of_another_history_of_this_network_is_told_apart(
    source: Chronicle, copy: Chronicle
) -> None:
    """Both sides are true as far as they go: which of them is the fork cannot be told here."""
    await copy.add()
    assembler = assembler_of(copy)
    run = await read(source, assembler.size)
    with pytest.raises(OtherHistoryError) as raised:
        assembler.prove(run)
    assert raised.value.certificates, "what was certified is evidence perhaps"
    for certificate in raised.value.certificates:
        certificate.verify(source.voters)


# --- Certified, and yet not what this ledger comes to -------------------------------------------


def lie_about_state(run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[1])
    assert isinstance(leaf, SealLeaf)
    return with_leaf(run, 1, encode_leaf(replace(leaf, state_digest=bytes(32))))


def lie_about_outcome(run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[0])
    assert isinstance(leaf, TransactionLeaf)
    return with_leaf(run, 0, encode_leaf(replace(leaf, code=Code.NOT_PERMITTED)))


def forge_signature(run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[0])
    assert isinstance(leaf, TransactionLeaf)
    return with_leaf(run, 0, encode_leaf(replace(leaf, signature=bytes(64))))


def skip_a_height(run: LeafRange) -> LeafRange:
    leaf = decode_leaf(run.leaves[1])
    assert isinstance(leaf, SealLeaf)
    return with_leaf(run, 1, encode_leaf(replace(leaf, height=2)))


@pytest.mark.parametrize(
    "lie", [lie_about_state, lie_about_outcome, forge_signature, skip_a_height]
)
async def test_what_q_voters_signed_in_vain_is_not_reproduced(
    source: Chronicle, copy: Chronicle, lie: Callable[[LeafRange], LeafRange]
) -> None:
    run = lie(await read(source))
    run = replace(run, leaves=run.leaves[:2], blobs=())
    tree = decode_frontier(b"\0" * 8).append_hashes(leaf_hashes(run.leaves))
    note = source.sign(Checkpoint(source.voters.origin, 2, tree.root())).encode()
    assembler = assembler_of(copy)
    (block,) = assembler.add(assembler.prove(replace(run, certificates=(note,))))
    before, head = copy.contents(), copy.ledger.head
    with pytest.raises(NotReproducedError):
        await copy.ledger.adopt(block, INDEX, lambda _: None, last=False)
    assert (copy.contents(), copy.ledger.head) == (before, head)
    # It goes on with the true one.
    await adopt(source, copy)
    assert copy.ledger.head.height == CERTIFIED


# --- In the middle -----------------------------------------------------------------------------


async def test_between_two_heads_no_entry_is_applied_and_adopting_resumes(
    source: Chronicle, copy: Chronicle
) -> None:
    assembler = assembler_of(copy)
    blocks = assembler.add(assembler.prove(await read(source)))
    for block in blocks[:3]:
        await copy.ledger.adopt(block, INDEX, lambda _: None, last=False)
    assert (copy.ledger.head.height, copy.ledger.head.raft_index) == (3, 0)
    with pytest.raises(LedgerError, match="adopted up to height 3"):
        await copy.ledger.apply([CommittedEntry(5, 3, 1, b"", bytes(32))], lambda _: None)

    await copy.reopen()
    assert (copy.ledger.head.height, copy.ledger.head.raft_index) == (3, 0)
    await adopt(source, copy)
    assert copy.ledger.head.raft_index == INDEX
    assert copy.contents()["certificates"] == source.contents()["certificates"]
    assert copy.ledger.head.state_digest() == source.blocks[CERTIFIED - 1].state_digest


async def test_a_head_stands_for_later_entries_without_blocks(copy: Chronicle) -> None:
    await copy.ledger.stand_for(77)
    await copy.reopen()
    assert (copy.ledger.head.raft_index, copy.ledger.head.height) == (77, 0)
    assert await copy.ledger.apply([CommittedEntry(77, 3, 1, b"", bytes(32))], lambda _: None) == []


async def test_a_sync_waits_for_the_disk_each_time_and_leaves_the_pace(copy: Chronicle) -> None:
    """What it writes must differ, or SQLite writes nothing and so syncs nothing."""
    await copy.add()
    log = copy.folder / "ledger.db-wal"
    for _ in range(3):
        before = log.stat().st_size
        await copy.ledger.sync()
        assert log.stat().st_size > before
    found = await copy.ledger._database.run(
        lambda connection: connection.execute("PRAGMA synchronous").fetchone()
    )
    assert found == (1,)

"""The Raft log of a stopped node, and the named heads that stand for what was cut off it.

Where a block is still in the log, its leaves are compared with its entry, which a leader has
signed; so a leaf that changed is told to the byte. A block far back has no entry any more.
"""

from __future__ import annotations

import hashlib
import sqlite3

import msgspec

from consensus.ports import Recovered
from consensus.snapshot import Snapshot
from consensus.stores.inspection import DamagedRecordError, inspect_log, stored_entries
from consensus.stores.marker import Condition, Promises
from consensus.types import Entry, EntryKind
from node.audit.faults import fail, first_difference
from node.audit.folder import HEADS, LEDGER, RAFT
from node.chain.block import Block, MalformedBlockError, decode_block
from node.chain.entry import verify_attestation
from node.chain.head import FalseHeadError, NamedHead, parse_head
from node.chain.leaf import MalformedLeafError, Origin, SealLeaf, TransactionLeaf, decode_leaf
from node.chain.voters import VoterSet
from node.ledger.transaction import MalformedTransactionError, decode_transaction
from node.storage.ledger_rows import Head
from node.storage.raft_log import ENTRY_FORMAT

# --- The Raft log ----------------------------------------------------------------------------


def check_log(
    raft: sqlite3.Connection, promises: Promises, voters: VoterSet
) -> tuple[Recovered, list[int]]:
    """Check every record of the log, its chain, and who signed each entry.

    Returns:
        What a start would recover, and the indexes of the entries that make blocks.

    Raises:
        AuditError: at the first that is not what was written.
    """
    try:
        inspection = inspect_log(raft, promises, Condition.OK, ENTRY_FORMAT)
        indexes: list[int] = []
        for entry in stored_entries(raft, inspection.recovered, ENTRY_FORMAT):
            if not verify_attestation(voters, entry.header, entry.attestation):
                raise fail(
                    f"entry {entry.index}: its leader's signature does not verify",
                    RAFT,
                    table="frames",
                    row=f"entry {entry.index}",
                )
            if _block_of(entry) is not None:
                indexes.append(entry.index)
    except DamagedRecordError as error:
        offset, bit = error.fallen or (None, None)
        raise fail(
            str(error),
            RAFT,
            table=error.table,
            row=error.row,
            column=error.column or None,
            offset=offset,
            bit=bit,
        ) from error
    if inspection.suspect:
        raise fail("the log is not what the marker promises: a start would not trust it", RAFT)
    return inspection.recovered, indexes


def compare_log(
    raft: sqlite3.Connection,
    recovered: Recovered,
    indexes: list[int],
    ledger: sqlite3.Connection,
    head: Head,
) -> None:
    """Compare the newest blocks with the entries that made them.

    Raises:
        AuditError: a block is not what its entry says.
    """
    base = recovered.base.index
    if head.raft_index > base + len(recovered.positions):
        raise fail(
            f"the ledger stands for entry {head.raft_index}, the log ends before it",
            LEDGER,
            table="head",
            column="record",
            height=head.height,
        )
    applied = [index for index in indexes if index <= head.raft_index]
    heights = dict(zip(reversed(applied), range(head.height, 0, -1), strict=False))
    for entry in stored_entries(raft, recovered, ENTRY_FORMAT):
        height = heights.get(entry.index)
        block = _block_of(entry)
        if height is not None and block is not None:
            _compare_block(ledger, height, entry, block)


def _block_of(entry: Entry) -> Block | None:
    """The block that an entry makes; None when it has no height on any node."""
    if entry.kind is not EntryKind.DATA:
        return None
    try:
        block = decode_block(entry.payload)
    except MalformedBlockError:
        return None
    return block if block.expected_term == entry.term else None


def _compare_block(ledger: sqlite3.Connection, height: int, entry: Entry, block: Block) -> None:
    place: dict[str, str | int] = {"table": "blocks", "row": f"height={height}", "height": height}
    row = ledger.execute(
        "SELECT first_index, leaves FROM blocks WHERE height = ?", (height,)
    ).fetchone()
    if row is None:
        raise fail("a block is missing that the log has", LEDGER, **place)
    first_index, encoded = row
    try:
        data = msgspec.msgpack.decode(encoded, type=list[bytes])
        leaves = [decode_leaf(leaf) for leaf in data]
    except (msgspec.MsgspecError, MalformedLeafError):
        return  # the walk tells it better
    seal = leaves.pop()
    if not isinstance(seal, SealLeaf):
        return
    origin = Origin(entry.term, entry.leader, entry.index, entry.hash)
    if seal.origin != origin or seal.time_ms < block.time_ms:
        raise fail(
            f"the seal is not of entry {entry.index}",
            LEDGER,
            **place,
            column="leaves",
            leaf=first_index + len(leaves),
        )
    wires = [_without_blobs(wire) for wire in block.transactions]
    left = iter(wires)
    for position, leaf in enumerate(leaves):
        assert isinstance(leaf, TransactionLeaf), "a seal stands at the end"
        if any(wire == (leaf.body, leaf.signature) for wire in left):
            continue
        near = _nearest(leaf, wires)
        offset = bit = None
        if near is not None:
            true = msgspec.structs.replace(leaf, body=near[0], signature=near[1])
            offset, bit = first_difference(data[position], msgspec.msgpack.encode(true))
        raise fail(
            f"leaf {first_index + position} is not what entry {entry.index} says",
            LEDGER,
            **place,
            column="leaves",
            leaf=first_index + position,
            offset=offset,
            bit=bit,
        )


def _without_blobs(wire: bytes) -> tuple[bytes, bytes] | None:
    try:
        transaction = decode_transaction(wire)
    except MalformedTransactionError:
        return None  # leaves no leaf
    return transaction.body_bytes, transaction.signature


def _nearest(
    leaf: TransactionLeaf, wires: list[tuple[bytes, bytes] | None]
) -> tuple[bytes, bytes] | None:
    """The transaction that agrees with a leaf in one of body and signature."""
    return next((w for w in wires if w and (w[0] == leaf.body or w[1] == leaf.signature)), None)


# --- Named heads -----------------------------------------------------------------------------


def check_heads(
    heads: sqlite3.Connection,
    ledger: sqlite3.Connection,
    head: Head,
    voters: VoterSet,
    recovered: Recovered | None,
) -> int:
    """Check the names of final heads that stand for a cut log; the Raft index of the newest.

    One that is still arriving is judged by its checksum when it is complete, and not here.

    Raises:
        AuditError: a name is not true, or not of this ledger.
    """
    newest = 0
    for index, name, body in heads.execute("SELECT idx, name, body FROM heads ORDER BY idx"):
        place: dict[str, str | int] = {"table": "heads", "row": f"idx={index}"}
        try:
            snapshot = msgspec.msgpack.decode(name, type=Snapshot)
        except msgspec.MsgspecError as error:
            raise fail(f"a name cannot be read: {error}", HEADS, **place, column="name") from error
        if msgspec.msgpack.encode(snapshot) != name or snapshot.index != index:
            raise fail("a name is of another index", HEADS, **place, column="name")
        if (len(body), hashlib.sha256(body).digest()) != (snapshot.size, snapshot.checksum):
            raise fail("a head is not what its name says", HEADS, **place, column="body")
        try:
            named = parse_head(body, voters)
        except FalseHeadError as error:
            raise fail(f"not a final head: {error}", HEADS, **place, column="body") from error
        if tuple(snapshot.membership.voters) != tuple(v.number for v in voters.voters):
            raise fail("other members than the voters", HEADS, **place, column="name")
        if named.place != (snapshot.index, snapshot.term, snapshot.hash):
            raise fail("a head of another entry than its snapshot", HEADS, **place, column="body")
        _compare_head(ledger, head, named, index)
        if recovered is not None and index >= recovered.base.index:
            _compare_position(snapshot, recovered, index)
        newest = index
    return newest


def _compare_head(ledger: sqlite3.Connection, head: Head, named: NamedHead, index: int) -> None:
    if named.height > head.height:
        return  # restored when the node starts
    row = ledger.execute("SELECT leaves FROM blocks WHERE height = ?", (named.height,)).fetchone()
    seal = None
    if row is not None:
        try:
            seal = decode_leaf(msgspec.msgpack.decode(row[0], type=list[bytes])[-1])
        except (msgspec.MsgspecError, MalformedLeafError, IndexError):
            return  # the walk tells it better
    if not isinstance(seal, SealLeaf) or (seal.index + 1, seal.state_digest) != (
        named.size,
        named.state_digest,
    ):
        raise fail(
            "a named head is not of this ledger",
            HEADS,
            table="heads",
            row=f"idx={index}",
            column="body",
            height=named.height,
        )


def _compare_position(snapshot: Snapshot, recovered: Recovered, index: int) -> None:
    base, place = recovered.base, index - recovered.base.index
    if place > len(recovered.positions):
        return
    position = recovered.positions[place - 1] if place else (base.term, base.hash)
    if position != (snapshot.term, snapshot.hash):
        raise fail(
            "a name of another entry than the log's",
            HEADS,
            table="heads",
            row=f"idx={index}",
            column="name",
        )

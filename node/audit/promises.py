"""What this node has promised: marker, Raft log, named heads, outbox. Owns their checks.

Where a block is still in the log, its leaves are compared with its entry, which a leader has
signed; so a leaf that changed is told to the byte. A block far back has no entry any more.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib

import msgspec

from consensus.crc import fallen_bit
from consensus.inspection import DamagedRecordError, inspect_log, stored_entries
from consensus.marker import CRC_AT, SLOT_BYTES, Condition, Promises, decode_marker
from consensus.ports import Recovered
from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind
from node.audit.faults import fail, first_difference
from node.audit.folder import HEADS, LEDGER, MARKER, OUTBOX, POSITION, RAFT
from node.chain.block import Block, MalformedBlockError, decode_block
from node.chain.checkpoint import Checkpoint, cosignature_time, verify_cosignature
from node.chain.entry import verify_attestation
from node.chain.head import FalseHeadError, NamedHead, parse_head
from node.chain.leaf import MalformedLeafError, SealLeaf, TransactionLeaf, decode_leaf
from node.chain.merkle import MalformedFrontierError, decode_frontier, frontier_of
from node.chain.tiles import MissingTileError, TileSubtrees
from node.chain.voters import Voter, VoterSet
from node.ledger.codes import Code
from node.ledger.execution import travelling_blobs
from node.ledger.signing import verify
from node.ledger.transaction import MalformedTransactionError, Transaction, decode_transaction
from node.storage.ledger_rows import Head, read_tile
from node.storage.marker import SignedCheckpoint
from node.storage.outbox import row_crc

# --- The marker ------------------------------------------------------------------------------


def check_marker(data: bytes, voter: Voter | None) -> tuple[Promises, SignedCheckpoint | None]:
    """Check both slots, and the checkpoint signed last.

    Args:
        data: The file's bytes; of a running node not taken in the middle of a write.
        voter: This node.

    Raises:
        AuditError: a slot is damaged, or holds what this node cannot have signed.
    """
    condition, _, promises = decode_marker(data)
    if condition is not Condition.OK:
        offset, bit = _damage(data)
        raise fail(f"a slot is {condition.name.lower()}", MARKER, offset=offset, bit=bit)
    if not promises.extra:
        return promises, None
    try:
        signed = msgspec.msgpack.decode(promises.extra, type=SignedCheckpoint)
        frontier = decode_frontier(signed.frontier)
    except (msgspec.MsgspecError, MalformedFrontierError) as error:
        raise fail(f"holds no checkpoint: {error}", MARKER) from error
    if (frontier.size, frontier.root()) != (signed.size, signed.root):
        raise fail("the checkpoint is not of its frontier", MARKER, height=signed.height)
    if voter is not None:
        tree = Checkpoint(voter.origin, signed.size, signed.root)
        mine = verify_cosignature(tree, voter.cosigner, voter.cosign_key, signed.cosignature)
        if not mine or cosignature_time(signed.cosignature) != signed.time:
            raise fail("the cosignature is not this node's", MARKER, height=signed.height)
    return promises, signed


def _damage(data: bytes) -> tuple[int, int | None]:
    """Where the first bad slot is wrong; its beginning, unless one bit explains it."""
    for start in (0, SLOT_BYTES):
        slot = data[start : start + SLOT_BYTES]
        if decode_marker(slot + bytes(SLOT_BYTES))[0] is Condition.DAMAGED:
            crc = int.from_bytes(slot[CRC_AT : CRC_AT + 4], "big")
            fallen = fallen_bit(slot[CRC_AT + 4 :], crc)
            if fallen is not None:
                return start + CRC_AT + 4 + fallen[0], fallen[1]
            return start, None
    return 0, None


def check_signed(
    ledger: sqlite3.Connection, head: Head, signed: SignedCheckpoint | None, *, replayed: bool
) -> None:
    """Compare the checkpoint signed last with the ledger.

    Args:
        ledger: The stored ledger.
        head: Its head.
        signed: From the marker.
        replayed: Whether blocks that the ledger lacks are in the Raft log: then a start of the node
            brings them back.

    Raises:
        AuditError: the ledger holds another tree, or less than was signed.
    """
    if signed is None:
        return
    place = {"height": signed.height}
    if signed.height > head.height:
        if not replayed:
            raise fail(
                f"this node signed height {signed.height}, the ledger ends with {head.height}",
                LEDGER,
                table="head",
                **place,
            )
        return
    lookup = TileSubtrees(lambda level, number: read_tile(ledger, level, number))
    try:
        frontier = frontier_of(signed.size, lookup)
    except MissingTileError as error:
        raise fail(str(error), LEDGER, table="tiles", **place) from error
    row = ledger.execute(
        "SELECT leaves, first_index FROM blocks WHERE height = ?", (signed.height,)
    ).fetchone()
    leaves = msgspec.msgpack.decode(row[0], type=list[bytes])
    if frontier.encode() != signed.frontier or row[1] + len(leaves) != signed.size:
        raise fail("the ledger does not hold the tree that this node signed", LEDGER, **place)


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
        inspection = inspect_log(raft, promises, Condition.OK)
        indexes: list[int] = []
        for entry in stored_entries(raft, inspection.recovered):
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
    for entry in stored_entries(raft, recovered):
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
    same = (seal.term, seal.proposer) == (entry.term, entry.leader)
    if not same or seal.time_ms < block.time_ms:
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
        if named.raft_index > index:
            raise fail("a head after its own snapshot", HEADS, **place, column="body")
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


# --- The position of the bureau's look -------------------------------------------------------


def check_position(data: bytes, head: Head) -> None:
    """Check how far invoices are examined: 8 bytes and their CRC-32, or no file.

    Raises:
        AuditError: it is not what was written, or beyond the ledger.
    """
    if not data:
        return
    number, crc = data[:8], int.from_bytes(data[8:], "big")
    if len(data) != 12 or zlib.crc32(number) != crc:
        offset, bit = fallen_bit(number, crc) or (8, None)
        raise fail("fails its checksum", POSITION, offset=offset, bit=bit)
    if int.from_bytes(number, "big") > head.height:
        raise fail("is beyond the ledger", POSITION, offset=0)


# --- The outbox ------------------------------------------------------------------------------


def check_outbox(outbox: sqlite3.Connection, network_id: bytes) -> int:
    """Check what this node has promised to send; how many transactions.

    Raises:
        AuditError: a promise, an answer or a serial is not what was written.
    """
    count = 0
    for txid, wire, valid_until in outbox.execute(
        "SELECT txid, wire, valid_until FROM outbox ORDER BY rowid"
    ):
        place = {"table": "outbox", "row": f"txid={bytes(txid).hex()}"}
        try:
            transaction = decode_transaction(wire)
        except MalformedTransactionError as error:
            raise fail(
                f"a promised transaction: {error}", OUTBOX, **place, column="wire"
            ) from error
        reason = _why_false(transaction, network_id)
        if reason is not None:
            raise fail(f"a promised transaction {reason}", OUTBOX, **place, column="wire")
        if (transaction.txid, transaction.body.valid_until) != (txid, valid_until):
            raise fail("a promise under another id or term", OUTBOX, **place)
        count += 1
    for table in ("idempotency", "serials"):
        for *columns, crc in outbox.execute(f"SELECT * FROM {table}"):  # noqa: S608 - one of two names
            if not _matches(columns, crc):
                raise fail("a row fails its checksum", OUTBOX, table=table, row=f"key={columns[0]}")
    return count


def _matches(columns: list[str | bytes | int], crc: int) -> bool:
    try:
        return row_crc(*columns) == crc
    except UnicodeEncodeError:  # text that is no UTF-8 was never written
        return False


def _why_false(transaction: Transaction, network_id: bytes) -> str | None:
    body = transaction.body
    if body.network != network_id:
        return "is of another network"
    if travelling_blobs(transaction)[1] is not Code.OK:
        return "has other blobs than it names"
    if not verify(body.key, transaction.signed_bytes, transaction.signature):
        return "has a signature that does not verify"
    return None

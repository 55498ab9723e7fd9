"""What only this node keeps: its promises (marker, outbox) and its wallet. Owns their checks."""

from __future__ import annotations

import sqlite3
import zlib

import msgspec

from consensus.stores.crc import fallen_bit
from consensus.stores.marker import CRC_AT, SLOT_BYTES, Condition, Promises, decode_marker
from node.audit.faults import fail
from node.audit.folder import LEDGER, MARKER, OUTBOX, WALLET
from node.chain.checkpoint import Checkpoint, cosignature_time, verify_cosignature
from node.chain.merkle import MalformedFrontierError, decode_frontier, frontier_of
from node.chain.tiles import MissingTileError, TileSubtrees
from node.chain.voters import Voter
from node.ledger.codes import Code
from node.ledger.execution.execute import travelling_blobs
from node.ledger.signing import verify
from node.ledger.transaction import MalformedTransactionError, Transaction, decode_transaction
from node.storage.ledger_rows import Head, read_tile
from node.storage.marker import MarkerError, SignedCheckpoint, SigningMemory, decode_memory
from node.storage.outbox import row_crc

# --- The marker ------------------------------------------------------------------------------


def check_marker(data: bytes, voter: Voter | None) -> tuple[Promises, SigningMemory]:
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
    try:
        memory = decode_memory(promises.extra)
        signed = memory.signed
        if signed is None:
            return promises, memory
        frontier = decode_frontier(signed.frontier)
    except (MarkerError, MalformedFrontierError) as error:
        raise fail(f"holds no checkpoint: {error}", MARKER) from error
    if (frontier.size, frontier.root()) != (signed.size, signed.root):
        raise fail("the checkpoint is not of its frontier", MARKER, height=signed.height)
    if voter is not None and signed.cosignature:  # else the base of one that rejoined
        tree = Checkpoint(voter.origin, signed.size, signed.root)
        mine = verify_cosignature(tree, voter.cosigner, voter.cosign_key, signed.cosignature)
        if not mine or cosignature_time(signed.cosignature) != signed.time:
            raise fail("the cosignature is not this node's", MARKER, height=signed.height)
    return promises, memory


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


# --- Positions of listeners of final blocks --------------------------------------------------


def check_position(file: str, data: bytes, head: Head) -> None:
    """Check how far a listener came: 8 bytes and their CRC-32, or no file.

    Raises:
        AuditError: it is not what was written, or beyond the ledger.
    """
    if not data:
        return
    number, crc = data[:8], int.from_bytes(data[8:], "big")
    if len(data) != 12 or zlib.crc32(number) != crc:
        offset, bit = fallen_bit(number, crc) or (8, None)
        raise fail("fails its checksum", file, offset=offset, bit=bit)
    if int.from_bytes(number, "big") > head.height:
        raise fail("is beyond the ledger", file, offset=0)


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


def check_wallet(wallet: sqlite3.Connection) -> int:
    """Check the bare keys that this node holds, which only its own key opens; how many.

    Raises:
        AuditError: a row is not what was written.
    """
    count = 0
    for public, sealed, crc in wallet.execute("SELECT public, sealed, crc FROM keys"):
        if not _matches([public, sealed], crc):
            row = f"public={bytes(public).hex()}"
            raise fail("a row fails its checksum", WALLET, table="keys", row=row)
        count += 1
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

"""Comparing what the ledger stores beside its leaves with what they come to. Owns that comparison.

State rows and head follow from the leaves, blobs from the hashes that applied operations name, and
evidence from its own signatures. When evidence was found (`found_ms`) is a note for people that
nothing reads back; how often the file was synced (`synced`) is nothing at all.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence

import msgspec

from node.audit.faults import fail, fallen_bit, first_difference
from node.audit.folder import LEDGER
from node.audit.walk import Walked
from node.chain.evidence import EvidenceError, decode_evidence, judge
from node.chain.voters import VoterSet
from node.ledger.types import Table
from node.storage.ledger_rows import Head

Row = tuple[object, ...]


def check_head(ledger: sqlite3.Connection, walked: Walked, network_id: bytes) -> Head:
    """Compare the head; returns it. Its Raft index is compared with the log (`audit.promises`).

    Raises:
        AuditError: it is not what the leaves come to.
    """
    row = ledger.execute("SELECT network, record FROM head").fetchone()
    if row is None:
        raise fail("the head is missing", LEDGER, table="head")
    network, record = row
    if network != network_id:
        offset, bit = first_difference(network, network_id)
        raise fail(
            "the ledger of another network",
            LEDGER,
            table="head",
            column="network",
            offset=offset,
            bit=bit,
        )
    height = walked.head.height
    try:
        head = msgspec.msgpack.decode(record, type=Head)
    except msgspec.MsgspecError as error:
        raise fail(
            f"the head cannot be read: {error}",
            LEDGER,
            table="head",
            column="record",
            height=height,
        ) from error
    true = msgspec.structs.replace(walked.head, raft_index=head.raft_index, adopting=head.adopting)
    encoded = msgspec.msgpack.encode(true)
    if encoded != record:
        offset, bit = first_difference(record, encoded)
        raise fail(
            f"the head is not what {height} blocks come to",
            LEDGER,
            table="head",
            column="record",
            height=height,
            offset=offset,
            bit=bit,
        )
    return head


def check_state(ledger: sqlite3.Connection, walked: Walked) -> int:
    """Compare every row of every table of the state; how many there are.

    Raises:
        AuditError: at the first that is not what the blocks made.
    """
    query = "SELECT tbl, key, value FROM state ORDER BY tbl, key"
    compared = compare_rows(
        LEDGER,
        "state",
        ("tbl", "key", "value"),
        2,
        ledger.execute(query),
        walked.state.execute(query),
    )
    return sum(1 for _ in compared)


def check_blobs(ledger: sqlite3.Connection, walked: Walked) -> tuple[int, int]:
    """Check sealed blobs by their hashes; how many are there, and how many were erased.

    Raises:
        AuditError: one is not what its hash says, or no applied operation names it.
    """
    held = 0
    for height, blob_hash, body in ledger.execute(
        "SELECT height, hash, body FROM blobs ORDER BY height, hash"
    ):
        row = f"height={height} hash={bytes(blob_hash).hex()}"
        true = hashlib.sha256(body).digest()
        named = walked.state.execute(
            "SELECT 1 FROM named WHERE height = ? AND hash = ?", (height, blob_hash)
        )
        is_named = named.fetchone() is not None
        if true != blob_hash and is_named:
            offset, bit = fallen_bit(body, _hashes_to(blob_hash)) or (None, None)
            raise fail(
                "a sealed blob is not what its hash says",
                LEDGER,
                table="blobs",
                row=row,
                column="body",
                height=height,
                offset=offset,
                bit=bit,
            )
        if not is_named:
            offset, bit = first_difference(bytes(blob_hash), true)
            raise fail(
                "a sealed blob that no applied operation names",
                LEDGER,
                table="blobs",
                row=row,
                column="hash",
                offset=offset if true != blob_hash else None,
                bit=bit if true != blob_hash else None,
            )
        held += 1
    (names,) = walked.state.execute("SELECT count(*) FROM named").fetchone()
    return held, int(names) - held


def check_certificates(ledger: sqlite3.Connection, walked: Walked) -> None:
    """Every certificate is of a block; the walk has checked those that are.

    Raises:
        AuditError: one is of no block.
    """
    row = ledger.execute(
        "SELECT height FROM certificates WHERE height < 1 OR height > ? LIMIT 1",
        (walked.head.height,),
    ).fetchone()
    if row is not None:
        raise fail(
            "a certificate of no block",
            LEDGER,
            table="certificates",
            row=f"height={row[0]}",
            column="height",
        )


def check_evidence(ledger: sqlite3.Connection, voters: VoterSet) -> int:
    """Judge all evidence again; how much there is.

    Raises:
        AuditError: it proves nothing, or is kept under another id.
    """
    count = 0
    for identifier, body in ledger.execute("SELECT id, body FROM evidence ORDER BY id"):
        row = f"id={bytes(identifier).hex()}"
        try:
            true = judge(decode_evidence(body), voters).id
        except EvidenceError as error:
            raise fail(
                f"evidence: {error}", LEDGER, table="evidence", row=row, column="body"
            ) from error
        if true != identifier:
            offset, bit = first_difference(bytes(identifier), true)
            raise fail(
                "evidence under another id",
                LEDGER,
                table="evidence",
                row=row,
                column="id",
                offset=offset,
                bit=bit,
            )
        count += 1
    return count


def compare_rows(
    file: str,
    table: str,
    columns: Sequence[str],
    keys: int,
    stored: Iterator[Row],
    true: Iterator[Row],
) -> Iterator[Row]:
    """Every row that both have, in the order of their keys: the first `keys` columns.

    Raises:
        AuditError: at the first row that one side lacks or that differs.
    """
    for row in stored:
        expected = next(true, None)
        if expected == row:
            yield row
            continue
        if expected is not None:
            _check_key(file, table, columns, keys, row, expected)
        if expected is None or _order(row[:keys]) < _order(expected[:keys]):
            raise fail("a row that nothing makes", file, table=table, row=_key(columns, row, keys))
        if row[:keys] != expected[:keys]:
            raise fail("a row is missing", file, table=table, row=_key(columns, expected, keys))
        number = next(n for n, (a, b) in enumerate(zip(row, expected, strict=True)) if a != b)
        offset, bit = first_difference(_bytes(row[number]), _bytes(expected[number]))
        raise fail(
            "a row is not what the ledger comes to",
            file,
            table=table,
            row=_key(columns, row, keys),
            column=columns[number],
            offset=offset,
            bit=bit,
        )
    expected = next(true, None)
    if expected is not None:
        raise fail("a row is missing", file, table=table, row=_key(columns, expected, keys))


def _check_key(
    file: str, table: str, columns: Sequence[str], keys: int, row: Row, expected: Row
) -> None:
    """Raise if the rows are one and the same but for a bit of the key."""
    others = [n for n, (a, b) in enumerate(zip(row, expected, strict=True)) if a != b]
    if len(others) != 1 or others[0] >= keys:
        return
    offset, bit = first_difference(_bytes(row[others[0]]), _bytes(expected[others[0]]))
    if bit is not None:
        raise fail(
            f"a row under another key than {_key(columns, expected, keys)}",
            file,
            table=table,
            row=_key(columns, row, keys),
            column=columns[others[0]],
            offset=offset,
            bit=bit,
        )


def _hashes_to(blob_hash: bytes) -> Callable[[bytes], bool]:
    return lambda body: hashlib.sha256(body).digest() == blob_hash


def _order(key: Row) -> Row:
    """Comparable as SQLite compares: NULL, numbers, text, bytes."""
    ranks = {type(None): 0, int: 1, str: 2, bytes: 3}
    return tuple((ranks[type(part)], part) for part in key)


def _key(columns: Sequence[str], row: Row, keys: int) -> str:
    parts = []
    for name, part in zip(columns[:keys], row, strict=False):
        if name == "tbl" and isinstance(part, int) and part in set(Table):
            parts.append(f"table={Table(part).name}")
        else:
            parts.append(f"{name}={part.hex() if isinstance(part, bytes) else part}")
    return " ".join(parts)


def _bytes(value: object) -> bytes:
    """As an offset counts in it: integers are told as eight bytes, as SQLite stores the longest."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return value.to_bytes(8, "big", signed=True)
    return str(value).encode()

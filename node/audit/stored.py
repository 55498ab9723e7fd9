"""Comparing what the ledger stores beside its leaves with what they come to. Owns that comparison.

State rows and head follow from the leaves, evidence from its own signatures. When evidence was
found (`found_ms`) is a note for people that nothing reads back; how often the file was synced
(`synced`) is nothing at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

import msgspec

from node.audit.faults import AuditError, fail, first_difference
from node.audit.folder import LEDGER
from node.audit.walk import Walked
from node.chain.evidence.excuse import ExcuseError, decode_resumption, verify_resumption
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import EvidenceError, decode_evidence
from node.chain.voters import VoterSet
from node.ledger.codes import Table
from node.ledger.rulebook import RULEBOOK
from node.storage.ledger_rows import Head
from node.storage.state_rows import place_of

Row = tuple[object, ...]
_ROWS = 1_000
"""Compared at once: equal lists are told equal without a look at each row here."""


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
    columns = ("tbl", "key", "value")
    true: Iterator[Row] = walked.state.rows(table for table in Table if table is not Table.ORDER)
    count = compare_rows(LEDGER, "state", columns, 2, ledger.execute(query), true)
    query = "SELECT place, key, value FROM orders ORDER BY place, key"
    columns = ("place", "key", "value")
    orders = walked.state.rows([Table.ORDER])
    true = ((place_of(key), key, value) for _, key, value in orders)
    return count + compare_rows(LEDGER, "orders", columns, 2, ledger.execute(query), true)


def check_invariants(walked: Walked) -> dict[str, int]:
    """Check what must hold of rows, whatever the rules made of them; how many of each kind.

    Raises:
        AuditError: at the first of which it does not hold.
    """
    counts: dict[str, int] = {}
    for invariant in RULEBOOK.invariants:
        counts[invariant.name] = 0
        for _, key, value in walked.state.rows([invariant.kind.table]):
            counts[invariant.name] += 1
            broken = invariant.broken(invariant.kind.decode(value))
            if broken:
                row = key.decode("utf-8", "backslashreplace")
                raise fail(
                    f"the rules broke what must hold: {broken[0]}", LEDGER, table="state", row=row
                )
    return counts


def check_strays(ledger: sqlite3.Connection, walked: Walked) -> None:
    """Certificates and blobs are of a block; the walk has checked those that are.

    Raises:
        AuditError: one is of no block.
    """
    (blobs,) = ledger.execute("SELECT count(*) FROM blobs").fetchone()
    if blobs != walked.blobs:
        raise fail("a sealed blob of a block that names none", LEDGER, table="blobs")
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


def check_resumptions(ledger: sqlite3.Connection, voters: VoterSet) -> None:
    """Verify all resumptions again.

    Raises:
        AuditError: one is none, or is kept in another place.
    """
    rows = ledger.execute("SELECT voter, size, body FROM resumptions ORDER BY voter, size")
    for voter, size, body in rows:
        row = f"voter={voter}, size={size}"
        try:
            resumption = decode_resumption(body)
            told = verify_resumption(resumption, voters).checkpoint
        except ExcuseError as error:
            raise fail(
                f"resumption: {error}", LEDGER, table="resumptions", row=row, column="body"
            ) from error
        if (resumption.voter, told.size) != (voter, size):
            raise fail("a resumption in another place", LEDGER, table="resumptions", row=row)


def compare_rows(
    file: str,
    table: str,
    columns: Sequence[str],
    keys: int,
    stored: Iterator[Row],
    true: Iterator[Row],
) -> int:
    """Compare two tables in the order of their keys, the first `keys` columns; how many rows.

    Raises:
        AuditError: at the first row that one side lacks or that differs.
    """
    count = 0
    while True:
        found, expected = list(islice(stored, _ROWS)), list(islice(true, _ROWS))
        if found != expected:
            raise _first_other(file, table, columns, keys, found, expected)
        if not found:
            return count
        count += len(found)


def _first_other(
    file: str,
    table: str,
    columns: Sequence[str],
    keys: int,
    stored: Sequence[Row],
    true: Sequence[Row],
) -> AuditError:
    """The fault of the first row that differs; there is one."""
    place = {"file": file, "table": table}
    row, expected = next(pair for pair in zip_longest(stored, true) if pair[0] != pair[1])
    if expected is None or row is None:
        reason = "a row that nothing makes" if expected is None else "a row is missing"
        return fail(reason, **place, row=_key(columns, row or expected, keys))
    others = [n for n, (a, b) in enumerate(zip(row, expected, strict=True)) if a != b]
    number = others[0]
    offset, bit = first_difference(_bytes(row[number]), _bytes(expected[number]))
    if row[:keys] == expected[:keys]:
        reason = "a row is not what the ledger comes to"
    elif len(others) == 1 and bit is not None:
        reason = f"a row under another key than {_key(columns, expected, keys)}"
    elif _order(row[:keys]) < _order(expected[:keys]):
        return fail("a row that nothing makes", **place, row=_key(columns, row, keys))
    else:
        return fail("a row is missing", **place, row=_key(columns, expected, keys))
    return fail(
        reason,
        **place,
        row=_key(columns, row, keys),
        column=columns[number],
        offset=offset,
        bit=bit,
    )


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
    return str(value).encode("utf-8", "surrogateescape")

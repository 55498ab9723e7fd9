"""The two limits that a run is compared with, measured on the same machine in the same run.

Owns only these measurements: Ed25519 verifications and SQLite rows of one core.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from pathlib import Path

from node.ledger.signing import secret_key, sign, verify

_MESSAGE_BYTES = 300
_VERIFICATIONS = 4_000
_ROWS = 40_000
_ROWS_PER_COMMIT = 500


def verifications_per_second() -> float:
    """Ed25519 verifications of 300-byte messages that one core does in a second."""
    key = secret_key(os.urandom(32))
    messages = [os.urandom(_MESSAGE_BYTES) for _ in range(200)]
    signed = [(message, sign(key, message)) for message in messages]
    started = time.perf_counter()
    for _ in range(_VERIFICATIONS // len(signed)):
        for message, signature in signed:
            verify(key[32:], message, signature)
    return _VERIFICATIONS / (time.perf_counter() - started)


def sqlite_rows_per_second() -> float:
    """Rows of a 32-byte key and 300 bytes that one core commits (FULL, 500 a commit)."""
    rows = [(os.urandom(32), os.urandom(_MESSAGE_BYTES)) for _ in range(_ROWS)]
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)")
        started = time.perf_counter()
        for start in range(0, _ROWS, _ROWS_PER_COMMIT):
            connection.execute("BEGIN")
            connection.executemany(
                "INSERT INTO rows VALUES (?, ?)", rows[start : start + _ROWS_PER_COMMIT]
            )
            connection.execute("COMMIT")
        elapsed = time.perf_counter() - started
        connection.close()
    return _ROWS / elapsed

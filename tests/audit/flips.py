"""One flipped bit in a data folder: audited, and if the audit passes, proven to change nothing."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from node.audit.folder import DATABASES
from node.audit.run import Audit, Outcome
from node.ledger.genesis import Genesis
from tests.index_parts import INDEX_PARTS

HARMLESS = {
    ("ledger.db", "evidence", "found_ms"): "a note for people; nothing reads it back",
    ("ledger.db", "synced", "times"): "written to make a commit touch the disk; never read",
    ("heads.db", "arriving", "name"): "judged by its checksum when it is complete",
    ("heads.db", "arriving", "body"): "judged by its checksum when it is complete",
}
"""What the audit does not check, and why it need not."""

Contents = dict[tuple[str, str], list[tuple[object, ...]]]


def contents(folder: Path) -> Contents:
    """Every row of every table of every database, and the schema, as a reader sees them."""
    found: Contents = {}
    for name in DATABASES:
        path = folder / name
        if not path.exists():
            continue
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            found[name, "user_version"] = [(version,)]
            schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
            found[name, "sqlite_schema"] = sorted(schema.fetchall(), key=repr)
            for kind, table, *_ in found[name, "sqlite_schema"]:
                if kind == "table":
                    rows = connection.execute(f'SELECT * FROM "{table}"')
                    columns = [column[0] for column in rows.description]
                    kept = [n for n, c in enumerate(columns) if (name, table, c) not in HARMLESS]
                    picked = [tuple(row[n] for n in kept) for row in rows]
                    found[name, str(table)] = sorted(picked, key=repr)
    return found


class Flips:
    """A folder whose bits are flipped, one at a time."""

    def __init__(self, folder: Path, work: Path, genesis: Genesis, node: str) -> None:
        self.folder, self.work = folder, work
        self.genesis, self.node = genesis, node
        shutil.copytree(folder, work)  # what SQLite makes to read a copy must not touch the other
        self.true = contents(work)
        self.files = sorted(
            path for path in folder.iterdir() if path.is_file() and path.stat().st_size
        )

    def audit(self) -> Outcome:
        """Audit the folder as it is now."""
        return Audit(self.genesis, self.node, INDEX_PARTS, position_files=("examined",)).run(
            self.work
        )

    def flip(self, rng: random.Random, seen: Counter[str]) -> None:
        """Flip a bit that `rng` picks from all bits of the folder.

        Raises:
            AssertionError: the audit passes though the contents are others.
        """
        sizes = [path.stat().st_size for path in self.files]
        (path,) = rng.choices(self.files, sizes)
        place, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        self.flip_at(path.name, place, bit, seen)

    def flip_at(self, name: str, place: int, bit: int, seen: Counter[str]) -> Outcome:
        """Flip this bit."""
        shutil.rmtree(self.work)
        shutil.copytree(self.folder, self.work)
        changed = bytearray((self.work / name).read_bytes())
        changed[place] ^= 1 << bit
        (self.work / name).write_bytes(changed)
        outcome = self.audit()
        where = f"bit {bit} of byte {place} of {name}"
        fault = outcome.first
        if fault is None:
            assert name not in {"marker", "examined"}, where
            assert contents(self.work) == self.true, where
            seen["harmless"] += 1
            seen[f"harmless {name}"] += 1
            return outcome
        assert fault.file.removesuffix("-wal") == name.removesuffix("-wal"), (where, fault)
        seen["found"] += 1
        seen[f"found {name}"] += 1
        if fault.offset is None:
            print(where, fault)
        seen["told to the byte"] += fault.offset is not None
        seen["told to the bit"] += fault.bit is not None
        return outcome

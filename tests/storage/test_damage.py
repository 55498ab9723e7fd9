"""Damage names its file and is set aside; a full disk takes nothing back that was stored."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from node.custody.keyring import Keyring
from node.custody.wallet import Wallet
from node.ledger.codes import Table
from node.storage.damage import (
    KEPT,
    DamagedFileError,
    DiskFullError,
    damage_in,
    disk_failure,
    is_full,
    missing,
    set_aside,
    telling,
)
from node.storage.database import application_id, open_reader, open_writer
from node.storage.ledger import Ledger
from node.storage.ledger_values import WrongNetworkError
from tests.ledger.world import BUREAU
from tests.node.chronicle import Chronicle, found, write_history

SCHEMA = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY, value BLOB) STRICT;"
NOW_MS = 1_796_040_000_000


def limit(connection: sqlite3.Connection, more: int) -> None:
    """Let the file grow by so many pages: SQLite answers beyond that as on a full disk."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + more}")


async def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    path.write_bytes(b"no database" * 1_000)

    with pytest.raises(DamagedFileError, match=r"things\.db is damaged: file is not a database"):
        await open_writer(path, "things", SCHEMA)


async def test_a_database_of_something_else_is_named_and_stays_as_it_is(tmp_path: Path) -> None:
    foreign, other = tmp_path / "places.db", tmp_path / "others.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    await (await open_writer(other, "others", SCHEMA)).close()
    for path in (foreign, other):
        before = path.read_bytes()

        with pytest.raises(DamagedFileError, match="a database of something else, no things"):
            await open_writer(path, "things", SCHEMA)

        assert path.read_bytes() == before
    await (await open_writer(other, "others", SCHEMA)).close()
    assert len({application_id(kind) for kind in ("ledger", "index", "outbox", "heads")}) == 4


async def test_a_page_that_is_damaged_later_is_named(tmp_path: Path) -> None:
    path = tmp_path / "things.db"
    database = await open_writer(path, "things", SCHEMA)
    await database.run(
        lambda c: c.executemany(
            "INSERT INTO things VALUES (?, ?)", [(str(n), b"x" * 900) for n in range(200)]
        )
    )
    await database.close()
    content = bytearray(path.read_bytes())
    for page in range(3, len(content) // 4_096):
        content[page * 4_096 : page * 4_096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    database = await open_writer(path, "things", SCHEMA)

    with pytest.raises(DamagedFileError) as raised:
        await database.run(lambda c: c.execute("SELECT sum(length(value)) FROM things").fetchall())

    await database.close()
    assert raised.value.path == path
    wrapped = RuntimeError("the loop ended")
    wrapped.__cause__ = raised.value
    assert damage_in(wrapped) is raised.value
    assert damage_in(RuntimeError("another")) is None


def test_only_content_is_damage(tmp_path: Path) -> None:
    def busy() -> None:
        raise sqlite3.OperationalError("database is locked")

    def wrong() -> None:
        raise ValueError("no such record")

    with pytest.raises(sqlite3.OperationalError):
        telling(tmp_path, busy)
    with pytest.raises(ValueError, match="no such record"):
        telling(tmp_path, wrong)
    with pytest.raises(DamagedFileError, match="no such record"):
        telling(tmp_path, wrong, ValueError)


def test_set_aside_with_its_companions_and_not_without_end(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    for n in range(KEPT + 2):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).write_text(f"{n}{suffix}")
        aside = set_aside(path, NOW_MS + 1_000 * n)
        assert aside.read_text() == str(n)
        assert aside.with_name(f"{aside.name}-wal").read_text() == f"{n}-wal"
        assert not path.exists()
        assert not path.with_name("index.db-shm").exists()

    kept = sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(("-wal", "-shm")))
    assert kept == [f"index.db.damaged-20261130T12000{n}000000Z" for n in range(2, KEPT + 2)]
    assert len(list(tmp_path.iterdir())) == 3 * KEPT


async def test_what_has_no_room_leaves_no_open_transaction_and_waits(tmp_path: Path) -> None:
    database = await open_writer(tmp_path / "things.db", "things", SCHEMA)

    def job(connection: sqlite3.Connection) -> int:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO things VALUES ('big', ?)", (b"x" * 100_000,))
        connection.execute("COMMIT")
        return 7

    await database.run(lambda c: limit(c, 3))
    with pytest.raises(DiskFullError, match=r"is full: no room for things\.db") as raised:
        await database.run(job)
    assert is_full(raised.value)
    assert not database.in_transaction
    waiting = asyncio.ensure_future(database.persist(job))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await database.run(lambda c: limit(c, 1_000))

    async with asyncio.timeout(5.0):
        assert await waiting == 7
    assert await database.run(lambda c: c.execute("SELECT count(*) FROM things").fetchone()) == (1,)
    await database.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_system_says_full_in_two_ways(number: int) -> None:
    assert is_full(OSError(number, "full"))
    assert not is_full(OSError(errno.EIO, "broken"))


async def test_a_ledger_without_room_goes_on_where_it_was(tmp_path: Path) -> None:
    """Head and tiles in memory are those of the file, so the same history comes out."""
    plain = await Chronicle.open(tmp_path / "plain")
    await write_history(plain)
    tight = await Chronicle.open(tmp_path / "tight")
    await tight.ledger._database.run(lambda c: limit(c, 0))

    writing = asyncio.ensure_future(write_history(tight))
    for _ in range(4):
        await asyncio.sleep(0.3)
        await tight.ledger._database.run(lambda c: limit(c, 2))
    await tight.ledger._database.run(lambda c: limit(c, 10_000))
    async with asyncio.timeout(30.0):
        await writing

    assert tight.ledger.head == plain.ledger.head
    await plain.close()
    await tight.close()


async def test_what_peers_tell_of_liars_waits_for_room_and_ends_no_node(tmp_path: Path) -> None:
    """Any member can publish a resumption, and each voter that comes back publishes one."""
    chronicle = await Chronicle.open(tmp_path)
    ledger = chronicle.ledger
    await ledger.store_evidence(b"e" * 32, 1, bytes(100))
    await ledger._database.run(lambda c: limit(c, 0))
    fill = (ledger.store_resumption(1, size, bytes(4_000)) for size in range(1, 40))
    writes = [asyncio.ensure_future(write) for write in fill]
    writes += [asyncio.ensure_future(ledger.drop_evidence(b"e" * 32))]
    writes += [asyncio.ensure_future(ledger.sync())]
    await asyncio.wait(writes, timeout=0.3)
    failed = [write.exception() for write in writes if write.done()]
    await ledger._database.run(lambda c: limit(c, 10_000))
    await asyncio.wait(writes, timeout=10.0)
    kept = await chronicle.reader.resumptions()
    await chronicle.close()
    assert not any(failed)
    assert len(failed) < len(writes), "some had to wait"
    assert len(kept) == 39


async def test_a_row_that_cannot_be_read_is_damage_of_the_ledger(tmp_path: Path) -> None:
    """Only SQLite's own complaints were: the node ended at this block, at every start again."""
    chronicle = await Chronicle.open(tmp_path)
    await chronicle.close()
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as connection:
        changed = connection.execute(
            "UPDATE state SET value = ? WHERE tbl = ? AND key = ?",
            (b"\xc1", Table.PARTICIPANT, BUREAU.encode()),
        )
        assert changed.rowcount == 1
    connection.close()
    await chronicle.reopen()

    try:
        with pytest.raises(DamagedFileError, match=r"ledger\.db is damaged") as raised:
            await write_history(chronicle)
    finally:
        await chronicle.close()  # else its threads keep the process
    assert raised.value.path == path


async def test_a_ledger_that_contradicts_itself_is_damaged_and_another_networks_is_not(
    tmp_path: Path,
) -> None:
    made = await Chronicle.open(tmp_path / "made")
    await write_history(made)
    await made.close()
    path = tmp_path / "made" / "ledger.db"

    with pytest.raises(WrongNetworkError, match="another network"):
        await Ledger.open(path, found("other"), bytes(32), lambda _: None)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE head SET record = x'00'")
    connection.close()
    with pytest.raises(DamagedFileError, match=r"ledger\.db is damaged"):
        await Ledger.open(path, found(), bytes(32), lambda _: None)


def test_what_a_folder_in_use_lacks_is_told_and_a_new_one_lacks_nothing(tmp_path: Path) -> None:
    assert missing(tmp_path) == {}

    for name in ("ledger.db", "index.db", "heads.db", "raft.db"):
        (tmp_path / name).touch()

    lost = missing(tmp_path)
    assert lost.keys() == {"outbox.db", "wallet.db"}
    assert "backup" in lost["wallet.db"]


@pytest.mark.parametrize("name", ["a?b", "%41", "x#y", "a b&mode=memory", "票链"])
async def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """A database opened by the plain name of its file would stand somewhere else."""
    folder = tmp_path / name
    folder.mkdir()
    await (await open_writer(folder / "things.db", "things", SCHEMA)).close()
    await (await open_reader(folder / "things.db")).close()

    assert [path.name for path in folder.iterdir()] == ["things.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")
@pytest.mark.parametrize("files", [2, 3, 4], ids=["none", "no write-ahead log", "no index of it"])
async def test_a_file_system_without_room_for_files_is_full(tmp_path: Path, files: int) -> None:
    """A start that fails so may be tried again; nothing is wrong with any file."""
    command = ["mount", "-t", "tmpfs", "-o", f"nr_inodes={files - 1}", "none", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(DiskFullError, match=r"is full: no room for wallet\.db"):
            await Wallet.open(tmp_path / "wallet.db", bytes(32), Keyring((bytes(32),)))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_file_system_is_told_with_the_systems_reason(tmp_path: Path) -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    outer = RuntimeError("a task failed")
    outer.__cause__ = failure

    assert disk_failure(outer, tmp_path) == f"the file system of {tmp_path} fails: disk I/O error"
    assert list(tmp_path.iterdir()) == []
    told = disk_failure(OSError(errno.EROFS, "Read-only file system"), tmp_path / "gone")
    assert told is not None
    assert told.endswith("(No such file or directory)")
    assert disk_failure(OSError(errno.ENOSPC, "full"), tmp_path) is None, "that is waited for"
    assert disk_failure(ValueError("a fault of the program"), tmp_path) is None

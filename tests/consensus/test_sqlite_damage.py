"""The store on SQLite: which disks it believes, what it presents of damaged ones, and mending."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from consensus.membership import Membership
from consensus.ports import AppendBatch
from consensus.stores.marker import Marker
from consensus.stores.sqlite import DamagedLogError, open_sqlite_store
from consensus.types import Entry, EntryKind, HardState, LogIndex, NodeId, Term
from tests.consensus.lab import chain
from tests.consensus.stored import (
    MANY,
    STATE,
    base_at,
    batch,
    flip,
    found,
    load,
    marker_file,
    opened,
    read,
    sql,
    write,
)

# --- Agreement with the marker -------------------------------------------------------------------


async def test_the_marker_is_written_with_every_batch(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log))
    marker = Marker.open(marker_file(tmp_path))
    marker.close()

    assert marker.promises.hard_state == STATE
    assert (marker.promises.last_index, marker.promises.last_hash) == (2, log[1].hash)


async def test_a_handed_in_marker_stays_its_owners(tmp_path: Path) -> None:
    marker = Marker.open(tmp_path / "promises")
    marker.record_extra(b"the embedder's")
    store = await open_sqlite_store(tmp_path / "raft.db", marker)
    await store.load()
    await store.append(batch(chain(1)))
    await store.close()
    marker.record_extra(b"more of it")
    marker.close()
    again = Marker.open(tmp_path / "promises")
    again.close()

    assert (again.promises.extra, again.promises.last_index) == (b"more of it", 1)
    assert not marker_file(tmp_path).exists()


async def test_a_log_shorter_than_the_marker_is_suspect(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    await write(tmp_path, batch(log[:2]), batch(log[2:]))
    sql(tmp_path, "DELETE FROM frames WHERE first = 3")

    assert await load(tmp_path) == found(STATE, log[:2], suspect=True)


async def test_a_lost_log_file_is_suspect_and_term_and_vote_are_the_markers(
    tmp_path: Path,
) -> None:
    await write(tmp_path, batch(chain(1)))
    (tmp_path / "raft.db").unlink()

    assert await load(tmp_path) == found(STATE, [], suspect=True)


@pytest.mark.parametrize("content", [None, b"", b"rubbish"])
async def test_a_lost_marker_is_suspect(tmp_path: Path, content: bytes | None) -> None:
    log = chain(1)
    await write(tmp_path, batch(log))
    if content is None:
        marker_file(tmp_path).unlink()
    else:
        marker_file(tmp_path).write_bytes(content)

    assert await load(tmp_path) == found(STATE, log, suspect=True)
    assert await load(tmp_path) == found(STATE, log, suspect=True)


async def test_a_log_ahead_of_the_marker_is_a_crash_between_the_two_and_trusted(
    tmp_path: Path,
) -> None:
    log = chain(1, 1, 3)
    await write(tmp_path, batch(log[:1], HardState(Term(1))))
    before = marker_file(tmp_path).read_bytes()
    await write(tmp_path, batch(log[1:]))
    marker_file(tmp_path).write_bytes(before)

    assert await load(tmp_path) == found(STATE, log)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_crash_after_entries_were_replaced_is_trusted_too(
    tmp_path: Path, reset: bool
) -> None:
    old = chain(1, 1, 1, 1)
    new = chain(2, first=old[:1])
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(old))
        before = marker_file(tmp_path).read_bytes()
        if reset:
            await store.append(AppendBatch(STATE, [], base=base_at(new[1]), reset=True))
        else:
            await store.append(batch(new[1:]))
    marker_file(tmp_path).write_bytes(before)

    assert not (await load(tmp_path)).suspect


async def test_a_replacement_that_was_lost_is_suspect(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1)
    await write(tmp_path, batch(old))
    before = (tmp_path / "raft.db").read_bytes()
    await write(tmp_path, batch(chain(2, first=old[:1])[1:]))
    (tmp_path / "raft.db").write_bytes(before)

    assert (await load(tmp_path)).suspect


async def test_an_older_replacement_excuses_no_later_loss(tmp_path: Path) -> None:
    old = chain(1, 1, 1, 1)
    await write(tmp_path, batch(old))
    new = chain(2, 2, 2, 2, first=old[:1])
    async with opened(tmp_path) as store:
        await store.load()
        await store.append(batch(new[1:3]))
        await store.append(batch(new[3:]))
    sql(tmp_path, "DELETE FROM frames WHERE first = 4")

    assert (await load(tmp_path)).suspect


async def test_suspicion_outlives_restarts_until_the_node_has_caught_up(tmp_path: Path) -> None:
    log = chain(1, 1, 1)
    await write(tmp_path, batch(log[:1]), batch(log[1:]))
    sql(tmp_path, "DELETE FROM frames WHERE first > 1")
    await write(tmp_path, batch(log[1:2]))
    assert (await load(tmp_path)).suspect

    await write(tmp_path, AppendBatch(STATE, log[2:], caught_up=True))
    assert await load(tmp_path) == found(STATE, log)


@pytest.mark.parametrize("slot", [0, 1])
async def test_no_damage_to_one_slot_takes_suspicion_back(tmp_path: Path, slot: int) -> None:
    await write(tmp_path, batch(chain(1)))
    async with opened(tmp_path, rejoin=True) as store:
        assert (await store.load()).suspect
    content = bytearray(marker_file(tmp_path).read_bytes())
    content[slot * len(content) // 2 + 100] ^= 1
    marker_file(tmp_path).write_bytes(content)

    assert (await load(tmp_path)).suspect


async def test_a_node_whose_disk_is_new_comes_back_suspect(tmp_path: Path) -> None:
    async with opened(tmp_path, rejoin=True) as store:
        assert await store.load() == found(HardState(), [], suspect=True)

    assert (await load(tmp_path)).suspect


# --- Damage --------------------------------------------------------------------------------------


DAMAGE = [
    ("positions", 0, 3),
    ("positions", 10, 3),
    ("positions", 40, 3),
    ("data", 5, 4),
    ("data", -1, 6),
]
"""Column, byte, and the index from which the entries of the frame 4..6 are lost to it."""


@pytest.mark.parametrize(("column", "at", "intact"), DAMAGE)
async def test_the_beginning_up_to_the_damage_is_presented_and_nothing_is_cut(
    tmp_path: Path, column: str, at: int, intact: int
) -> None:
    intact = {3: 3, 4: 3, 6: 5}[intact]
    log = chain(*[1] * 9)
    await write(tmp_path, batch(log[:3]), batch(log[3:6]), batch(log[6:]))
    flip(tmp_path, column, 4, at)
    stored = sql(tmp_path, "SELECT * FROM frames")
    for _ in range(2):
        assert await load(tmp_path) == found(STATE, log[:intact], suspect=True)

    assert sql(tmp_path, "SELECT * FROM frames") == stored


@pytest.mark.parametrize(("column", "at", "intact"), DAMAGE)
async def test_a_leaders_entries_take_the_places_of_damaged_ones(
    tmp_path: Path, column: str, at: int, intact: int
) -> None:
    intact = {3: 3, 4: 3, 6: 5}[intact]
    log = chain(*[1] * 9)
    await write(tmp_path, batch(log[:3]), batch(log[3:6]), batch(log[6:]))
    flip(tmp_path, column, 4, at)
    await write(tmp_path, batch(log[intact:8]), AppendBatch(STATE, log[8:], caught_up=True))

    assert await load(tmp_path) == found(STATE, log)
    assert await read(tmp_path, 1, 9) == log


@pytest.mark.parametrize(
    ("statement", "intact"),
    [
        ("DELETE FROM frames WHERE first = 3", 2),
        ("DELETE FROM frames WHERE first = 1", 0),
        ("UPDATE frames SET last = 3 WHERE first = 3", 2),
        ("UPDATE frames SET data = x'' WHERE first = 3", 2),
        ("UPDATE frames SET data = substr(data, 1, length(data) - 1) WHERE first = 3", 2),
        ("UPDATE frames SET first = 1000 WHERE first = 3", 2),
        (
            "UPDATE frames SET data = (SELECT data FROM frames WHERE first = 1) WHERE first = 3",
            2,
        ),
    ],
)
async def test_what_is_missing_or_misplaced_is_damage(
    tmp_path: Path, statement: str, intact: int
) -> None:
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]))
    sql(tmp_path, statement)
    assert await load(tmp_path) == found(STATE, log[:intact], suspect=True)

    await write(tmp_path, AppendBatch(STATE, log[intact:], caught_up=True))
    assert await load(tmp_path) == found(STATE, log)


async def test_a_frame_of_another_history_is_damage_although_its_checksums_hold(
    tmp_path: Path,
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    log, foreign = chain(1, 1, 1, 1), chain(1, 2, 2, 2)
    await write(mine, batch(log[:2]), batch(log[2:]))
    await write(other, batch(foreign[:2]), batch(foreign[2:]))
    ((positions_of, data),) = sql(other, "SELECT positions, data FROM frames WHERE first = 3")
    sql(mine, "UPDATE frames SET positions = ?, data = ? WHERE first = 3", positions_of, data)

    assert await load(mine) == found(STATE, log[:2], suspect=True)


@pytest.mark.parametrize("record", [b"", b"rubbish", None])
async def test_hard_state_that_fails_its_checksum_is_the_markers(
    tmp_path: Path, record: bytes | None
) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log))
    if record is None:
        sql(tmp_path, "DELETE FROM facts WHERE name = 'hard state'")
    else:
        sql(tmp_path, "UPDATE facts SET record = ? WHERE name = 'hard state'", record)

    assert await load(tmp_path) == found(STATE, log)
    marker_file(tmp_path).unlink()
    assert await load(tmp_path) == found(HardState(Term(1)), log, suspect=True)


async def test_without_its_base_a_log_presents_nothing_and_is_mended_by_a_leader(
    tmp_path: Path,
) -> None:
    log = chain(1, 1, 2, 2)
    await write(tmp_path, batch(log), AppendBatch(None, [], base=base_at(log[1])))
    sql(tmp_path, "UPDATE facts SET record = zeroblob(40) WHERE name = 'base'")
    assert await load(tmp_path) == found(STATE, [], suspect=True)

    await write(tmp_path, AppendBatch(STATE, log[:3], caught_up=True))
    assert await load(tmp_path) == found(STATE, log[:3])


async def test_a_record_damaged_long_ago_is_found_when_it_is_read_and_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.stores.sqlite_log.VERIFIED_BYTES", 1)
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:3]), batch(log[3:]))
    flip(tmp_path, "data", 1, 0)
    async with opened(tmp_path) as store:
        assert await store.load() == found(STATE, log)
        assert await store.read(LogIndex(4), LogIndex(6), MANY) == log[3:]
        with pytest.raises(DamagedLogError) as error:
            await store.read(LogIndex(1), LogIndex(3), MANY)
        assert error.value.index == 1

    assert await load(tmp_path) == found(STATE, [], suspect=True)
    await write(tmp_path, AppendBatch(STATE, log, caught_up=True))
    assert await load(tmp_path) == found(STATE, log)
    assert sql(tmp_path, "SELECT name FROM facts") == [("hard state",)]  # the doubt is gone too


ONE = Membership((NodeId(1),))


def members(log: list[Entry], payload: bytes = ONE.encode()) -> list[Entry]:
    """The log and one membership entry more."""
    index = LogIndex(len(log) + 1)
    entry = Entry(Term(1), index, EntryKind.MEMBERSHIP, NodeId(0), log[-1].hash, payload, b"")
    return [*log, entry]


async def test_a_membership_damaged_long_ago_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consensus.stores.sqlite_log.VERIFIED_BYTES", 1)
    log = members(chain(1, 1, first=members(chain(1))))
    await write(
        tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]), batch(chain(2, first=log)[5:])
    )
    membership = (LogIndex(2), ONE)
    assert (await load(tmp_path)).memberships == [membership, (LogIndex(5), ONE)]
    flip(tmp_path, "data", 5, 10)
    recovered = await load(tmp_path)
    assert (len(recovered.positions), recovered.memberships) == (4, [membership])
    flip(tmp_path, "data", 1, -1)

    assert await load(tmp_path) == found(STATE, log[:1], suspect=True)


async def test_a_membership_after_the_damage_is_not_presented(tmp_path: Path) -> None:
    log = members(chain(1, 1, first=members(chain(1))))
    await write(tmp_path, batch(log))
    flip(tmp_path, "data", 1, len(log[0].encoded) + len(log[1].encoded) + 5)
    recovered = await load(tmp_path)

    assert recovered.suspect
    assert (len(recovered.positions), len(recovered.memberships)) == (2, 1)


@pytest.mark.parametrize("payload", [b"rubbish", Membership((), (), (NodeId(1),)).encode()])
async def test_a_membership_entry_without_a_membership_is_damage(
    tmp_path: Path, payload: bytes
) -> None:
    log = members(chain(1, 1), payload)
    await write(tmp_path, batch(log))

    assert await load(tmp_path) == found(STATE, log[:2], suspect=True)


async def test_a_frame_that_goes_missing_later_is_noticed_by_reads(tmp_path: Path) -> None:
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]))
    async with opened(tmp_path) as store:
        await store.load()
        await store._file.run(lambda c: c.execute("DELETE FROM frames WHERE first = 3"))
        for first, missing in ((1, 3), (3, 3), (4, 4)):
            with pytest.raises(DamagedLogError) as error:
                await store.read(LogIndex(first), LogIndex(6), MANY)
            assert error.value.index == missing


async def test_a_misplaced_frame_makes_room_for_a_leaders_entries(tmp_path: Path) -> None:
    log = chain(*[1] * 6)
    await write(tmp_path, batch(log[:2]), batch(log[2:4]), batch(log[4:]))
    sql(tmp_path, "UPDATE frames SET first = 2 WHERE first = 3")
    assert await load(tmp_path) == found(STATE, log[:2], suspect=True)
    await write(tmp_path, AppendBatch(STATE, log[2:], caught_up=True))

    assert await load(tmp_path) == found(STATE, log)


async def test_a_fact_of_another_kind_is_none(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, batch(log))
    for name, content in (("hard state", b"\x01"), ("base", b"\x93\x01\x02\x03")):
        crc = zlib.crc32(content, zlib.crc32(name.encode())).to_bytes(4, "little")
        sql(tmp_path, "INSERT OR REPLACE INTO facts VALUES (?, ?)", name, crc + content)
        assert (await load(tmp_path)).hard_state == STATE

    assert (await load(tmp_path)).suspect


@pytest.mark.parametrize("name", ["frames", "facts", "sqlite_autoindex_facts_1"])
async def test_a_page_that_cannot_be_used_is_damage(tmp_path: Path, name: str) -> None:
    await write(tmp_path, batch(chain(*[1] * 50)))
    ((page,),) = sql(tmp_path, "SELECT rootpage FROM sqlite_schema WHERE name = ?", name)
    ((size,),) = sql(tmp_path, "PRAGMA page_size")
    assert isinstance(page, int)
    assert isinstance(size, int)
    content = bytearray((tmp_path / "raft.db").read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    (tmp_path / "raft.db").write_bytes(content)

    with pytest.raises(DamagedLogError) as error:
        await load(tmp_path)
    assert error.value.index == 0


async def test_a_file_that_sqlite_cannot_read_is_damaged(tmp_path: Path) -> None:
    await write(tmp_path, batch(chain(*[1] * 50)))
    content = bytearray((tmp_path / "raft.db").read_bytes())
    content[4_096:] = bytes(len(content) - 4_096)
    (tmp_path / "raft.db").write_bytes(content)

    with pytest.raises(DamagedLogError) as error:
        await load(tmp_path)
    assert error.value.index == 0


async def test_distrust_at_run_time_outlives_restarts(tmp_path: Path) -> None:
    log = chain(1, 1)
    await write(tmp_path, AppendBatch(STATE, log))
    await write(tmp_path, AppendBatch(STATE, [], distrusted=True))

    assert (await load(tmp_path)).suspect
    await write(tmp_path, AppendBatch(STATE, [], caught_up=True))
    assert not (await load(tmp_path)).suspect

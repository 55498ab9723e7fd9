"""Snapshots of a node: kept durably, and believed only as far as certificates go."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from consensus.errors import SnapshotError
from consensus.membership import Membership
from consensus.snapshot import Base, Snapshot
from consensus.types import LogIndex, NodeId, Term
from node.chain.head import FalseHeadError, name_head, parse_head
from node.chain.leaf import SealLeaf, decode_leaf, encode_leaf
from node.chain.voters import VoterSet
from node.storage.snapshots import SnapshotStore
from tests.chain.network import Network, make_genesis

MEMBERS = Membership(tuple(NodeId(n) for n in range(4)))
NEWEST = 3
"""Raft index of the newest block of `network`."""
replace = msgspec.structs.replace


def network(blocks: int = 3) -> Network:
    made = Network()
    for _ in range(blocks):
        made.add_block()
    return made


def note(made: Network, *signers: int) -> str:
    return made.certify(*signers).encode()


def name(made: Network, leaf: int = -1) -> bytes:
    """The name of the head that ends with a leaf, under the present tree."""
    index = leaf % len(made.leaves)
    path = tuple(made.path(index))
    return name_head(made.voters.network_id, made.leaves[index], path, note(made))


def snapshot_of(
    body: bytes,
    index: int = NEWEST,
    members: Membership = MEMBERS,
    term: int = 1,
    entry_hash: bytes = bytes(32),
) -> Snapshot:
    checksum = hashlib.sha256(body).digest()
    return Snapshot(LogIndex(index), Term(term), entry_hash, members, len(body), checksum)


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for part in data:
        yield part


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SnapshotStore]:
    made = await SnapshotStore.open(tmp_path / "heads.db", network().voters)
    yield made
    await made.close()


async def arrive(store: SnapshotStore, snapshot: Snapshot, body: bytes, chunk: int = 100) -> bool:
    """As a leader sends it."""
    held = await store.write_chunk(snapshot, 0, b"")
    while held < snapshot.size:
        more = await store.write_chunk(snapshot, held, body[held : held + chunk])
        assert more > held
        held = more
    return await store.complete(snapshot)


# --- Names -------------------------------------------------------------------------------------


def test_a_name_tells_height_size_and_state_of_an_older_head_too() -> None:
    made = network()
    for leaf, height in ((3, 1), (7, 2), (11, 3)):
        head = parse_head(name(made, leaf), made.voters)
        assert (head.height, head.size) == (height, leaf + 1)
        assert head.place == (height, 1, bytes(32))


def foreign(made: Network) -> bytes:
    other = VoterSet.from_genesis(make_genesis(name="other"))
    return name_head(
        other.network_id, made.leaves[-1], tuple(made.path(len(made.leaves) - 1)), note(made)
    )


def minority(made: Network) -> bytes:
    certificate = made.certify()
    fewer = replace(certificate, cosignatures=certificate.cosignatures[:2]).encode()
    path = tuple(made.path(len(made.leaves) - 1))
    return name_head(made.voters.network_id, made.leaves[-1], path, fewer)


def other_height(made: Network) -> bytes:
    leaf = decode_leaf(made.leaves[-1])
    assert isinstance(leaf, SealLeaf)
    path = tuple(made.path(len(made.leaves) - 1))
    lie = encode_leaf(replace(leaf, height=9))
    return name_head(made.voters.network_id, lie, path, note(made))


def no_seal(made: Network) -> bytes:
    return name(made, len(made.leaves) - 2)


def padded(made: Network) -> bytes:
    return name(made) + b"\0"


def cut(made: Network) -> bytes:
    return name(made)[:-1]


def not_canonical(made: Network) -> bytes:
    body = name(made)
    assert body[0] == 0x94  # an array of four, in its short form
    return b"\xdc\x00\x04" + body[1:]


def too_large(made: Network) -> bytes:
    return bytes(20_000)


FALSE = [foreign, minority, other_height, no_seal, padded, cut, not_canonical, too_large]


async def test_false_snapshots_fill_no_disk_with_lines(store: SnapshotStore) -> None:
    """A leader that lies sends a thousand a second."""
    body = foreign(network())
    with capture_logs() as lines:
        for index in range(1, 21):
            assert not await arrive(store, snapshot_of(body, index=index), body)
    assert [line["event"] for line in lines] == ["snapshot refused"]


@pytest.mark.parametrize("lie", FALSE, ids=lambda lie: lie.__name__)
async def test_a_false_name_is_refused_and_forgotten(
    store: SnapshotStore, lie: Callable[[Network], bytes]
) -> None:
    made = network()
    body = lie(made)
    with pytest.raises(FalseHeadError):
        parse_head(body, made.voters)
    snapshot = snapshot_of(body)
    assert not await arrive(store, snapshot, body)
    assert await store.newest() is None
    with pytest.raises(SnapshotError):
        await store.create(snapshot.base, MEMBERS, parts(body))
    true = name(made)
    assert await arrive(store, snapshot_of(true), true)


@pytest.mark.parametrize(
    "members",
    [
        Membership((NodeId(0),)),
        Membership(tuple(NodeId(n) for n in range(5))),
        Membership(MEMBERS.voters, (), (NodeId(9),)),
        Membership(MEMBERS.voters, MEMBERS.voters),
    ],
)
async def test_no_snapshot_brings_other_members(store: SnapshotStore, members: Membership) -> None:
    body = name(network())
    snapshot = snapshot_of(body, members=members)
    assert not await arrive(store, snapshot, body)
    with pytest.raises(SnapshotError):
        await store.create(snapshot.base, members, parts(body))


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"index": NEWEST - 1},
        {"index": NEWEST + 1},
        {"index": 2**62},
        {"term": 2},
        {"entry_hash": b"e" * 32},
    ],
)
async def test_a_true_head_stands_where_its_seal_says_and_nowhere_else(
    store: SnapshotStore, elsewhere: dict[str, Any]
) -> None:
    """A log that begins where no other log can follow would be lost for good."""
    body = name(network())
    false = snapshot_of(body, **elsewhere)
    assert not await arrive(store, false, body)
    with pytest.raises(SnapshotError):
        await store.create(false.base, MEMBERS, parts(body))
    assert await store.newest() is None
    assert await arrive(store, snapshot_of(body), body)


async def test_bytes_are_those_of_the_name(store: SnapshotStore) -> None:
    made = network()
    promised, other = name(made), name(made, leaf=3)[: len(name(made))]
    assert len(promised) == len(other)
    snapshot = snapshot_of(promised)
    assert not await arrive(store, snapshot, other)
    assert await store.write_chunk(snapshot, 0, b"") == 0
    assert await arrive(store, snapshot, promised)


# --- Keeping -----------------------------------------------------------------------------------


async def test_an_arriving_one_survives_a_restart_and_gives_way_to_another(tmp_path: Path) -> None:
    made = network()
    body, path = name(made), tmp_path / "heads.db"
    first, second = snapshot_of(body), snapshot_of(body, index=NEWEST + 1)
    store = await SnapshotStore.open(path, made.voters)
    assert await store.write_chunk(first, 0, body[:200]) == 200
    assert await store.write_chunk(first, 100, body[100:300]) == 200  # not where the held ends
    await store.close()

    store = await SnapshotStore.open(path, made.voters)
    assert await store.write_chunk(first, 0, b"") == 200
    assert await store.newest() is None
    assert await store.write_chunk(second, 0, body[:10]) == 10
    assert await store.write_chunk(first, 200, body[200:]) == 0
    assert await arrive(store, first, body)
    await store.close()

    store = await SnapshotStore.open(path, made.voters)
    assert await store.newest() == first
    assert await store.write_chunk(first, 0, b"") == first.size
    assert await store.complete(first)
    await store.close()


async def test_the_newest_two_are_kept(store: SnapshotStore) -> None:
    chain = network()
    made = []
    for height in range(1, 4):
        body = name(chain, 4 * height - 1)
        base = Base(LogIndex(height), Term(1), bytes(32), MEMBERS)
        made.append(await store.create(base, MEMBERS, parts(body[:7], body[7:])))
    assert await store.newest() == made[2] == snapshot_of(name(chain))
    assert await store.read_chunk(made[0], 0, 10) is None
    for kept, leaf in zip(made[1:], (7, 11), strict=True):
        body = name(chain, leaf)
        assert await store.read_chunk(kept, 0, 1 << 20) == body
        assert await store.read_chunk(kept, len(body) - 3, 10) == body[-3:]


async def test_data_that_cannot_be_had_leaves_nothing(store: SnapshotStore) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"part"
        raise SnapshotError("not final")

    with pytest.raises(SnapshotError, match="not final"):
        await store.create(Base(LogIndex(NEWEST), Term(1), bytes(32), MEMBERS), MEMBERS, failing())
    assert await store.newest() is None

"""Daemons whose log is cut: who comes back behind it takes certified blocks from its peers."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import msgspec
import pytest

from node.chain.leaf_range import LeafRange
from node.peers.messages import (
    BLOCKS_BYTES_MAX,
    BlocksMessage,
    BlocksWantedMessage,
    Kind,
    decode_control,
    encode_control,
)
from node.storage.ledger import Head
from node.voting.rejoin_word import FILE as REJOIN
from p2p.types import Link
from tests.cluster.cluster import FOUR, Cluster, Member, make_cluster, read_only, wait_until
from tests.cluster.impostor import Impostor
from tests.cluster.load import signed_invoices, start_rejoining
from tests.cluster.test_recovery import answers, check_votes_again, reads

pytestmark = pytest.mark.slow

SETTINGS = """
[raft]
snapshot_entries = 20
trailing_entries = 2
"""
BLOCKS = 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four daemons that cut their log after a few entries."""
    made = make_cluster(tmp_path_factory.mktemp("network") / "net", FOUR)
    for name in FOUR:
        with (made.folder / name / "node.toml").open("a") as file:
            file.write(SETTINGS)
    try:
        made.start()
        made.open_registers()
        yield made
    finally:
        made.close()


def fill(cluster: Cluster, blocks: int = BLOCKS, in_block: int = 20) -> list[str]:
    """So many blocks on the living nodes; ids of their transactions."""
    member = cluster.living[0]
    ids = []
    for _ in range(blocks):
        part = signed_invoices(cluster, in_block)
        height = member.status()["height"]
        reply = member.submit([t.wire for t in part])
        assert reply.status == 202, reply
        ids += [item["id"] for item in reply.body["transactions"]]
        wait_until("a block", partial(is_above, member, height))
    return ids


def is_above(member: Member, height: int) -> bool:
    return bool(member.status()["height"] > height)


def base(member: Member) -> int:
    index = member.status()["raft"]["base_index"]
    assert isinstance(index, int)
    return index


def cut_past(cluster: Cluster, index: int) -> None:
    """Make blocks until no living node has the entry at `index` any more."""

    def is_cut() -> bool:
        fill(cluster, 3)
        return all(base(member) > index for member in cluster.living)

    wait_until("every log is cut", is_cut, 60.0)


def stored(member: Member) -> dict[str, Any]:
    """What a ledger holds, to compare with another one's; the node may run."""
    with read_only(member.data / "ledger.db") as connection:
        tables = {
            "blocks": "SELECT height, first_index, leaves FROM blocks ORDER BY height",
            "state": "SELECT tbl, key, value FROM state ORDER BY tbl, key",
            "orders": "SELECT place, key, value FROM orders ORDER BY place, key",
            "tiles": "SELECT level, number, hashes FROM tiles ORDER BY level, number",
            "blobs": "SELECT hash, body FROM blobs ORDER BY hash",
        }
        return {name: connection.execute(query).fetchall() for name, query in tables.items()}


def check_equal(cluster: Cluster, member: Member, other: Member, txids: list[str]) -> None:
    """Same ledger, and its index and receipts know what it was not there for."""
    cluster.wait_equal()
    ours, theirs = stored(member), stored(other)
    assert ours == theirs
    for txid in (txids[0], txids[-1]):
        wait_until("the index has it", partial(knows, member, txid))
        verdict = cluster.verify(member.receipt(txid))
        assert verdict.valid, verdict


def knows(member: Member, txid: str) -> bool:
    return bool(member.ask("GET", f"/v1/transactions/{txid}").status == 200)


def spare(cluster: Cluster) -> Member:
    """A follower whose absence the tests can bear."""
    leader = cluster.leader()
    return next(m for m in cluster.living if m is not leader and m.name != "issuer")


def heights(member: Member) -> int:
    """The height in the file, of a node that need not answer."""
    with read_only(member.data / "ledger.db") as connection:
        (height,) = connection.execute("SELECT coalesce(max(height), 0) FROM blocks").fetchone()
        return int(height)


def head(member: Member) -> Head:
    with read_only(member.data / "ledger.db") as connection:
        (record,) = connection.execute("SELECT record FROM head").fetchone()
        return msgspec.msgpack.decode(record, type=Head)


def test_a_node_that_was_away_takes_blocks_and_votes_again(cluster: Cluster) -> None:
    fill(cluster, 2)
    victim = spare(cluster)
    stopped_at = victim.status()["raft"]["commit_index"]
    cluster.stop(victim.name)
    number = cluster.issue("while it is away")["number"]
    txids = fill(cluster)
    cut_past(cluster, stopped_at)

    cluster.start(victim.name)
    check_equal(cluster, victim, cluster.leader(), txids)
    assert '"restored"' in victim.log_text()
    wait_until("its index has the invoice", lambda: reads(victim, number))
    check_votes_again(cluster, victim, "after blocks")


def rows(member: Member) -> dict[tuple[int, bytes], bytes]:
    """The state, row by row."""
    return {(table, key): value for table, key, value in stored(member)["state"]}


def set_asides(member: Member) -> int:
    return len([p for p in member.data.glob("ledger.db.damaged-*") if p.name.endswith("Z")])


def come_back_behind(cluster: Cluster, victim: Member, stopped_at: int) -> list[str]:
    """Make blocks that the stopped victim must take from its peers."""
    txids = fill(cluster)
    cut_past(cluster, stopped_at)
    return txids


def test_a_ledger_with_other_legal_values_is_made_again(cluster: Cluster) -> None:
    """Each row decodes, and is of another time: only what peers certified shows it."""
    victim = spare(cluster)
    cluster.wait_equal()
    older = rows(victim)
    fill(cluster, 2)
    cluster.wait_equal()
    newer = rows(victim)
    put_back = [place for place, value in older.items() if newer.get(place, value) != value]
    assert put_back, "blocks change rows that are there"
    stopped_at = victim.status()["raft"]["commit_index"]
    cluster.stop(victim.name)
    with closing(sqlite3.connect(victim.data / "ledger.db")) as connection, connection:
        for table, key in put_back:
            connection.execute(
                "UPDATE state SET value = ? WHERE tbl = ? AND key = ?",
                (older[table, key], table, key),
            )
    txids = come_back_behind(cluster, victim, stopped_at)
    said, before = len(victim.log_text()), set_asides(victim)

    cluster.start(victim.name)

    wait_until("it is set aside", lambda: set_asides(victim) == before + 1)
    wait_until("it is ready", lambda: victim.ask("GET", "/readyz").status == 200, 60.0)
    check_equal(cluster, victim, cluster.leader(), txids)
    log = victim.log_text()[said:]
    assert log.count("damaged file set aside") == 1
    assert "ledger.db is damaged: height" in log


def test_a_program_that_is_wrong_makes_its_ledger_again_once_and_says_so(
    cluster: Cluster,
) -> None:
    victim = spare(cluster)
    stopped_at = victim.status()["raft"]["commit_index"]
    wrong = victim.status()["height"] + 3
    cluster.stop(victim.name)
    txids = come_back_behind(cluster, victim, stopped_at)
    program = victim.local.program
    said, before = len(victim.log_text()), set_asides(victim)
    victim.local.program = ("-m", "tests.cluster.wrong_node", str(wrong))
    try:
        for _ in range(2):  # once more after a restart: the reason outlives the process
            victim.local.start()
            victim.alive = True
            wait_until("it stops", lambda: "made again since" in complaint(victim), 60.0)
            assert set_asides(victim) == before + 1
            assert victim.status()["height"] == wrong - 1, "reads go on"
            cluster.stop(victim.name)
        log = victim.log_text()[said:]
        assert log.count("damaged file set aside") == 1
        assert log.count('"not made again"') == 2
    finally:
        victim.local.program = program
    (victim.data / "rebuilt").unlink()  # as another version of the program would not mind it
    cluster.start(victim.name)
    check_equal(cluster, victim, cluster.leader(), txids)


def complaint(member: Member) -> str:
    """What /readyz says of the ledger."""
    reply = member.ask("GET", "/readyz")
    if reply.status != 503 or "failing" not in (reply.body or {}):
        return ""
    return "".join(c["detail"] for c in reply.body["failing"] if c["name"] == "ledger")


def test_a_node_that_is_killed_while_it_restores_goes_on(cluster: Cluster) -> None:
    victim = spare(cluster)
    stopped_at = victim.status()["raft"]["commit_index"]
    start = victim.status()["height"]
    cluster.stop(victim.name)
    txids = fill(cluster, 20, 300)
    cut_past(cluster, stopped_at)
    target = cluster.living[0].status()["height"]

    victim.local.start()
    wait_until("it has adopted something", lambda: heights(victim) > start, 20.0)
    victim.kill()
    middle = head(victim)
    assert start < middle.height < target - 5
    assert middle.raft_index <= stopped_at < middle.adopting

    cluster.start(victim.name)
    check_equal(cluster, victim, cluster.leader(), txids)
    assert head(victim).adopting == 0
    check_votes_again(cluster, victim, "after a kill")


def test_a_node_without_files_rejoins_and_does_not_vote_before(cluster: Cluster) -> None:
    """What an operator does: an empty folder, and in it a file that says so."""
    victim = spare(cluster)
    txids = fill(cluster)
    for name in cluster.members:
        cluster[name].kill()
    shutil.rmtree(victim.data)
    victim.data.mkdir(mode=0o700)
    (victim.data / REJOIN).touch()

    # Three of four would be a quorum, but one of them remembers nothing.
    absent = next(m for m in cluster.members.values() if m not in (victim, cluster["issuer"]))
    present = [m for m in cluster.members.values() if m is not absent]
    for member in present:
        member.local.start()
        member.alive = True
    for member in present:
        wait_until("it answers", partial(answers, member))
        wait_until("it hears the others", partial(hears, member, len(present) - 1))
    statuses = [member.status() for member in present]
    assert all(status["raft"]["leader"] is None for status in statuses)
    assert victim.status()["height"] == 0

    cluster.start(*[m.name for m in cluster.members.values() if m is not victim])
    start_rejoining(cluster, victim)
    check_equal(cluster, victim, absent, txids)
    assert not (victim.data / REJOIN).exists()
    text = victim.log_text()
    assert text.index('"signing suspended"') < text.index('"signing resumed"')
    check_votes_again(cluster, victim, "after rejoining")


def hears(member: Member, count: int) -> bool:
    return len([peer for peer in member.status()["peers"] if peer["connected"]]) >= count


def test_a_lost_ledger_is_rebuilt_though_its_log_is_cut(cluster: Cluster) -> None:
    """Its own newest snapshot names where the log begins, and its marker knows what it signed."""
    victim = spare(cluster)
    txids = fill(cluster, 3)
    assert base(victim) > 0
    victim.kill()
    for name in ("ledger.db", "index.db"):
        for path in victim.data.glob(f"{name}*"):
            path.unlink()
    cluster.start(victim.name)
    check_equal(cluster, victim, cluster.leader(), txids)
    check_votes_again(cluster, victim, "after a lost ledger")


# --- Hostile peers ------------------------------------------------------------------------------


async def test_blocks_that_nobody_asked_for_cost_the_link(cluster: Cluster) -> None:
    liar = spare(cluster)
    cluster.stop(liar.name)
    witness = next(m.name for m in cluster.living if m.name != "issuer")
    run = LeafRange(0, (b"leaf",), (), ("note",), ())
    _, unasked = encode_control(BlocksMessage(1, run))
    _, wanted = encode_control(BlocksWantedMessage(1, 0))
    async with Impostor(cluster, liar.name) as impostor:
        for kind, body in (
            (Kind.BLOCKS, unasked),
            (Kind.BLOCKS, b"\xc1"),
            (Kind.BLOCKS, bytes(BLOCKS_BYTES_MAX + 1)),
            (Kind.BLOCKS_WANTED, wanted[:-1] + b"\xff"),
        ):
            await impostor.say(witness, Link.GOSSIP, kind, body)
            await impostor.closed(witness, Link.GOSSIP)
        await impostor.connected(witness, Link.GOSSIP)
        await check_flood(impostor, witness)
    assert cluster[witness].ask("GET", "/readyz").status == 200
    cluster.start(liar.name)
    cluster.issue("after a liar")
    cluster.wait_equal()


async def check_flood(impostor: Impostor, witness: str) -> None:
    """Of a thousand requests at once few are answered, the last one among them."""
    for number in range(1, 1_001):
        message = BlocksWantedMessage(number, 0)
        await impostor.say(witness, Link.GOSSIP, *encode_control(message))
    last: BlocksMessage | None = None
    async with asyncio.timeout(10):
        while last is None or last.number < 1_000:
            await asyncio.sleep(0.01)
            if impostor.blocks:
                last = blocks_of(impostor.blocks[-1])
    numbers = [blocks_of(body).number for body in impostor.blocks]
    assert len(numbers) < 100
    assert numbers == sorted(set(numbers))
    assert last.leaf_range is not None
    assert last.leaf_range.first == 0


def blocks_of(body: bytes) -> BlocksMessage:
    message = decode_control(Kind.BLOCKS, body)
    assert isinstance(message, BlocksMessage)
    return message

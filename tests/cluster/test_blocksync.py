"""Daemons whose log is cut: who comes back behind it takes certified blocks from its peers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster.cluster import FOUR, Cluster, Member, make_cluster, read_only, wait_until
from tests.cluster.load import signed_invoices
from tests.cluster.test_recovery import check_votes_again, reads

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
    return member.ask("GET", f"/v1/transactions/{txid}").status == 200


def spare(cluster: Cluster) -> Member:
    """A follower whose absence the tests can bear."""
    leader = cluster.leader()
    return next(m for m in cluster.living if m is not leader and m.name != "issuer")


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

"""A lie of two halves is put together: by nodes that saw one each, and by logs after a restart."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from consensus.codec import encode
from consensus.messages import AppendRequest
from consensus.types import Entry, LogIndex
from node.chain.block import Block, encode_block
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import decode_evidence
from node.ledger.signing import secret_key
from node.peers.messages import StatementMessage, encode_control
from node.peers.router import RAFT_MESSAGE
from p2p.types import Link
from tests.chain.network import TIME_S
from tests.cluster.cluster import Cluster, wait_until
from tests.cluster.impostor import Impostor, end_of_log

pytestmark = pytest.mark.slow


async def test_a_leader_that_signs_another_entry_for_a_final_place_is_named_and_stops_nobody(
    cluster: Cluster,
) -> None:
    """Also by nodes that were restarted since: the first entry is in their logs only."""
    cluster.wait_equal()
    cluster.issue("final-before")
    status = cluster.wait_equal()
    liar, term = status["raft"]["leader"], status["raft"]["term"]
    index, _, entry_hash = await asyncio.to_thread(end_of_log, cluster, liar)
    cluster.stop(liar)
    witnesses = [member.name for member in cluster.living]
    cluster.stop(*witnesses)
    cluster.start(*witnesses)
    async with Impostor(cluster, liar) as impostor:
        other = impostor.entry(term, index, entry_hash, encode_block(Block(term, 1, ())))
        for name in witnesses:
            await impostor.say(name, Link.RAFT, RAFT_MESSAGE, encode(append_of(other)))
        for name in witnesses:
            await asyncio.to_thread(
                wait_until,
                f"{name} names the leader",
                lambda name=name: "entries" in proven(cluster, name, liar),
            )
            assert cluster[name].ask("GET", "/readyz").status == 200
    cluster.start(liar)
    cluster.issue("final-after")
    cluster.wait_equal()


async def test_halves_that_no_node_saw_together_are_put_together(cluster: Cluster) -> None:
    """One node is shown one entry and one root, another node the others; the third sees nothing."""
    leader = cluster.wait_equal()["raft"]["leader"]
    liar = next(m.name for m in cluster.living if m.name not in {leader, "issuer"})
    cluster.stop(liar)
    first, second, third = (member.name for member in cluster.living)
    index, _, entry_hash = await asyncio.to_thread(end_of_log, cluster, first)
    status = cluster[first].status()
    term = status["raft"]["term"] + 1
    async with Impostor(cluster, liar) as impostor:
        key = secret_key(impostor.keys.cosign)
        for number, name in enumerate((first, second)):
            block = encode_block(Block(term, status["head_time_ms"] + number, ()))
            entry = impostor.entry(term, index + 5, entry_hash, block)
            # Nothing is there before it: consensus takes none of them in.
            await impostor.say(name, Link.RAFT, RAFT_MESSAGE, encode(append_of(entry)))
            root = hashlib.sha256(b"%d" % number).digest()
            checkpoint = Checkpoint(cluster.voters.origin, 10**6, root)
            blob = cosign(checkpoint, impostor.me.cosigner, key, TIME_S)
            message = StatementMessage(impostor.me.number, 10**5, 10**6, root, blob)
            await impostor.say(name, Link.GOSSIP, *encode_control(message))
        for name in (first, second, third):
            await asyncio.to_thread(
                wait_until,
                f"{name} has both",
                lambda name=name: proven(cluster, name, liar) == {"entries", "roots"},
            )
    for name in (first, second, third):
        assert cluster[name].ask("GET", "/readyz").status == 200
        for item in cluster[name].evidence():
            assert judge(decode_evidence(item["body"]), cluster.voters).id.hex() == item["id"]
    cluster.issue("without the liar")  # its key has signed more than its node remembers
    cluster.wait_equal()


def append_of(entry: Entry) -> AppendRequest:
    """An append with this entry, after one that nobody holds."""
    prev = LogIndex(entry.index - 1)
    return AppendRequest(entry.term, prev, entry.term, entry.prev_hash, LogIndex(0), (entry,))


def proven(cluster: Cluster, name: str, voter: str) -> set[str]:
    """Kinds of evidence against a voter at a node."""
    return {item["kind"] for item in cluster[name].evidence() if item["voter"] == voter}

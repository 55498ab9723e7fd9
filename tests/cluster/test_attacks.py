"""What one member with valid keys can say to end a network that takes a single voter's word."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from consensus.codec import encode
from consensus.membership import Membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    SnapshotChunk,
    VoteResponse,
)
from consensus.snapshot import Snapshot
from consensus.types import LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import decode_evidence
from node.peers.messages import CertificateMessage, encode_control
from node.peers.router import RAFT_MESSAGE
from node.voting.rejoin_word import FILE as REJOIN
from node.voting.resumption import WINDOW
from p2p.types import Link
from tests.cluster.cluster import Cluster, Member, running_cluster, wait_until
from tests.cluster.impostor import Impostor, place_in_log, true_head

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIAR = "reimburser"
LEAP = (1 << 20) - 5
"""Just within what a receiver that judges a term against its own alone can take for elections."""
ELECTIONS = 6
CERTIFICATES = 4_000
CERTIFICATE_MS_MAX = 0.12
TERMS_MAX = 64
"""More than all elections of one of these tests."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A network for each test: what succeeds here ends it for good."""
    with running_cluster(tmp_path / "net") as running:
        yield running


def terms(cluster: Cluster) -> list[int]:
    return [member.status()["raft"]["term"] for member in cluster.living]


def is_ready(member: Member) -> bool:
    return member.ask("GET", "/readyz", timeout_s=5.0).status == 200


def is_up(member: Member) -> bool:
    return member.ask("GET", "/livez", timeout_s=5.0).status == 200


def wait_ready(cluster: Cluster, timeout_s: float = 30.0) -> None:
    for member in cluster.living:
        wait_until(f"{member.name} is ready", partial(is_ready, member), timeout_s)


def lead_on(cluster: Cluster, *, away: bool = False) -> Member:
    """The leader, which is not the liar; by handing over if it is, which is ordinary."""
    while cluster.leader().name == LIAR:
        cluster.stop(LIAR)
        if away:
            break
        cluster.start(LIAR)
    return cluster.leader()


@asynccontextmanager
async def lying(cluster: Cluster) -> AsyncIterator[Impostor]:
    """The liar in place of its honest node; what runs inside sees the others only."""
    if cluster[LIAR].alive:
        await asyncio.to_thread(cluster.stop, LIAR)
    async with Impostor(cluster, LIAR) as impostor:
        yield impostor


async def say_all(cluster: Cluster, impostor: Impostor, message: Message) -> None:
    """To every honest node; a link that this costs is not waited for."""
    for member in cluster.living:
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await impostor.say(member.name, Link.RAFT, RAFT_MESSAGE, encode(message))


async def leap(cluster: Cluster, impostor: Impostor) -> None:
    """One heartbeat far ahead, and time to take it in."""
    term = max(await asyncio.to_thread(terms, cluster))
    await say_all(cluster, impostor, Heartbeat(Term(term + LEAP), LogIndex(0), LogIndex(0)))
    await asyncio.sleep(1.0)


# --- Terms -----------------------------------------------------------------------------------


async def test_a_leap_of_terms_shuts_out_nobody_who_lost_its_disk(cluster: Cluster) -> None:
    cluster.issue("before")
    before = max(terms(cluster))
    async with lying(cluster) as impostor:
        await leap(cluster, impostor)
    await asyncio.to_thread(finish_leap, cluster, before)


def finish_leap(cluster: Cluster, before: int) -> None:
    cluster.start(LIAR)
    for number in range(ELECTIONS):
        leader = cluster.leader()
        cluster.stop(leader.name)
        cluster.start(leader.name)
        wait_ready(cluster)
        cluster.issue(f"after election {number}")
    victim = next(m for m in cluster.living if m.name not in {"issuer", cluster.leader().name})
    victim.kill()
    shutil.rmtree(victim.data)
    victim.data.mkdir(mode=0o700)
    (victim.data / REJOIN).touch()
    victim.local.start()
    victim.alive = True
    wait_until("it asks the others what they signed", partial(is_up, victim))
    # It signs again, and is ready, a window of heights above what they told.
    for number in range(WINDOW + 20):
        cluster.issue(f"without it {number}")
    wait_ready(cluster, 60.0)
    cluster.wait_equal(60.0)
    wait_ready(cluster)
    assert max(terms(cluster)) < before + TERMS_MAX


async def test_two_leaps_of_terms_while_a_node_is_away_do_not_end_the_network(
    cluster: Cluster,
) -> None:
    cluster.issue("before")
    before = max(terms(cluster))
    away = "payer"
    cluster.stop(away, LIAR)
    async with lying(cluster) as impostor:
        for _ in range(2):
            await leap(cluster, impostor)
    await asyncio.to_thread(come_back, cluster, away, LIAR)
    assert max(terms(cluster)) < before + TERMS_MAX


def come_back(cluster: Cluster, *names: str) -> None:
    """They start again, and all form one network."""
    for name in names:
        cluster[name].local.start()
        cluster[name].alive = True
    for member in cluster.living:
        wait_until(f"{member.name} is ready", partial(is_ready, member), 30.0)
    cluster.issue("together again")
    cluster.wait_equal()


# --- Entries ---------------------------------------------------------------------------------


async def test_appends_against_committed_entries_leave_all_ready_and_name_their_signer(
    cluster: Cluster,
) -> None:
    """One to each node is refused; a second one for that place, to one of them, convicts."""
    for number in range(3):
        cluster.issue(f"before {number}")
    lead_on(cluster)
    status = cluster.wait_equal()
    async with lying(cluster) as impostor:
        witnesses = [member.name for member in cluster.living]
        index, prev_term, prev_hash = place_in_log(cluster, witnesses[0], back=1)
        claimed = Term(max(await asyncio.to_thread(terms, cluster)) + 1)
        place = (claimed, LogIndex(index), Term(prev_term), prev_hash, LogIndex(0))
        entries = []
        for number in range(2):
            block = encode_block(Block(claimed, status["head_time_ms"] + number, ()))
            entries.append(impostor.entry(claimed, index + 1, prev_hash, block))
        await say_all(cluster, impostor, AppendRequest(*place, (entries[0],)))
        await asyncio.sleep(1.0)
        await asyncio.to_thread(wait_ready, cluster, 20.0)
        other = encode(AppendRequest(*place, (entries[1],)))
        await impostor.say(witnesses[-1], Link.RAFT, RAFT_MESSAGE, other)
        for name in witnesses:
            await asyncio.to_thread(
                wait_until, f"{name} names the liar", partial(accused, cluster, name)
            )
        await asyncio.to_thread(cluster.issue, "goes on")
    assert all(accused(cluster, name) == {LIAR} for name in witnesses)
    cluster.start(LIAR)
    cluster.wait_equal()
    wait_ready(cluster)


def accused(cluster: Cluster, name: str) -> set[str]:
    """Whom the evidence of a node names, judged again here."""
    bodies = [item["body"] for item in cluster[name].evidence()]
    return {judge(decode_evidence(body), cluster.voters).voter for body in bodies}


# --- Snapshots -------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "told"), [(1, 1), (1_000, 1), (2**62, 3)])
async def test_a_true_head_under_an_invented_index_takes_no_log_away(
    cluster: Cluster, at: int, told: int
) -> None:
    """The head is certified; that it stands at this place of the log is the leader's word."""
    for number in range(3):
        cluster.issue(f"before {number}")
    lead_on(cluster)
    final = cluster.wait_equal()["final_height"]
    async with lying(cluster) as impostor:
        raft = cluster.living[0].status()["raft"]
        claimed, index = Term(raft["term"] + 1), LogIndex(min(2**62, raft["commit_index"] + at))
        name = await true_head(cluster, LIAR)
        membership = Membership(tuple(NodeId(v.number) for v in cluster.voters.voters))
        checksum = hashlib.sha256(name).digest()
        snapshot = Snapshot(index, claimed, bytes(32), membership, len(name), checksum)
        for data in (b"", name):
            chunk = SnapshotChunk(claimed, snapshot, 0, data)
            for member in cluster.living[:told]:
                await impostor.say(member.name, Link.RAFT, RAFT_MESSAGE, encode(chunk))
            await asyncio.sleep(0.5)
        await asyncio.to_thread(wait_ready, cluster, 20.0)
        await asyncio.to_thread(cluster.issue, "goes on")
    cluster.start(LIAR)
    assert cluster.wait_equal()["final_height"] > final


# --- Answers ---------------------------------------------------------------------------------


async def test_answers_of_one_member_unseat_no_leader(cluster: Cluster) -> None:
    cluster.issue("before")
    lead_on(cluster)
    async with lying(cluster) as impostor:
        leader = await asyncio.to_thread(cluster.leader)
        raft = leader.status()["raft"]
        for lead in (1, 2, 1_000):
            claimed = Term(raft["term"] + lead)
            for answer in (
                AppendResponse(claimed, AppendStatus.MISMATCH, LogIndex(0)),
                AppendResponse(claimed, AppendStatus.OK, LogIndex(raft["commit_index"])),
                HeartbeatResponse(claimed, 0),
                ChunkResponse(claimed, LogIndex(1), bytes(32), 0),
                VoteResponse(claimed, claimed, False, False, LogIndex(0)),
            ):
                await impostor.say(leader.name, Link.RAFT, RAFT_MESSAGE, encode(answer))
                await asyncio.sleep(0.1)
                now = leader.status()["raft"]
                assert (now["state"], now["term"]) == ("leader", raft["term"]), answer
        await asyncio.to_thread(cluster.issue, "goes on")


async def test_new_lives_of_one_member_make_its_leader_write_next_to_nothing(
    cluster: Cluster,
) -> None:
    """Each would like an entry made for its sake, as one whose disk lost something may."""
    cluster.issue("before")
    lead_on(cluster)
    async with lying(cluster) as impostor:
        leader = await asyncio.to_thread(cluster.leader)
        raft = leader.status()["raft"]
        life = time.time_ns() // 1_000 + 10**9
        for number in range(3_000):
            answer = HeartbeatResponse(Term(raft["term"]), 0, counted=False, life=life + number)
            await impostor.say(leader.name, Link.RAFT, RAFT_MESSAGE, encode(answer))
        await asyncio.sleep(2.0)
        now = leader.status()
        assert now["raft"]["commit_index"] - raft["commit_index"] < 100
        await asyncio.to_thread(cluster.issue, "goes on")


# --- Certificates ----------------------------------------------------------------------------


async def test_certificates_under_invented_heights_cost_next_to_nothing(cluster: Cluster) -> None:
    """Three signature checks each would be 0.3 ms and more."""
    for number in range(4):
        cluster.issue(f"before {number}")
    lead_on(cluster)
    final = cluster.wait_equal()["final_height"]
    async with lying(cluster) as impostor:
        witness = await asyncio.to_thread(cluster.leader)
        notes = [witness.get(f"/v1/blocks/{h}")["certificate"] for h in (final, final - 1)]
        before = witness.cpu_s()
        for number in range(CERTIFICATES):
            message = CertificateMessage(final + 1_000 + number, notes[number % 2])
            await impostor.say(witness.name, Link.GOSSIP, *encode_control(message))
        await asyncio.to_thread(witness.wait_idle)
        used_ms = (witness.cpu_s() - before) * 1_000 / CERTIFICATES
        print(f"{used_ms:.2f} ms a certificate")
        await asyncio.to_thread(cluster.issue, "goes on")
    assert used_ms < CERTIFICATE_MS_MAX

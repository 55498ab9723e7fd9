"""The liar's menu: one member with valid keys says anything, while honest clients write.

Whatever it said: once its honest node is back, the network is ready, equal and final within half a
minute, no other node was restarted, nothing acknowledged is lost, and the honest nodes hold
evidence against the liar and nobody else.
"""

from __future__ import annotations

import asyncio
import os
import random  # noqa: TID251 - seeded
import time
import typing
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from consensus import codec
from consensus.config import RaftConfig
from consensus.errors import ProtocolError
from consensus.messages import Message
from consensus.types import NodeId
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import decode_evidence
from node.chain.voters import VoterSet
from node.following.evidence_keeper import OFFENCES_MAX
from node.ledger.signing import secret_key
from node.peers.messages import SHAPES, ControlMessage, Kind, decode_control
from node.peers.router import Router
from p2p.errors import RemoteProtocolError
from p2p.types import Link, PeerId
from tests.chain.network import make_genesis, seed
from tests.cluster.cluster import FOUR, Cluster, Member, running_cluster, wait_until
from tests.cluster.courses import lie
from tests.cluster.impostor import true_head
from tests.cluster.liar import Liar
from tests.cluster.load import Load, signed_invoices
from tests.cluster.menu import Known, Menu
from tests.cluster.reigns import inherit, reign
from tests.cluster.test_kills import check_acknowledged
from tests.runtime.voters import built_voter

SECONDS = float(os.environ.get("MENU_SECONDS", "12"))
SOAK_ROUNDS = int(os.environ.get("MENU_ROUNDS", "5"))
SOAK_SECONDS = float(os.environ.get("MENU_SECONDS", "60"))
"""Of each round of each member: 20 minutes."""
SEED = os.environ.get("MENU_SEED", "1")
SETTLE_S = 30.0
PROOFS = 200
GROWTH_MIB_MAX = 64.0
LOG_MIB_MAX = 16.0

pytestmark = pytest.mark.timeout(2_400)


def take_menu(cluster: Cluster, name: str, seconds: float, seed: object) -> None:
    """Let `name` lie for so long, put its honest node back, and check everything."""
    others = [member for member in cluster.members.values() if member.name != name]
    cluster.issue(f"before {name} {seed}")
    cluster.wait_equal()
    before = {member.name: member.rss_mib() for member in others}
    logs = {member.name: member.local.log.stat().st_size for member in others}
    cluster.stop(name)
    liar = Liar(cluster, name, seed)
    with Load(cluster, seed=1) as load:
        pids = asyncio.run(run_liar(cluster, liar, seconds))
        ready_s = come_back(cluster, name)
    cluster.wait_equal(SETTLE_S - ready_s)
    print(f"{name}, seed {seed}, led {liar.reigns} times: {dict(sorted(liar.courses.items()))}")
    print(dict(sorted(liar.sent.items())), dict(liar.downs))
    print(f"{len(load.acknowledged)} acknowledged, {load.refused}, {load.unanswered} unanswered")
    assert {member.name: member.local.pid for member in others} == pids
    check_all(cluster, load.acknowledged)
    grown = {m.name: round(m.rss_mib() - before[m.name], 1) for m in others}
    written = {m.name: (m.local.log.stat().st_size - logs[m.name]) / 2**20 for m in others}
    print("MiB grown:", grown, "MiB logged:", {k: round(v, 1) for k, v in written.items()})
    assert max(grown.values()) < GROWTH_MIB_MAX
    assert max(written.values()) < LOG_MIB_MAX
    check_evidence(cluster, liar)
    for member in others:
        assert "Traceback" not in member.log_text()
        assert '"exception"' not in member.log_text()


def come_back(cluster: Cluster, name: str) -> float:
    """The honest node in its place again, while clients go on; seconds until all are ready.

    Its key has signed what it does not remember, so it waits for blocks above that.
    """
    begun = time.monotonic()
    cluster[name].local.start()
    cluster[name].alive = True
    for member in cluster.living:
        left = SETTLE_S - (time.monotonic() - begun)
        wait_until(f"{member.name} is ready", partial(is_ready, member), left)
    taken = time.monotonic() - begun
    print(f"all ready {taken:.1f} s after {name} is honest again")
    return taken


def is_ready(member: Member) -> bool:
    return member.ask("GET", "/readyz", timeout_s=5.0).status == 200


async def run_liar(cluster: Cluster, liar: Liar, seconds: float) -> dict[str, int | None]:
    """Lie; the processes of the honest nodes, none of which is touched meanwhile.

    First it behaves, and the leader is restarted: so the liar can be the heir.
    """
    liar.known.wires = [signed.wire for signed in signed_invoices(cluster, 30)]
    await asyncio.to_thread(liar.learn)
    liar.known.name = await true_head(cluster, liar.me.node)
    async with liar:
        await liar.pause(1.0)
        leader = (await asyncio.to_thread(cluster.leader)).name
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(cluster.stop, leader))
            led = await inherit(liar)
            if led:
                await reign(liar)
        await asyncio.to_thread(cluster.start, leader)
        pids = {member.name: member.local.pid for member in cluster.living}
        print(f"{liar.me.node} {'leads after' if led else 'does not lead after'} {leader}")
        await lie(liar, seconds)
    return pids


def check_all(cluster: Cluster, acknowledged: dict[str, str]) -> None:
    """Everything acknowledged is final; a sample of it has one place each and valid proofs."""
    rng = random.Random(1)
    for txid in acknowledged:
        body = rng.choice(cluster.living).get(f"/v1/transactions/{txid}?wait=final&timeout_s=20")
        assert (body["state"], body["code"]) == ("final", "OK"), (txid, body)
    sample = rng.sample(sorted(acknowledged), min(PROOFS, len(acknowledged)))
    check_acknowledged(cluster, {txid: acknowledged[txid] for txid in sample}, rng)


def check_evidence(cluster: Cluster, liar: Liar) -> None:
    """Against the liar alone, and every pair of statements that arrived, up to what is kept."""
    expected: dict[str, set[tuple[int, ...]]] = {
        "entries": {place for place, said in liar.entries.items() if len(said) > 1},
        "roots": {(size,) for size, said in liar.roots.items() if len(said) > 1},
    }
    print({kind: len(places) for kind, places in expected.items()}, "pairs came")
    print(f"{liar.arrivals.lost} statements were lost on the way, and count for nothing")
    for member in cluster.living:
        for kind, places in expected.items():
            wait_until(
                f"{member.name} has what was signed twice ({kind}: {sorted(places)})",
                partial(has_pairs, cluster, member, liar, kind, places),
                10.0,
            )


def has_pairs(
    cluster: Cluster, member: Member, liar: Liar, kind: str, places: set[tuple[int, ...]]
) -> bool:
    """Whether a node has evidence of a kind for each place, or as much as it keeps."""
    found = set()
    for item in member.evidence():
        finding = judge(decode_evidence(item["body"]), cluster.voters)
        assert finding.voter == liar.me.node
        if finding.kind == kind:
            found.add(finding.place)
    return places <= found or len(found) >= OFFENCES_MAX


# --- The menu --------------------------------------------------------------------------------


async def test_the_menu_offers_every_kind_of_message(tmp_path: Path) -> None:
    """A kind that exists, in a union or at the router of a voter, and is not drawn fails here."""
    voters = VoterSet.from_genesis(make_genesis())
    known = Known(voters, voters.voters[0], secret_key(seed("bureau/identity")), bytes(64))
    menu = Menu(random.Random(1), known)
    drawn = [draw() for _ in range(5) for draw in menu.kinds()]
    menu.tolerated = 0.0
    drawn += [draw() for _ in range(5) for draw in menu.kinds()]

    config = RaftConfig(node=NodeId(1), voters=tuple(NodeId(n) for n in range(voters.n)))
    raft = set()
    for link, _, body in drawn:
        with suppress(ProtocolError):  # some of each are nonsense
            if link is Link.RAFT:
                raft.add(type(codec.decode(body, NodeId(0), config)))
    assert raft == set(typing.get_args(Message))
    control = {
        type(decode_control(k, b)) for n, k, b in drawn if k in set(Kind) and n is not Link.RAFT
    }
    assert control == set(typing.get_args(ControlMessage))
    async with built_voter(tmp_path) as parts:
        # Guests alone say that they observe: of a voter it is unknown, and costs the link.
        assert set(parts.router._routes) == set(SHAPES) - {Kind.OBSERVER}
        taken = {
            (link, kind)
            for link in Link
            for kind in range(256)
            if await is_taken(parts.router, PeerId(voters.voters[1].identity_key), link, kind)
        }
    assert taken == {(link, kind) for link, kind, _ in drawn} - {(Link.GOSSIP, Kind.OBSERVER)}


async def is_taken(router: Router, sender: PeerId, link: Link, kind: int) -> bool:
    """Whether a node looks at the body of such a message at all."""
    try:
        await router.on_message(sender, link, kind, b"\xc1")
    except RemoteProtocolError as error:
        return "unknown kind" not in str(error)
    return True


# --- The liar at work ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tax-bureau", "issuer"])
def test_the_network_outlives_a_liar(tmp_path: Path, name: str) -> None:
    """A governor and who writes; all four in the soak."""
    with running_cluster(tmp_path / "net") as cluster:
        take_menu(cluster, name, SECONDS, SEED)


@pytest.mark.soak
@pytest.mark.parametrize("name", FOUR)
def test_the_network_outlives_a_liar_for_long(tmp_path: Path, name: str) -> None:
    """The same member again and again: of others that lie too there may be none."""
    with running_cluster(tmp_path / "net") as cluster:
        for turn in range(SOAK_ROUNDS):
            take_menu(cluster, name, SOAK_SECONDS, f"{SEED} {turn}")

"""A lying leader leads an honest voter astray: it comes back by itself, only the liar is named.

The voter signs a history that nobody else has. It sees the certificate of another one, sets its
files aside, catches up, tells that it signs again above a certificate without itself, and does.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest

from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import decode_evidence
from tests.cluster import lying_node
from tests.cluster.cluster import Cluster, Member, make_cluster, wait_until

pytestmark = pytest.mark.slow

_orders = count()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Any of the nodes may become the leader, and any leader can be told to lie."""
    made = make_cluster(tmp_path_factory.mktemp("network") / "net")
    for member in made.members.values():
        member.local.program = ("-m", lying_node.__name__)
    try:
        made.start()
        made.open_registers()
        yield made
    finally:
        made.close()


def issue(cluster: Cluster) -> None:
    cluster.issue(f"order-{next(_orders)}")


def lead_astray(cluster: Cluster, victim: Member) -> Member:
    """Let the leader show the victim other entries until it has signed them."""
    leader = cluster.leader()
    lie = leader.local.folder / lying_node.FILE
    lie.write_text(str(cluster.voters.by_node[victim.name].number))
    for _ in range(50):
        issue(cluster)
        if not lie.exists():
            return leader
    raise AssertionError("the leader did not lie")


def named(member: Member) -> set[tuple[str, str]]:
    return {(item["voter"], item["kind"]) for item in member.evidence()}


def is_back(victim: Member) -> bool:
    reply = victim.ask("GET", "/readyz", timeout_s=5.0)
    return reply.status == 200 and victim.status()["signing"]["state"] == "signing"


def test_an_honest_voter_that_was_led_astray_comes_back_and_is_convicted_by_nobody(
    cluster: Cluster,
) -> None:
    for _ in range(5):
        issue(cluster)
    cluster.wait_equal()
    leader = cluster.leader()
    victim = next(m for m in cluster.living if m.name not in {leader.name, "issuer"})
    liar = lead_astray(cluster, victim)
    assert liar is leader

    def is_aside(name: str) -> bool:
        return any(victim.data.glob(f"astray-*/{name}"))

    for name in ("ledger.db", "raft.db"):  # one after the other
        wait_until("the victim set its files aside", partial(is_aside, name))
    wait_until("the victim signs again", lambda: is_back(victim), 60.0)
    status = cluster.wait_equal()
    assert status["height"] > 5

    # Three of four signatures are needed: with one honest voter stopped, the victim's is.
    absent = next(m.name for m in cluster.living if m not in (liar, victim) and m.name != "issuer")
    cluster.stop(absent)
    for _ in range(5):
        issue(cluster)
    cluster.wait_equal()
    cluster.start(absent)
    issue(cluster)
    cluster.wait_equal()

    wait_until("all name the leader", lambda: all(named(member) for member in cluster.living))
    for member in cluster.living:
        assert named(member) == {(liar.name, "entries")}, member.name
        for item in member.evidence():
            assert judge(decode_evidence(item["body"]), cluster.voters).voter == liar.name

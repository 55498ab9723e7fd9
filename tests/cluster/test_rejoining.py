"""A voter that forgot what it signed, on four daemons: a liar leads, or files are lost or old."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.voting.rejoin_word import write_word
from node.voting.resumption import WINDOW
from tests.cluster.cluster import Cluster, Member, running_cluster, wait_until
from tests.cluster.load import start_rejoining
from tests.cluster.rejoin_attack import attack
from tests.cluster.test_recovery import check_votes_again

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Four daemons of its own: a liar has led them."""
    with running_cluster(tmp_path / "net") as made:
        yield made
        for member in made.members.values():
            member.local.send_signal(signal.SIGCONT)


def spare(cluster: Cluster) -> Member:
    leader = cluster.leader()
    return next(m for m in cluster.living if m is not leader and m.name != "issuer")


def signing(member: Member) -> dict[str, Any]:
    view = member.status()["signing"]
    assert isinstance(view, dict)
    return view


def check_that_it_said_what_it_waits_for(member: Member) -> None:
    text = member.log_text()
    assert text.index('"signing suspended"') < text.rindex('"signing resumed"')


async def test_a_liar_and_a_documented_rejoin_make_one_history(cluster: Cluster) -> None:
    """The leader calls the victim caught up; nothing that it says lets the victim sign.

    Nobody can go on after it: one voter forgot, and another one is led astray, which is more than
    one of four may be.
    """
    cluster.issue("before")
    plan, made = await attack(cluster, rejoin_s=10.0)
    assert len(made) <= 1
    view = signing(plan.victim)
    assert view["state"] == "rejoining"
    reply = plan.victim.ask("GET", "/readyz")
    (check,) = [c for c in reply.body["failing"] if c["name"] == "signing"]
    assert check["detail"].startswith("rejoining: ")
    assert (plan.victim.data / "rejoin").exists()


def test_an_empty_folder_rejoins_by_itself(cluster: Cluster) -> None:
    """Nobody says that it lost its files."""
    for number in range(3):
        cluster.issue(f"before-{number}")
    victim = spare(cluster)
    signed = victim.status()["height"]
    victim.kill()
    shutil.rmtree(victim.data)

    start_rejoining(cluster, victim)
    check_that_it_said_what_it_waits_for(victim)
    assert victim.status()["final_height"] >= signed + WINDOW
    cluster.wait_equal()
    check_votes_again(cluster, victim, "empty")


def test_an_older_copy_of_everything_rejoins_by_itself(cluster: Cluster, tmp_path: Path) -> None:
    """Everything fits together, but it is of last week."""
    victim = spare(cluster)
    cluster.issue("copied")
    cluster.wait_equal()
    cluster.stop(victim.name)
    shutil.copytree(victim.data, tmp_path / "copy")
    cluster.start(victim.name)
    for number in range(8):
        cluster.issue(f"lost-{number}")
    cluster.wait_equal()
    victim.kill()
    shutil.rmtree(victim.data)
    shutil.copytree(tmp_path / "copy", victim.data)

    start_rejoining(cluster, victim)
    text = victim.log_text()
    assert '"signed more than is remembered"' in text
    assert text.rindex('"signed more than is remembered"') < text.rindex('"signing resumed"')
    cluster.wait_equal()


def test_an_operators_word_needs_no_answer(cluster: Cluster) -> None:
    """Another voter is silent for good: without it there are too few answers, n = 4."""
    cluster.issue("before")
    victim = spare(cluster)
    height = cluster.wait_equal()["height"]
    cluster.stop(victim.name)
    shutil.rmtree(victim.data)
    victim.data.mkdir(mode=0o700)
    write_word(victim.data, height + 2)
    cluster.issue("one")
    cluster.issue("two")
    victim.local.start()
    victim.alive = True
    wait_until("it signs again", lambda: not (victim.data / "rejoin").exists())
    wait_until("it is ready", lambda: victim.ask("GET", "/readyz").status == 200)
    check_votes_again(cluster, victim, "vouched")

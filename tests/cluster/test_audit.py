"""The audit of real nodes' folders: a living one, a stopped one, a killed one; and fallen bits."""

from __future__ import annotations

import json
import os
import random  # noqa: TID251 - seeded
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit.flips import Flips
from tests.cluster.cluster import FOUR, Cluster, make_cluster
from tests.cluster.load import signed_invoices
from tests.cluster.test_blocksync import SETTINGS
from tests.cluster.test_blocksync import fill as more_blocks

pytestmark = pytest.mark.slow

FLIPS = int(os.environ.get("FLIPS", "20"))
"""Flipped bits of each folder."""
STOPPED, KILLED = "tax-bureau", "issuer"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four daemons that cut their log early, with some history."""
    made = make_cluster(tmp_path_factory.mktemp("network") / "net", FOUR)
    for name in FOUR:
        with (made.folder / name / "node.toml").open("a") as file:
            file.write(SETTINGS)
    try:
        made.start()
        made.open_registers()
        fill(made)
        yield made
    finally:
        made.close()


def fill(cluster: Cluster) -> None:
    """Blocks with one transaction and with many, of the API and of a client with its own key."""
    for number in range(8):
        invoice = cluster.issue(f"order-{number}")["number"]
        if number % 2:
            body = {"to": cluster["reimburser"].participant, "amount": 500 + number}
            cluster["payer"].write(f"/v1/invoices/{invoice}/submit", body)
    ids = more_blocks(cluster, blocks=20)
    assert len(ids) == 400
    cluster.wait_equal()


def audit(cluster: Cluster, name: str, *more: str) -> tuple[int, dict[str, Any]]:
    """`piaolian audit --json` as users run it."""
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "node", "audit", "--json"),
            *("--config", str(cluster.folder / name / "node.toml"), *more),
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    result = json.loads(ended.stdout)
    assert isinstance(result, dict)
    return ended.returncode, result


def test_a_living_node_passes_while_it_works(cluster: Cluster) -> None:
    part = signed_invoices(cluster, 200)
    assert cluster["payer"].submit([t.wire for t in part]).status == 202
    code, result = audit(cluster, "tax-bureau")

    assert (code, result["valid"], result["running"]) == (0, True, True), result["first_error"]
    assert "raft.db" in result["skipped"]
    assert result["final_height"] >= 20
    assert result["operations"] >= 400


def test_a_stopped_node_passes_with_its_log_and_is_left_as_it_was(cluster: Cluster) -> None:
    cluster.wait_equal()
    cluster.stop(STOPPED)
    before = {path.name: path.read_bytes() for path in cluster[STOPPED].data.iterdir()}
    code, result = audit(cluster, STOPPED)
    after = {path.name: path.read_bytes() for path in cluster[STOPPED].data.iterdir()}
    cluster.start(STOPPED)

    assert (code, result["valid"], result["running"]) == (0, True, False), result["first_error"]
    assert result["skipped"] == []
    assert after == before
    assert result["raft_entries"] > 0
    assert result["index_height"] == result["heights"] == result["final_height"]


def test_one_changed_byte_fails_with_its_place_and_exit_code_1(cluster: Cluster) -> None:
    cluster.stop(STOPPED)
    path = cluster[STOPPED].data / "marker"
    good = path.read_bytes()
    path.write_bytes(good[:5_000] + bytes([good[5_000] ^ 1]) + good[5_001:])
    code, result = audit(cluster, STOPPED, "--processes", "1")
    path.write_bytes(good)
    cluster.start(STOPPED)

    assert (code, result["valid"]) == (1, False)
    assert result["first_error"]["file"] == "marker"
    assert (result["first_error"]["offset"], result["first_error"]["bit"]) == (5_000, 0)


@pytest.mark.parametrize("end", [STOPPED, KILLED])
def test_a_flipped_bit_is_found_or_harmless(cluster: Cluster, end: str, tmp_path: Path) -> None:
    cluster.wait_equal()
    member = cluster[end]
    if end == KILLED:
        member.kill()
    else:
        cluster.stop(end)
    shutil.copytree(member.data, tmp_path / "data")
    cluster.start(end)
    flips = Flips(tmp_path / "data", tmp_path / "work", cluster.genesis, end)
    outcome = flips.audit()
    assert outcome.first is None
    assert outcome.skipped == []

    rng, seen = random.Random(end), Counter[str]()
    for _ in range(FLIPS):
        flips.flip(rng, seen)
    print(end, dict(sorted(seen.items())))
    assert seen["found"] + seen["harmless"] == FLIPS
    assert seen["found"] > FLIPS // 4

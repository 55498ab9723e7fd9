"""`make bench-rejoin`: how long a voter that lost its disk keeps silent, on four daemons.

A follower is killed, its folder removed, and it is started again. Measured from the start of its
process: until it has its answers, until it signs again, until it is ready. Under load about 100
transactions a second; idle nothing but the empty blocks that its own wait causes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

from tests.cluster.cluster import Cluster, Member, running_cluster, wait_until
from tests.cluster.load import Load

IDLE_S_MAX = 900.0


def lose(cluster: Cluster) -> Member:
    """Kill a follower, remove its folder and start it."""
    leader = cluster.leader()
    victim = next(m for m in cluster.living if m is not leader and m.name != "issuer")
    victim.kill()
    shutil.rmtree(victim.data)
    victim.local.start()
    return victim


def measure(cluster: Cluster) -> dict[str, float]:
    """Seconds from the start of the process to each step."""
    victim, start = lose(cluster), time.monotonic()

    def ready() -> bool:
        return victim.ask("GET", "/readyz", timeout_s=2.0).status == 200

    def answered() -> bool:
        reply = victim.ask("GET", "/v1/status", timeout_s=2.0)
        signing = reply.body["signing"] if reply.status == 200 else {"height_needed": None}
        return signing["height_needed"] is not None

    wait_until("it has its answers", answered, 120.0)
    told = time.monotonic() - start
    height = victim.status()["signing"]["height_needed"] or 0
    wait_until("it is ready", ready, IDLE_S_MAX)
    victim.alive = True
    return {
        "answers_s": round(told, 1),
        "ready_s": round(time.monotonic() - start, 1),
        "above": height,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-idle", action="store_true", help="leave out the five idle minutes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_cluster(Path(folder) / "net") as cluster:
        for number in range(5):
            cluster.issue(f"before-{number}")
        with Load(cluster, seed=1):
            print(json.dumps({"load": measure(cluster)}), flush=True)
        cluster.wait_equal()
        if not arguments.no_idle:
            print(json.dumps({"idle": measure(cluster)}), flush=True)
        cluster.wait_equal()


if __name__ == "__main__":
    main()

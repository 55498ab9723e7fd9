"""`make bench-observers`: what observers cost the voters, as processor time a transaction.

Four voters are loaded by `piaolian bench` at one rate, in turn without and with ten observers that
follow every voter's news. The observers' own work is not counted. They run at the lowest priority,
and the rate is one at which this machine has cores left: voters that are kept from working make
larger blocks, which cost less. Transactions a block are printed for that. Also measured: how soon
the last observer is level once the load has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.cluster.cluster import Cluster, Member, running_cluster
from tests.cluster.observers import admit, make_observer, start, wait_level

COUNT = 10


class Cost(NamedTuple):
    """Of one stretch."""

    ms: float
    """Processor time of all voters for each transaction that became final."""
    a_block: float
    """Transactions in one, on average."""


def load(cluster: Cluster, rate: float, seconds: float) -> Cost:
    """Load the voters for a while."""
    height = cluster.living[0].status()["height"]
    before = sum(member.cpu_s() for member in cluster.members.values())
    command = (sys.executable, "-m", "node", "bench", "--network", str(cluster.folder))
    options = ("--rate", str(rate), "--seconds", str(seconds), "--json")
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    spent_s = sum(member.cpu_s() for member in cluster.members.values()) - before
    count = result["final_per_second"] * seconds
    blocks = cluster.living[0].status()["height"] - height
    return Cost(1_000 * spent_s / count, count / blocks)


def add_observers(cluster: Cluster, stack: ExitStack) -> list[Member]:
    """Ten of them, each of a participant of its own, level with the voters."""
    observers: list[Member] = []
    for number in range(COUNT):
        member, card = make_observer(cluster, f"observer-{number}")
        admit(cluster, card)
        observers.append(member)
    start_all(observers, stack)
    return observers


def start_all(observers: list[Member], stack: ExitStack) -> None:
    """Start them; `stack` ends them."""
    for member in observers:
        stack.callback(member.local.wait_stopped, 10.0)
        stack.callback(member.local.send_signal, signal.SIGKILL)
        start(member)
        assert member.local.pid is not None
        os.setpriority(os.PRIO_PROCESS, member.local.pid, 19)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=12.0, help="transactions a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stretch")
    parser.add_argument("--pairs", type=int, default=4)
    given = parser.parse_args()
    without: list[Cost] = []
    beside: list[Cost] = []
    observers: list[Member] = []
    waits = [0.0]
    with tempfile.TemporaryDirectory() as folder, running_cluster(Path(folder) / "net") as cluster:
        for _ in range(given.pairs):
            without.append(load(cluster, given.rate, given.seconds))
            with ExitStack() as stack:
                if observers:
                    start_all(observers, stack)
                else:
                    observers = add_observers(cluster, stack)
                for member in observers:
                    wait_level(member, cluster)
                beside.append(load(cluster, given.rate, given.seconds))
                waits = [wait_level_s(member, cluster) for member in observers]
            print(json.dumps({"without": without[-1], "with": beside[-1]}), flush=True)
    ratios = [b.ms / a.ms for a, b in zip(without, beside, strict=True)]
    result = {
        "observers": COUNT,
        "rate": given.rate,
        "voters_ms_a_transaction": {
            "without": round(statistics.mean(cost.ms for cost in without), 3),
            "with": round(statistics.mean(cost.ms for cost in beside), 3),
        },
        "transactions_a_block": {
            "without": round(statistics.mean(cost.a_block for cost in without), 2),
            "with": round(statistics.mean(cost.a_block for cost in beside), 2),
        },
        "ratio": round(statistics.mean(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "level_after_s": round(max(waits), 2),
    }
    print(json.dumps(result))


def wait_level_s(member: Member, cluster: Cluster) -> float:
    """Seconds until an observer is level once the load has ended."""
    begun = time.monotonic()
    wait_level(member, cluster)
    return time.monotonic() - begun


if __name__ == "__main__":
    main()

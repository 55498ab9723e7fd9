"""`make bench-raft-log`: how large the Raft log's file grows while a million invoices are issued.

A fresh network of four is loaded by `piaolian bench` in batches, in stretches, until so many
invoices are on it; meanwhile the size of every node's `raft.db` with its write-ahead log is read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.cluster.cluster import make_cluster

LIMIT_MIB = 200
BATCH = 50
STRETCH_S = 60


class Sizes:
    """The largest size seen of each node's log, in bytes."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.largest = dict.fromkeys(folders, 0)

    def __enter__(self) -> Sizes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for name, folder in self._folders.items():
                self.largest[name] = max(self.largest[name], log_bytes(folder))


def log_bytes(folder: Path) -> int:
    """Of the log and its write-ahead log."""
    return sum(path.stat().st_size for path in folder.glob("raft.db*"))


def main() -> int:
    """Load, look and print; 1 when a log passed the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1_000_000)
    parser.add_argument(
        "--sealed", action="store_true", help="with sealed details: ten times heavier"
    )
    asked = parser.parse_args()
    wanted = asked.invoices
    with tempfile.TemporaryDirectory() as temporary:
        cluster = make_cluster(Path(temporary) / "net")
        folders = {name: member.data for name, member in cluster.members.items()}
        issued, seconds = 0, 0
        try:
            cluster.start()
            with Sizes(folders) as sizes:
                while issued < wanted:
                    done, took = load(cluster.folder, sealed=asked.sealed)
                    issued, seconds = issued + done, seconds + took
                    print(json.dumps({"invoices": issued, "largest": mib(sizes.largest)}))
            print(
                json.dumps(
                    {
                        "invoices": issued,
                        "seconds": seconds,
                        "largest_mib": mib(sizes.largest),
                        "at_the_end_mib": mib({n: log_bytes(f) for n, f in folders.items()}),
                        "limit_mib": LIMIT_MIB,
                    }
                )
            )
        finally:
            cluster.close()
    return int(max(sizes.largest.values()) > LIMIT_MIB << 20)


def load(network: Path, *, sealed: bool) -> tuple[int, int]:
    """One stretch; how many invoices became final, and its seconds."""
    result = subprocess.run(
        [
            *(sys.executable, "-m", "node", "bench", "--network", str(network)),
            *("--batch", str(BATCH), "--seconds", str(STRETCH_S), "--json"),
            *(["--sealed"] if sealed else []),
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    if result.returncode:
        raise SystemExit(result.stderr)
    told = json.loads(result.stdout)
    return told["transactions"] * BATCH, STRETCH_S


def mib(sizes: dict[str, int]) -> dict[str, int]:
    """In MiB."""
    return {name: size >> 20 for name, size in sizes.items()}


if __name__ == "__main__":
    sys.exit(main())

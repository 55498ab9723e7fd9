"""PySyncObj beside it: three processes, its journal on, the same writes, window and place of load.

PySyncObj never syncs its journal, and its leader answers before a follower has written anything
that outlives a power cut; so it is measured with less work to do. Each process takes commands on
its standard input: `python -m tests.bench.syncobj --help`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.figures import Measured, Sequential, Throughput
from tests.raftkv.load import BUCKET_S, percentiles
from tests.raftkv.processes import HOST, free_ports
from tests.raftkv.vitals import cpu_seconds

_WAIT_S = 30.0


def measure(
    folder: Path, windows: Sequence[int], seconds: float, value_bytes: int, *, batch: bool
) -> Measured:
    """A cluster with `appendEntriesUseBatch` on (its default) or off."""
    ports = [f"{HOST}:{port}" for port in free_ports(3)]
    members = [_Member(folder, port, ports, batch=batch) for port in ports]
    try:
        leader = _find_leader(members)
        leader.ask("load", 2.0, max(windows), value_bytes)
        one = leader.ask("load", min(seconds, 5.0), 1, value_bytes)
        throughputs = []
        for window in windows:
            before = [member.ask("cpu") for member in members]
            report = leader.ask("load", seconds, window, value_bytes)
            took = report["seconds"]
            after = [member.ask("cpu") for member in members]
            cores = {
                f"{'leader' if member is leader else 'follower'}-{number}": (new - old) / took
                for number, (member, new, old) in enumerate(
                    zip(members, after, before, strict=True), 1
                )
            }
            throughputs.append(
                Throughput(
                    window, report["entries"] / took, report["p50_ms"], report["p99_ms"], cores
                )
            )
        return Measured(
            f"PySyncObj {leader.ask('version')}, batches {'on' if batch else 'off'}",
            durable=False,
            load="called in the leader's process",
            sequential=Sequential(one["p50_ms"], one["p99_ms"]),
            throughputs=throughputs,
            note=_note(sum(member.truncations() for member in members)),
        )
    finally:
        for member in members:
            member.end()


def _note(truncations: int) -> str:
    said = "its log says {} times that it truncated entries already applied"
    return said.format(truncations) if truncations else ""


class _Member:
    """A process, seen from outside."""

    def __init__(self, folder: Path, port: str, ports: Sequence[str], *, batch: bool) -> None:
        command = [sys.executable, "-m", "tests.bench.syncobj", "--self", port]
        command += ["--others", *[other for other in ports if other != port]]
        command += ["--journal", str(folder / port.replace(":", "-"))]
        command += [] if batch else ["--no-batch"]
        self._log = folder / f"{port.replace(':', '-')}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ask(self, *command: object) -> Any:
        """One command, one line of JSON."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, command)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of PySyncObj ended")
        return json.loads(line)

    def truncations(self) -> int:
        """How often it said that it gave up entries which it had applied."""
        return self._log.read_text("utf-8").count("truncating already-applied log entries")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def _find_leader(members: Sequence[_Member]) -> _Member:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        for member in members:
            if member.ask("leads"):
                return member
        time.sleep(0.1)
    raise TimeoutError("PySyncObj elected no leader")


# --- The process ----------------------------------------------------------------------------------


def main() -> None:
    """A member that takes commands until its input ends."""
    pysyncobj: Any = importlib.import_module("pysyncobj")  # installed for the bench only

    class Store(pysyncobj.SyncObj):  # type: ignore[misc]
        """A dict, as in `tests.raftkv`."""

        def __init__(self, own: str, others: Sequence[str], conf: object) -> None:
            self.values: dict[int, bytes] = {}
            super().__init__(own, others, conf)

        @pysyncobj.replicated  # type: ignore[untyped-decorator]
        def put(self, key: int, value: bytes) -> None:
            self.values[key] = value

    parser = argparse.ArgumentParser(prog="python -m tests.bench.syncobj")
    parser.add_argument("--self", required=True)
    parser.add_argument("--others", nargs="+", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--no-batch", action="store_true")
    args = parser.parse_args()
    conf = pysyncobj.SyncObjConf(
        journalFile=args.journal,
        appendEntriesUseBatch=not args.no_batch,
        dynamicMembershipChange=False,
    )
    store = Store(args.self, args.others, conf)
    for line in sys.stdin:
        print(json.dumps(_obey(store, pysyncobj.version.VERSION, line.split())), flush=True)


def _obey(store: Any, version: str, words: Sequence[str]) -> object:
    match words:
        case ["leads"]:
            return bool(store.isReady() and store._isLeader())
        case ["cpu"]:
            return cpu_seconds()
        case ["version"]:
            return version
        case ["load", seconds, window, value_bytes]:
            return _run(store, float(seconds), int(window), int(value_bytes))
        case _:
            raise ValueError(words)


def _run(store: Any, seconds: float, window: int, value_bytes: int) -> Mapping[str, float]:
    """A closed window: each answer submits the next write, in the library's own thread."""
    counts: defaultdict[int, int] = defaultdict(int)
    value = bytes(value_bytes)
    over = threading.Event()
    started = time.perf_counter()
    state = {"entries": 0, "open": window, "failed": 0}

    def submit(key: int) -> None:
        sent = time.perf_counter()

        def answered(_: object, error: int) -> None:
            now = time.perf_counter()
            if error:
                state["failed"] += 1
            else:
                state["entries"] += 1
                counts[int((now - sent) / BUCKET_S)] += 1
                if now - started < seconds:
                    submit((key + window) % 4_096)
                    return
            state["open"] -= 1
            if not state["open"]:
                over.set()

        store.put(key, value, callback=answered)

    for key in range(window):
        submit(key)
    if not over.wait(seconds + _WAIT_S) or state["failed"]:
        raise RuntimeError(f"PySyncObj left {state['open']} writes, refused {state['failed']}")
    took = time.perf_counter() - started
    p50, p99 = percentiles(counts, (0.5, 0.99))
    return {"entries": state["entries"], "seconds": took, "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    main()

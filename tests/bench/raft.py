"""`python -m tests.bench.raft`: consensus, PySyncObj and etcd on this machine, in one run.

All on loopback, each member with its own folder on one disk. Owns the order of measurements and
what is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tests.bench import cores, etcd, ours, syncobj
from tests.bench.figures import Measured, Report, as_text, look_at_machine

SYSTEMS = ("core", "ours", "pysyncobj", "etcd")
WINDOWS = (256, 1_024, 4_096, 16_384)
_CORE_S = 2.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.raft", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON, the table to stderr")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each window")
    parser.add_argument("--value-bytes", type=int, default=200)
    parser.add_argument("--windows", type=int, nargs="+", default=list(WINDOWS))
    parser.add_argument("--only", choices=SYSTEMS, nargs="+", default=list(SYSTEMS))
    args = parser.parse_args()
    _check(args.only)
    with tempfile.TemporaryDirectory(prefix="bench-raft-") as name:
        folder = Path(name)
        machine = look_at_machine(folder)
        core = {}
        if "core" in args.only:
            for batch in cores.BATCHES:
                _say(f"core alone, batch {batch}")
                core[batch] = cores.entries_per_second(batch, _CORE_S, args.value_bytes)
        systems = list(_systems(folder, args.only, args.windows, args.seconds, args.value_bytes))
    report = Report(machine, args.value_bytes, args.seconds, core, systems)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
        print(as_text(report), file=sys.stderr)
    else:
        print(as_text(report))


def _check(only: Sequence[str]) -> None:
    """End early rather than after minutes."""
    if "pysyncobj" in only and importlib.util.find_spec("pysyncobj") is None:
        sys.exit("PySyncObj is not installed: `make bench-raft` installs it")
    if "etcd" in only and (missing := etcd.missing()):
        sys.exit(f"not installed: {', '.join(missing)}; `make etcd` installs them")


def _systems(
    folder: Path, only: Sequence[str], windows: Sequence[int], seconds: float, value_bytes: int
) -> Iterator[Measured]:
    if "ours" in only:
        _say("three processes of ours")
        yield from asyncio.run(ours.measure(_sub(folder, "ours"), windows, seconds, value_bytes))
    if "pysyncobj" in only:
        for batch in (True, False):
            _say(f"PySyncObj, batches {'on' if batch else 'off'}")
            own = _sub(folder, f"pysyncobj-{batch}")
            yield syncobj.measure(own, windows, seconds, value_bytes, batch=batch)
    if "etcd" in only:
        _say("etcd")
        yield etcd.measure(_sub(folder, "etcd"), windows, seconds, value_bytes)


def _sub(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _say(what: str) -> None:
    print(f"measuring {what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

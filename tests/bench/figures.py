"""What a measurement of one system says, and how it is shown. Owns no measuring."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Throughput(msgspec.Struct, frozen=True):
    """A closed window of writes on one system."""

    window: int
    """Writes without an answer at any time."""
    per_second: float
    p50_ms: float
    p99_ms: float
    cores: dict[str, float] = {}
    """CPU seconds a second, process by process."""
    syncs_per_second: float | None = None
    """Durable batches a second on the busiest member; None: not known, or it never syncs."""


class Sequential(msgspec.Struct, frozen=True):
    """One write at a time."""

    p50_ms: float
    p99_ms: float


class Measured(msgspec.Struct, frozen=True):
    """One system."""

    system: str
    durable: bool
    """Whether a majority has synced a write before it is answered."""
    load: str
    """Where the writes come from."""
    sequential: Sequential
    throughputs: list[Throughput]
    note: str = ""

    @property
    def best(self) -> Throughput:
        """The window with most writes a second."""
        return max(self.throughputs, key=lambda throughput: throughput.per_second)


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cpus: int
    python: str
    kernel: str
    sync_ms: float
    """Median time of 4 KiB written and synced."""
    load_before: float
    """Load average before the start: others that took CPU time."""


class Report(msgspec.Struct, frozen=True):
    """Everything of one run."""

    machine: Machine
    value_bytes: int
    seconds: float
    core_per_second: dict[int, float]
    """By batch."""
    systems: list[Measured]


def look_at_machine(folder: Path) -> Machine:
    """What the figures depend on."""
    return Machine(
        os.cpu_count() or 1,
        platform.python_version(),
        platform.release(),
        _sync_ms(folder),
        os.getloadavg()[0],
    )


def _sync_ms(folder: Path) -> float:
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            started = time.perf_counter()
            file.write(bytes(4_096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1_000


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def as_text(report: Report) -> str:
    """For people."""
    machine = report.machine
    lines = [
        f"{machine.cpus} CPUs, Python {machine.python}, Linux {machine.kernel}, 4 KiB synced in "
        f"{machine.sync_ms:.2f} ms, load before {machine.load_before:.2f}",
        f"writes of {report.value_bytes} bytes, {report.seconds:g} s each",
        "",
        "core alone, three members in one process, nothing written or sent:",
    ]
    lines += [
        f"  batch {batch:>4}  {per_second:>10,.0f} entries/s"
        for batch, per_second in report.core_per_second.items()
    ]
    for system in report.systems:
        synced = "synced on a majority" if system.durable else "never synced"
        lines += ["", f"{system.system}: {synced}; {system.load}"]
        lines += [f"  {system.note}"] if system.note else []
        sequential = system.sequential
        lines.append(
            f"  one at a time   p50 {sequential.p50_ms:8.2f} ms  p99 {sequential.p99_ms:8.2f} ms"
        )
        lines += [_throughput_line(one, best=one is system.best) for one in system.throughputs]
    return "\n".join(lines)


def _throughput_line(one: Throughput, *, best: bool) -> str:
    cores = " ".join(f"{name} {used:.2f}" for name, used in one.cores.items())
    syncs = "" if one.syncs_per_second is None else f"  {one.syncs_per_second:.0f} syncs/s"
    return (
        f"{'*' if best else ' '} window {one.window:>6} {one.per_second:>8,.0f}/s  "
        f"p50 {one.p50_ms:8.2f} ms  p99 {one.p99_ms:8.2f} ms  CPU {cores}{syncs}"
    )

"""Three processes of `tests.raftkv` with the durable SQLite store, over loopback.

The load runs in the leader's process, as an embedder's would: each write is submitted by itself,
has its own index in the log and its own future, answered when it is applied. A second measurement
sends the same writes from a client process, which pays for a request and an answer each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Measured, Sequential, Throughput, percentile
from tests.raftkv.client import Client, Connection, NotDoneError, wait_for_leader
from tests.raftkv.messages import Done, Execute, Load, LoadReport, NodeReport, Put
from tests.raftkv.processes import Processes
from tests.raftkv.vitals import cpu_seconds

_NODES = (1, 2, 3)
_CONNECTIONS = 4
_WARM_UP_S = 3.0


async def measure(
    folder: Path, windows: Sequence[int], seconds: float, value_bytes: int
) -> list[Measured]:
    """Both measurements on one cluster."""
    with Processes(folder) as processes:
        processes.found(*_NODES)
        client = Client(processes.addresses)
        leader = await wait_for_leader(client)
        connection = await Connection.dial(*processes.addresses[leader.node])
        await _load(connection, Load(_WARM_UP_S, max(windows), value_bytes))
        inside = await _measure_inside(client, connection, windows, seconds, value_bytes)
        outside = await _measure_outside(client, leader, processes, windows, seconds, value_bytes)
        await client.close()
        connection.close()
    return [inside, outside]


async def _load(connection: Connection, load: Load) -> LoadReport:
    return await connection.get(load, LoadReport, load.seconds + 30.0)


async def _measure_inside(
    client: Client,
    connection: Connection,
    windows: Sequence[int],
    seconds: float,
    value_bytes: int,
) -> Measured:
    one = await _load(connection, Load(min(seconds, 5.0), 1, value_bytes))
    throughputs = []
    for window in windows:
        before = await client.reports()
        report = await _load(connection, Load(seconds, window, value_bytes))
        if report.failed:
            raise RuntimeError(f"{report.failed} writes were refused in window {window}")
        used = _used(before, await client.reports(), report.seconds)
        throughputs.append(
            Throughput(
                window,
                report.entries / report.seconds,
                report.p50_ms,
                report.p99_ms,
                *used,
            )
        )
    return Measured(
        "consensus",
        durable=True,
        load="submitted in the leader's process",
        sequential=Sequential(one.p50_ms, one.p99_ms),
        throughputs=throughputs,
    )


def _used(
    before: Sequence[NodeReport], after: Sequence[NodeReport], seconds: float
) -> tuple[dict[str, float], float]:
    """CPU of each process, and the most durable batches a second."""
    old = {report.node: report for report in before}
    cores = {f"{new.role}-{new.node}": (new.cpu_s - old[new.node].cpu_s) / seconds for new in after}
    return cores, max((new.writes - old[new.node].writes) / seconds for new in after)


async def _measure_outside(
    client: Client,
    leader: NodeReport,
    processes: Processes,
    windows: Sequence[int],
    seconds: float,
    value_bytes: int,
) -> Measured:
    address = processes.addresses[leader.node]
    connections = [await Connection.dial(*address) for _ in range(_CONNECTIONS)]
    throughputs = []
    one = await _drive(connections, 1, min(seconds, 5.0), value_bytes)
    for window in windows:
        before, own = await client.reports(), cpu_seconds()
        latencies, elapsed = await _drive(connections, window, seconds, value_bytes)
        cores, syncs = _used(before, await client.reports(), elapsed)
        cores["client"] = (cpu_seconds() - own) / elapsed
        throughputs.append(
            Throughput(
                window,
                len(latencies) / elapsed,
                percentile(latencies, 0.5),
                percentile(latencies, 0.99),
                cores,
                syncs,
            )
        )
    for connection in connections:
        connection.close()
    return Measured(
        "consensus, through a client",
        durable=True,
        load=f"requests of one client process over {_CONNECTIONS} connections",
        sequential=Sequential(percentile(one[0], 0.5), percentile(one[0], 0.99)),
        throughputs=throughputs,
    )


async def _drive(
    connections: Sequence[Connection], window: int, seconds: float, value_bytes: int
) -> tuple[list[float], float]:
    """Sorted times in milliseconds, and how long it took."""
    latencies: list[float] = []
    value = "x" * value_bytes
    started = time.perf_counter()

    async def work(number: int) -> None:
        connection = connections[number % len(connections)]
        client, count = time.time_ns() + number, 0
        while (sent := time.perf_counter()) - started < seconds:
            count += 1
            put = Put(client, count, f"{number % 64}", value)
            answer = await connection.ask(Execute(put), timeout_s=None)
            if not isinstance(answer, Done):
                raise NotDoneError(answer)
            latencies.append((time.perf_counter() - sent) * 1_000)

    async with asyncio.TaskGroup() as group:
        for number in range(window):
            group.create_task(work(number))
    return sorted(latencies), time.perf_counter() - started

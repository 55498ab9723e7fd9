"""etcd beside it: three members on loopback, each with its own folder, as Debian packages them.

Every write is one gRPC `Put`, because nobody embeds etcd. They come from `h2load` (Debian's
nghttp2-client), which costs far less CPU for a request than any Python client: with everything on
the same two cores, the client's CPU would otherwise be measured. It repeats one request, so all
puts have one key. That they were committed is read from the leader's own counters.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Measured, Sequential, Throughput, percentile
from tests.raftkv.processes import HOST, free_ports

_NAMES = ("etcd-1", "etcd-2", "etcd-3")
_CONNECTIONS = 8
_WINDOW_MAX = 4_096
"""etcd refuses writes ("too many requests") once 5,000 are committed and not applied."""
_WAIT_S = 20.0
_COMMITTED = "etcd_server_proposals_committed_total"
_SYNCS = "etcd_disk_wal_fsync_duration_seconds_count"
_CPU = "process_cpu_seconds_total"


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in ("etcd", "h2load") if shutil.which(name) is None]


def measure(folder: Path, windows: Sequence[int], seconds: float, value_bytes: int) -> Measured:
    """One cluster, sequential and with every window that etcd takes."""
    windows = sorted({min(window, _WINDOW_MAX) for window in windows})
    request = folder / "put"
    request.write_bytes(_put(b"key", bytes(value_bytes)))
    peers, clients = free_ports(6)[:3], free_ports(6)[3:]
    members = [_start(folder, number, peers, clients) for number in range(3)]
    try:
        leader = clients[_find_leader(clients)]
        _drive(folder, request, leader, max(windows), 2.0)
        one, _ = _drive(folder, request, leader, 1, min(seconds, 5.0))
        throughputs = [
            _measure_window(folder, request, clients, leader, window, seconds) for window in windows
        ]
    finally:
        for member in members:
            member.kill()
            member.wait()
    return Measured(
        f"etcd {_version()}",
        durable=True,
        load=f"gRPC puts of h2load over {_CONNECTIONS} connections",
        sequential=Sequential(percentile(one, 0.5), percentile(one, 0.99)),
        throughputs=throughputs,
    )


def _measure_window(
    folder: Path, request: Path, clients: Sequence[int], leader: int, window: int, seconds: float
) -> Throughput:
    before = [_metrics(port) for port in clients]
    taken, h2load_s = _drive(folder, request, leader, window, seconds)
    after = [_metrics(port) for port in clients]
    place = clients.index(leader)
    committed = after[place][_COMMITTED] - before[place][_COMMITTED]
    if committed < len(taken):
        raise RuntimeError(f"etcd answered {len(taken)} puts and committed {committed:.0f}")
    cores = {
        f"{'leader' if port == leader else 'follower'}-{number}": (new[_CPU] - old[_CPU]) / seconds
        for number, (port, old, new) in enumerate(zip(clients, before, after, strict=True), 1)
    }
    cores["client"] = h2load_s / seconds
    syncs = max(new[_SYNCS] - old[_SYNCS] for old, new in zip(before, after, strict=True))
    return Throughput(
        window,
        len(taken) / seconds,
        percentile(taken, 0.5),
        percentile(taken, 0.99),
        cores,
        syncs / seconds,
    )


def _start(
    folder: Path, number: int, peers: Sequence[int], clients: Sequence[int]
) -> subprocess.Popen[bytes]:
    peer, client = (f"http://{HOST}:{ports[number]}" for ports in (peers, clients))
    cluster = ",".join(
        f"{name}=http://{HOST}:{port}" for name, port in zip(_NAMES, peers, strict=True)
    )
    command = ["etcd", "--name", _NAMES[number], "--data-dir", str(folder / _NAMES[number])]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
    with (folder / f"{_NAMES[number]}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _find_leader(clients: Sequence[int]) -> int:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        for number, port in enumerate(clients):
            try:
                if _metrics(port).get("etcd_server_is_leader"):
                    return number
            except urllib.error.URLError:
                pass
        time.sleep(0.1)
    raise TimeoutError("etcd elected no leader")


def _metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def _drive(
    folder: Path, request: Path, port: int, window: int, seconds: float
) -> tuple[list[float], float]:
    """Sorted times of the answers in milliseconds, and the CPU seconds of the client."""
    connections = min(_CONNECTIONS, window)
    log = folder / "answers"
    log.unlink(missing_ok=True)
    command = ["h2load", f"--duration={seconds:g}", f"--clients={connections}"]
    command += [f"--max-concurrent-streams={window // connections}", f"--data={request}"]
    command += ["--header=content-type: application/grpc", "--header=te: trailers"]
    command += [f"--log-file={log}", f"http://{HOST}:{port}/etcdserverpb.KV/Put"]
    timed = ["bash", "-c", 'TIMEFORMAT="cpu %U %S"; time "$0" "$@"', *command]
    done = subprocess.run(timed, capture_output=True, text=True, check=True)
    used = re.search(r"cpu ([\d.]+) ([\d.]+)", done.stderr)
    assert used is not None, done.stderr
    taken = []
    for line in log.read_text("ascii").splitlines():
        _, status, micros = line.split("\t")
        if status != "200":
            raise RuntimeError(f"etcd answered a put with HTTP {status}")
        taken.append(int(micros) / 1_000)
    return sorted(taken), float(used[1]) + float(used[2])


def _put(key: bytes, value: bytes) -> bytes:
    """`etcdserverpb.PutRequest` in its gRPC frame."""
    message = _field(1, key) + _field(2, value)
    return b"\0" + len(message).to_bytes(4, "big") + message


def _field(number: int, data: bytes) -> bytes:
    size, rest = bytearray(), len(data)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + data


def _version() -> str:
    shown = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True)
    return shown.stdout.split()[2]

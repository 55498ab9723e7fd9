"""Local clusters of server processes: starting, killing, restarting. Owns ports and process ids."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
_STOP_S = 10.0


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """Ports below the ephemeral range on which nobody listens, and none of `taken`."""
    found: list[int] = []
    for number in range(4_000):
        port = 12_000 + (os.getpid() * 41 + number * 7) % 18_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        if port not in found and port not in taken:
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


class Processes:
    """The processes of one cluster; leaving the context ends them all."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.addresses: dict[int, tuple[str, int]] = {}
        """Of every node that was ever started and not removed."""
        self._options = list(options)
        self._voters: list[int] = []
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(*self._running)

    @property
    def running(self) -> list[int]:
        """The nodes with a process."""
        return [node for node, process in self._running.items() if process.poll() is None]

    def found(self, *nodes: int) -> None:
        """Start the founding voters."""
        self._voters = list(nodes)
        for node, port in zip(nodes, free_ports(len(nodes)), strict=True):
            self.addresses[node] = (HOST, port)
        for node in nodes:
            self.start(node)

    def join(self, node: int) -> None:
        """Start a node that is no member yet."""
        taken = [port for _, port in self.addresses.values()]
        self.addresses[node] = (HOST, free_ports(1, taken)[0])
        self.start(node, founding=False)

    def start(self, node: int, *, founding: bool = True) -> None:
        """Start, or start again with what is on its disk."""
        host, port = self.addresses[node]
        peers = [f"{n}={h}:{p}" for n, (h, p) in self.addresses.items() if n != node]
        voters = self._voters if founding and node in self._voters else []
        command = [sys.executable, "-m", "tests.raftkv", "--node", str(node)]
        command += ["--dir", str(self.folder / str(node)), "--listen", f"{host}:{port}"]
        command += ["--peers", *peers, "--voters", *map(str, voters), *self._options]
        with self.log(node).open("ab") as log:
            self._running[node] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self, node: int) -> Path:
        """What the node prints."""
        return self.folder / f"{node}.log"

    def pid(self, node: int) -> int:
        """The process id."""
        return self._running[node].pid

    def pause(self, *nodes: int) -> None:
        """Let these processes stand still, as if their machines were overloaded."""
        for node in nodes:
            self._running[node].send_signal(signal.SIGSTOP)

    def kill(self, node: int) -> None:
        """End it with no chance to do anything."""
        process = self._running.pop(node)
        process.kill()
        process.wait()

    def stop(self, *nodes: int) -> None:
        """Ask them to end; who does not is killed."""
        processes = [self._running.pop(node) for node in nodes]
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def remove(self, node: int) -> None:
        """End a node that is no member any more."""
        self.stop(node)
        del self.addresses[node]

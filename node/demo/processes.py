"""The nodes of a network folder as processes of this machine. Owns starting, finding and ending.

A process is known by its id and its start time, kept in `<node>/node.pid`: a pid file whose process
is gone, or whose id another process has taken since, is stale, and that process is never touched.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import node
from node.cli.client import ApiClient, NodeUnreachableError, ProblemError
from node.cli.context import api_address, clean_environment, client_of
from node.cli.errors import CliError, UsageError
from node.custody.keystore import KeystoreError
from node.system.folder_lock import FolderInUseError, lock_folder

if TYPE_CHECKING:
    from node.system.config import NodeConfig

READY_S = 60.0
STOP_S = 30.0
_LOG_BYTES_MAX = 64 << 20
_POLL_S = 0.05


class Child(Protocol):
    """A process that this one has started."""

    @property
    def pid(self) -> int:
        """Its id."""

    def poll(self) -> int | None:
        """How it ended; None while it runs."""


Launch = Callable[[Sequence[str], Path, Mapping[str, str]], Child]
"""Starts the interpreter with arguments, a file to which its output is added, an environment."""


def launch(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Child:
    """An interpreter of its own, which outlives this process."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            # -P: a folder called `node` where the user stands must not be imported.
            (sys.executable, "-P", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


_children: dict[int, Child] = {}
"""Processes that this very process started: it reaps them once they end. They may outlive it."""


class LocalNode:
    """One node folder, its process if one runs, and its API."""

    def __init__(self, folder: Path, config: NodeConfig) -> None:
        self.folder = folder
        self.config = config
        self.name = config.node.name
        self.program: tuple[str, ...] = ("-m", "node")
        """What the interpreter runs: `piaolian`, unless something is to watch it."""
        self.launch: Launch = launch

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "node.log"

    @property
    def pid(self) -> int | None:
        """The id of the running process, or None."""
        try:
            noted = json.loads(self._pid_file.read_text())
            pid, started = int(noted["pid"]), str(noted["started"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        child = _children.get(pid)
        if child is not None and child.poll() is not None:  # poll reaps it
            del _children[pid]
        return pid if _start_time(pid) == started else None

    def start(self) -> bool:
        """Start the process unless it runs. Returns whether it was started."""
        if self.pid is not None:
            return False
        with suppress(OSError):
            if self.log.stat().st_size > _LOG_BYTES_MAX:
                self.log.replace(self.log.with_suffix(".log.1"))
        root = Path(node.__file__).resolve().parents[1]
        environment = clean_environment() | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        arguments = (*self.program, "start", "--config", str(self.folder / "node.toml"))
        child = self.launch(arguments, self.log, environment)
        _children[child.pid] = child
        started = _start_time(child.pid)
        self._pid_file.write_text(json.dumps({"pid": child.pid, "started": started}))
        return True

    def send_signal(self, number: signal.Signals) -> bool:
        """Signal the process. Returns False if none runs."""
        pid = self.pid
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return True

    def wait_stopped(self, timeout_s: float) -> bool:
        """Whether the process ends in time. Removes the pid file once it has."""
        end = time.monotonic() + timeout_s
        while self.pid is not None:
            if time.monotonic() >= end:
                return False
            time.sleep(_POLL_S)
        self._pid_file.unlink(missing_ok=True)
        return True

    def ready(self) -> bool:
        """Whether this very node answers, and `/readyz` with 200.

        Another process may listen at its address: that one does not take this node's token.
        """
        host, port = api_address(self.config)
        with ApiClient(host, port, timeout_s=2.0) as client:
            try:
                client.get("/readyz")
                self.status()
            except (NodeUnreachableError, ProblemError, KeystoreError):
                return False
        return True

    def status(self) -> dict[str, object]:
        """`/v1/status`.

        Raises:
            NodeUnreachableError, ProblemError: no status.
        """
        with client_of(self.config, "read", timeout_s=5.0) as client:
            return client.get("/v1/status").fields

    def log_tail(self, lines: int = 10) -> str:
        """The last lines of its output."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 8_192))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    @property
    def _pid_file(self) -> Path:
        return self.folder / "node.pid"


def find_nodes(folder: Path) -> list[LocalNode]:
    """The nodes of a network folder, by name.

    Raises:
        UsageError: there are none.
        ConfigError: a `node.toml` cannot be used.
    """
    from node.system.config import load_config

    nodes = [
        LocalNode(path.parent, load_config(path)) for path in sorted(folder.glob("*/node.toml"))
    ]
    if not nodes:
        raise UsageError(f"{folder}: no */node.toml; make a network with `piaolian network new`")
    return nodes


def start_nodes(nodes: Sequence[LocalNode], timeout_s: float = READY_S) -> list[str]:
    """Start what does not run, and wait until all are ready. Returns who was started.

    Raises:
        CliError: one ended, or is not ready in time; the others run on.
    """
    started = [each.name for each in nodes if each.start()]
    wait_ready(nodes, timeout_s)
    return started


def wait_ready(nodes: Sequence[LocalNode], timeout_s: float = READY_S) -> None:
    """Wait until all nodes are ready.

    Raises:
        CliError: one ended, or is not ready in time.
    """
    waiting = list(nodes)
    end = time.monotonic() + timeout_s
    while waiting:
        for each in waiting:
            if each.pid is None:
                raise CliError(f"{each.name} ended; the end of {each.log}:\n{each.log_tail()}")
        waiting = [each for each in waiting if not each.ready()]
        if waiting and time.monotonic() >= end:
            names = ", ".join(each.name for each in waiting)
            raise CliError(f"not ready within {timeout_s:.0f} s: {names}; see {waiting[0].log}")
        if waiting:
            time.sleep(_POLL_S * 2)


def stop_nodes(nodes: Sequence[LocalNode], timeout_s: float = STOP_S) -> dict[str, str]:
    """End all that run: SIGTERM, and SIGKILL for who does not end in time.

    Returns:
        For each node `stopped`, `killed`, `not running`, or that somebody else runs it.
    """
    running = [each for each in nodes if each.send_signal(signal.SIGTERM)]
    outcome = {each.name: _not_ours(each) for each in nodes}
    end = time.monotonic() + timeout_s
    for each in running:
        if each.wait_stopped(max(0.1, end - time.monotonic())):
            outcome[each.name] = "stopped"
        else:
            each.send_signal(signal.SIGKILL)
            each.wait_stopped(5.0)
            outcome[each.name] = "killed"
    return outcome


def _not_ours(local: LocalNode) -> str:
    """Of a node whose process `start_nodes` did not start, or not lately."""
    try:
        os.close(lock_folder(local.config.node.data_dir, shared=True))
    except FolderInUseError:
        return "left running: it was not started by `cluster up`"
    except OSError:
        pass  # it never ran
    return "not running"


def _start_time(pid: int) -> str | None:
    """When a process started, in the system's own terms; None if it is gone or a zombie."""
    try:
        # Fields after the name, which is in parentheses and may hold anything: proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return None
    listed = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return None if not listed or listed.startswith("Z") else listed.partition(" ")[2].strip()

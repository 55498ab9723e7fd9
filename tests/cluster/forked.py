"""Nodes as forks of one process that has loaded the program: each starts a second of work sooner.

A node on a test's cluster is a process like any other, with memory, files and signals of its own;
only its modules were loaded before. `tests/cli/test_processes.py` and the demo start it whole.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from node.demo.processes import Child, launch

PROGRAM = ("-m", "node")
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["node.command", "node.runtime.daemon"])


class _Fork:
    """A fork, told of as other children are."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None, "it was started"
        self.pid = process.pid
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode


def launch_fork(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Child:
    """`node.demo.processes.launch`, by a fork where it is the program itself."""
    if tuple(arguments[:2]) != PROGRAM:
        return launch(arguments, log, environment)
    process = _forks.Process(
        target=_run, args=(arguments[2:], str(log), dict(environment)), daemon=True
    )
    process.start()
    return _Fork(process)


def _run(arguments: Sequence[str], log: str, environment: dict[str, str]) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for standard in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(output, standard)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]  # what is killed has said it
    os.environ.clear()
    os.environ.update(environment)
    from node.command import main  # noqa: PLC0415 - as a process of its own would load it

    sys.exit(main(arguments))

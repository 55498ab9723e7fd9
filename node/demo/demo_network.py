"""The running network of a demo: its processes, a client of each node, and what to wait for.

Owns starting it in a fresh folder and stopping it; knows nothing of the story.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from node.cli.client import ApiClient, NodeUnreachableError, ProblemError
from node.cli.context import client_of
from node.cli.errors import CliError, UsageError
from node.cli.options import Until
from node.cli.writes import post_and_wait, reached
from node.demo.processes import LocalNode, find_nodes, start_nodes, stop_nodes
from node.ledger.genesis import Genesis
from node.setup.network_files import API_PORT_OFFSET, create_network

PATIENCE_S = 60.0
_BASE_PORTS = range(7_101, 9_000, 100)
_POLL_S = 0.02

T = TypeVar("T")
Fields = dict[str, object]


class DemoError(CliError):
    """Something did not happen as it must."""


class DemoNetwork:
    """A network of this machine, one process a node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, LocalNode] = {}
        self.clients: dict[str, ApiClient] = {}
        self.ids: dict[str, str] = {}
        """Participant ids by node name."""
        self._open = ExitStack()

    def start(self, names: Sequence[str]) -> Genesis:
        """Make the network and start it.

        Raises:
            CliError: a node does not become ready.
        """
        base_port = _free_base_port(len(names))
        genesis = create_network(self.folder, names, name="demo", base_port=base_port)
        found = {each.name: each for each in find_nodes(self.folder)}
        self.nodes = {name: found[name] for name in names}
        start_nodes(list(self.nodes.values()))
        for name, each in self.nodes.items():
            self.ids[name] = each.config.node.participant
            client = client_of(each.config, "operate", patience_s=PATIENCE_S)
            self.clients[name] = self._open.enter_context(client)
        return genesis

    def close(self, *, stop: bool) -> None:
        """Close the clients, and stop the processes if told so."""
        self._open.close()
        if stop and self.nodes:
            stop_nodes(list(self.nodes.values()))

    def act(self, name: str, path: str, body: object, until: Until = Until.FINAL) -> Fields:
        """One write at one node, followed until it is as far as asked.

        Raises:
            ProblemError: refused.
            DemoError: not so far in time.
        """
        result = post_and_wait(self.clients[name], path, body, until=until, timeout_s=PATIENCE_S)
        if not reached(result, until):
            raise DemoError(f"{path} at {name}: only {result.get('state')} in {PATIENCE_S:.0f} s")
        return result

    def invoice(self, name: str, number: str) -> Fields:
        """An invoice as one node sees it."""
        return self.clients[name].get(f"/v1/invoices/{number}").fields

    def leader(self) -> str:
        """The name of the leader.

        Raises:
            DemoError: there is none.
        """

        def ask() -> str | None:
            for each in self.nodes.values():
                leader = _raft(each.status()).get("leader")
                if isinstance(leader, str):
                    return leader
            return None

        return self.wait_for(ask, "there is no leader")

    def wait_for_leader_but(self, killed: str) -> str:
        """The name of a leader other than the one that was killed.

        Raises:
            DemoError: none in time.
        """

        def ask() -> str | None:
            for name, each in self.nodes.items():
                if name != killed and _raft(each.status()).get("state") == "leader":
                    return name
            return None

        return self.wait_for(ask, f"no new leader after {killed} was killed")

    def final_height(self, but: str) -> int:
        """The final height at a node other than `but`."""
        height = next(each for name, each in self.nodes.items() if name != but).status()[
            "final_height"
        ]
        assert isinstance(height, int)
        return height

    def wait_equal(self) -> dict[str, Fields]:
        """The statuses of all nodes once they are of one height, root and state digest.

        Raises:
            DemoError: not in time.
        """

        def ask() -> dict[str, Fields] | None:
            statuses = {name: each.status() for name, each in self.nodes.items()}
            seen = {
                (s["height"], s["final_height"], s["root"], s["state_digest"])
                for s in statuses.values()
            }
            return statuses if len(seen) == 1 else None

        return self.wait_for(ask, "the nodes do not agree on height, root and state digest")

    def wait_for(self, probe: Callable[[], T | None], complaint: str) -> T:
        """What `probe` finds, asked again until it finds something.

        Raises:
            DemoError: `complaint`, when the time is up.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            found = None
            try:
                found = probe()
            except (NodeUnreachableError, ProblemError):
                if time.monotonic() >= end:
                    raise
            if found is not None:
                return found
            if time.monotonic() >= end:
                raise DemoError(f"{complaint} (waited {PATIENCE_S:.0f} s)")
            time.sleep(_POLL_S)


def clear(folder: Path, names: Sequence[str]) -> None:
    """Remove an earlier demo of these nodes, and its processes.

    Raises:
        UsageError: the folder holds something else.
    """
    if not folder.exists():
        return
    if not folder.is_dir() or (
        any(folder.iterdir()) and not all((folder / name / "node.toml").is_file() for name in names)
    ):
        raise UsageError(f"{folder} exists and is no earlier demo; choose another with --dir")
    if any(folder.iterdir()):
        stop_nodes(find_nodes(folder))
    shutil.rmtree(folder)


def _raft(status: Fields) -> Fields:
    raft = status["raft"]
    assert isinstance(raft, dict)
    return raft


def _free_base_port(nodes: int) -> int:
    for base in _BASE_PORTS:
        ports = [base + offset + n for offset in (0, API_PORT_OFFSET) for n in range(nodes)]
        if all(_is_free(port) for port in ports):
            return base
    raise CliError("no free ports between 7101 and 10,000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

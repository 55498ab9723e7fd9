"""docker/compose.yaml as a test sees it: up, down, stop, start, and the nodes' APIs.

Works with `docker compose` (v2) and docker-compose 1.29, whichever this machine has.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
NODES = {"tax-bureau": 18_101, "issuer": 18_102, "payer": 18_103, "reimburser": 18_104}
"""Ports on this machine; not the file's own, so that a cluster in use is not in the way."""
OBSERVER = ("bank", 18_105)
"""The fifth service and its port: it is no participant until the bureau admits it."""
PORTS = NODES | dict([OBSERVER])
IMAGE = "piaolian:test"


def run(*command: str, environment: dict[str, str] | None = None, text: str = "") -> str:
    """Standard output of a command that must succeed."""
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def wait_until(what: str, probe: Callable[[], T], timeout_s: float = 90.0) -> T:
    """The first truthy value of `probe`."""
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"after {timeout_s} s still not: {what}"
        time.sleep(0.2)
    return value


def compose_command() -> list[str]:
    """`docker compose` where there is one, else docker-compose."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


@dataclass
class Node:
    """The API of one node, through its published port."""

    name: str
    port: int
    token: str

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of one request; status 0 when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body).encode(), headers
            )
            response = connection.getresponse()
            content = response.read()
        except OSError:
            return 0, None
        finally:
            connection.close()
        if "json" in response.headers.get_content_type():
            return response.status, json.loads(content)
        return response.status, content.decode()

    def status(self) -> dict[str, Any]:
        """`GET /v1/status`, which must answer."""
        code, answer = self.ask("GET", "/v1/status")
        assert code == 200, (self.name, code, answer)
        assert isinstance(answer, dict)
        return answer


@dataclass
class Stack:
    """One running project of the compose file."""

    project: str = field(default_factory=lambda: f"piaolian-test-{os.getpid()}")
    command: Sequence[str] = field(default_factory=compose_command)

    @property
    def environment(self) -> dict[str, str]:
        """What the file is read with."""
        return {
            **os.environ,
            "PIAOLIAN_IMAGE": IMAGE,
            **{f"{name.upper().replace('-', '_')}_PORT": str(p) for name, p in PORTS.items()},
        }

    def compose(self, *arguments: str) -> str:
        """Run one compose command."""
        return run(
            *self.command,
            *("-p", self.project, "-f", "docker/compose.yaml"),
            *arguments,
            environment=self.environment,
        )

    def up(self) -> None:
        """Build, start and wait until every node is healthy."""
        self.compose("up", "--build", "--detach")
        for name in NODES:
            self.wait_healthy(name)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says about a service's container."""
        (identity,) = self.compose("ps", "--quiet", "--all", service).split()
        (document,) = json.loads(run("docker", "inspect", identity))
        assert isinstance(document, dict)
        return document

    def wait_healthy(self, service: str) -> None:
        """Wait for the container's own health check, and until its node is ready for work."""
        wait_until(
            f"{service} healthy",
            lambda: self.inspect(service)["State"]["Health"]["Status"] == "healthy",
        )
        wait_until(f"{service} ready", lambda: self.ready(service))

    def ready(self, service: str) -> bool:
        """Whether the node says that it can do its work."""
        connection = http.client.HTTPConnection("127.0.0.1", PORTS[service], timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def read(self, service: str, path: str) -> str:
        """A file of a node, as the node's own user sees it."""
        return self.compose("exec", "-T", service, "cat", f"/var/lib/piaolian/{path}")

    def node(self, service: str) -> Node:
        """The API of a node with its admin token."""
        return Node(service, PORTS[service], self.read(service, "tokens/admin.token").strip())

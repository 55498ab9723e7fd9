"""Real daemons as a test sees them: a network folder, its processes, their APIs, their files.

Every process is started, found and ended through its pid file; a cluster is closed by the fixture
that made it, whatever the test did.
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from node.chain.verify import Verdict, verify_proof_file
from node.chain.voters import VoterSet
from node.custody.keystore import NodeKeys, open_keystore
from node.demo.processes import LocalNode, find_nodes, start_nodes, stop_nodes
from node.ledger.codes import Table
from node.ledger.genesis import Genesis
from node.setup.network_files import API_PORT_OFFSET, create_network
from tests.cluster.forked import launch_fork

T = TypeVar("T")

FOUR = ("tax-bureau", "issuer", "payer", "reimburser")
MSGPACK = "application/msgpack"
TRANSACTION = "application/vnd.piaolian.transaction"
NUMBERS = 1_000_000


def wait_until(what: str, probe: Callable[[], T | None], timeout_s: float = 30.0) -> T:
    """The first truthy value of `probe`."""
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < deadline, f"after {timeout_s} s still not: {what}"
        time.sleep(0.05)
    return value


def free_base_port(count: int) -> int:
    """A base port below the ephemeral range whose p2p and API ports are all free."""
    for number in range(200):
        base = 12_000 + (os.getpid() * 37 + number * 61) % 18_000
        ports = [base + offset + n for offset in (0, API_PORT_OFFSET) for n in range(count)]
        if all(is_free(port) for port in ports):
            return base
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    """Whether a port can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Reply:
    """An answer; status 0 when nothing answered."""

    status: int
    body: Any

    @property
    def code(self) -> str | None:
        """The stable code of a problem."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass
class Member:
    """One node: process, API, files."""

    local: LocalNode
    token: str
    alive: bool = False
    """Whether the test lets it run; other threads may read it."""

    @property
    def name(self) -> str:
        return self.local.name

    @property
    def port(self) -> int:
        return int(self.local.config.api.listen.rpartition(":")[2])

    @property
    def participant(self) -> str:
        return self.local.config.node.participant

    @property
    def data(self) -> Path:
        return self.local.config.node.data_dir

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        timeout_s: float = 40.0,
    ) -> Reply:
        """One request on a connection of its own."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        try:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return Reply(0, None)
        finally:
            connection.close()
        if "json" in response.headers.get_content_type():
            return Reply(response.status, json.loads(content))
        return Reply(response.status, content)

    def get(self, path: str) -> Any:
        """The body of a GET that must succeed."""
        reply = self.ask("GET", path)
        assert reply.status == 200, (self.name, path, reply)
        return reply.body

    def write(self, path: str, body: object, wait: str = "final") -> dict[str, Any]:
        """A write that must succeed and reach `wait`."""
        reply = self.ask("POST", f"{path}?wait={wait}&timeout_s=30", body)
        assert reply.status == 201, (self.name, path, body, reply)
        assert isinstance(reply.body, dict)
        return reply.body

    def status(self) -> dict[str, Any]:
        """`GET /v1/status`."""
        answer = self.get("/v1/status")
        assert isinstance(answer, dict)
        return answer

    def submit(self, wires: Sequence[bytes], timeout_s: float = 5.0) -> Reply:
        """Post signed transactions in one request."""
        return self.ask(
            "POST",
            "/v1/transactions:batch",
            msgspec.msgpack.encode(list(wires)),
            content_type=MSGPACK,
            timeout_s=timeout_s,
        )

    def receipt(self, txid: str) -> bytes:
        """The proof file of a final transaction."""
        content = self.get(f"/v1/transactions/{txid}/receipt")
        assert isinstance(content, bytes)
        return content

    def evidence(self) -> list[dict[str, Any]]:
        """`GET /v1/evidence`, bodies decoded."""
        page = self.get("/v1/evidence")
        return [e | {"body": base64.b64decode(e["body"])} for e in page["evidence"]]

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.alive = False
        assert self.local.send_signal(signal.SIGKILL), f"{self.name} does not run"
        assert self.local.wait_stopped(10.0)

    def rss_mib(self) -> float:
        """Resident memory of the process."""
        pages = int(Path(f"/proc/{self.local.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_s(self) -> float:
        """Processor time that the process has used."""
        stat = Path(f"/proc/{self.local.pid}/stat").read_text()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def wait_idle(self, timeout_s: float = 30.0) -> None:
        """Wait until the process has done what it was given: it works for less than half a time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            before = self.cpu_s()
            time.sleep(0.5)
            if self.cpu_s() - before < 0.15:
                return
        raise AssertionError(f"{self.name} is still busy after {timeout_s} s")

    def keys(self) -> NodeKeys:
        """Its secret keys, to play this node."""
        config = self.local.config.keys
        return open_keystore(config.file, config.passphrase_file)

    def log_text(self) -> str:
        """Everything it logged."""
        return self.local.log.read_text("utf-8", "replace")

    def business_rows(self) -> list[tuple[int, bytes, bytes]]:
        """All state but the records of transaction ids, which refusals leave too."""
        with read_only(self.data / "ledger.db") as connection:
            rows = connection.execute(
                "SELECT tbl, key, value FROM state WHERE tbl != ? ORDER BY tbl, key",
                (int(Table.TXID),),
            ).fetchall()
            orders = "SELECT ?, key, value FROM orders ORDER BY place, key"
            return rows + connection.execute(orders, (int(Table.ORDER),)).fetchall()


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A database of a node, read beside it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


@dataclass
class Cluster:
    """All nodes of one network folder."""

    folder: Path
    genesis: Genesis
    members: dict[str, Member]
    next_number: int = 0
    voters: VoterSet = field(init=False)

    def __post_init__(self) -> None:
        self.voters = VoterSet.from_genesis(self.genesis)

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    @property
    def living(self) -> list[Member]:
        """The nodes that run."""
        return [member for member in self.members.values() if member.alive]

    def start(self, *names: str) -> None:
        """Start these nodes, or all, and wait until they are ready."""
        members = [self.members[name] for name in names or self.members]
        start_nodes([member.local for member in members])
        for member in members:
            member.alive = True

    def stop(self, *names: str) -> None:
        """Stop these nodes, or all, the polite way."""
        members = [self.members[name] for name in names or self.members]
        for member in members:
            member.alive = False
        outcome = stop_nodes([member.local for member in members], 15.0)
        assert "killed" not in outcome.values(), f"SIGTERM did not end a node: {outcome}"

    def close(self) -> None:
        """End what still runs."""
        stop_nodes([member.local for member in self.members.values()], 10.0)

    def leader(self) -> Member:
        """The leader that a living node is, once there is one."""

        def find() -> Member | None:
            for member in self.living:
                reply = member.ask("GET", "/v1/status", timeout_s=2.0)
                if reply.status == 200 and reply.body["raft"]["state"] == "leader":
                    return member
            return None

        return wait_until("a leader", find, 15.0)

    def wait_equal(self, timeout_s: float = 30.0) -> dict[str, Any]:
        """One height, final everywhere, one root and one state digest on all living nodes."""
        seen: set[tuple[object, ...]] = set()

        def ask() -> dict[str, Any] | None:
            statuses = [member.status() for member in self.living]
            seen.clear()
            seen.update(
                (s["height"], s["final_height"], s["root"], s["state_digest"], s["pool"]["bytes"])
                for s in statuses
            )
            same = len(seen) == 1 and statuses[0]["height"] == statuses[0]["final_height"]
            return statuses[0] if same else None

        try:
            return wait_until("one height, root and state digest on all", ask, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None

    def open_registers(self, issuer: str = "issuer") -> None:
        """Allot numbers and quota: first those that the issuer's node draws from, then ours."""
        bureau, now = self["tax-bureau"], datetime.datetime.now(datetime.UTC)
        party = self[issuer].participant
        first = int(f"{now:%y}{44}1{'0' * 15}")
        for start in (first, first + NUMBERS):
            segment = {"issuer": party, "first": f"{start:020d}", "count": NUMBERS}
            bureau.write("/v1/segments", segment)
        self.next_number = first + NUMBERS
        for month in sorted({f"{now + datetime.timedelta(days=d):%Y-%m}" for d in (0, 1)}):
            quota = {
                "issuer": party,
                "month": month,
                "net": 10**14,
                "valid_from": f"{now - datetime.timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
                "valid_to": f"{now + datetime.timedelta(days=40):%Y-%m-%dT%H:%M:%SZ}",
            }
            bureau.write("/v1/quotas", quota)

    def issue(self, order: str, net: int = 10_000, buyer: str = "payer") -> dict[str, Any]:
        """A final invoice from the issuer's node."""
        body = {
            "order_id": order,
            "buyer": self[buyer].participant,
            "currency": "CNY",
            "groups": [{"rate": 1300, "net": net}],
        }
        return self["issuer"].write("/v1/invoices", body)

    def verify(self, proof: bytes) -> Verdict:
        """The verdict from network.toml alone."""
        return verify_proof_file(proof, self.genesis)

    def tracebacks(self) -> list[str]:
        """Names of nodes whose log has a stack trace or a critical event."""
        marks = ("Traceback", '"exception"', '"level": "critical"', '"level": "error"')
        return [
            name
            for name, member in self.members.items()
            if any(mark in member.log_text() for mark in marks)
        ]


def make_cluster(folder: Path, names: Sequence[str] = FOUR) -> Cluster:
    """Write a network into `folder`; nothing runs yet."""
    genesis = create_network(folder, names, base_port=free_base_port(len(names)))
    members = {}
    for local in find_nodes(folder):
        local.launch = launch_fork
        token = (local.config.api.token_dir / "admin.token").read_text().strip()
        members[local.name] = Member(local, token)
    return Cluster(folder, genesis, {name: members[name] for name in names})


@contextmanager
def running_cluster(folder: Path, names: Sequence[str] = FOUR) -> Iterator[Cluster]:
    """A cluster that runs, with registers open; ended on leaving, whatever happens."""
    cluster = make_cluster(folder, names)
    try:
        cluster.start()
        cluster.open_registers()
        yield cluster
    finally:
        cluster.close()
    stuck = [m.name for m in cluster.members.values() if "did not stop in time" in m.log_text()]
    assert stuck == [], "SIGTERM did not end these"

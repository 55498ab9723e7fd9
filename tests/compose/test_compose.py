"""Four containers: healthy, confined, one ledger; through the loss of one and of two.

Goal: the shipped file and image keep going as the README says. Method: one cluster for the whole
module; the tests follow one another like a day that gets worse and then better.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import NODES, OBSERVER, ROOT, Node, Stack, run, wait_until

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]

_orders = itertools.count(1)


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    running = Stack()
    try:
        running.up()
        yield running
        if request.session.testsfailed:
            sys.stdout.write(running.compose("logs", "--tail", "60"))
    finally:
        running.compose("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def nodes(stack: Stack) -> dict[str, Node]:
    """The four APIs, after the bureau has allotted the issuer numbers and quota."""
    nodes = {name: stack.node(name) for name in NODES}
    issuer = nodes["issuer"].status()["participant"]
    now = datetime.now(UTC)
    for path, body in (
        ("segments", {"issuer": issuer, "first": "26310000000000000001", "count": 1_000}),
        (
            "quotas",
            {
                "issuer": issuer,
                "month": f"{now:%Y-%m}",
                "net": 10**12,
                "valid_from": f"{now - timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}",
                "valid_to": f"{now + timedelta(days=31):%Y-%m-%dT%H:%M:%SZ}",
            },
        ),
    ):
        status, answer = nodes["tax-bureau"].ask("POST", f"/v1/{path}?wait=final", body)
        assert status == 201, answer
    return nodes


def issue(nodes: dict[str, Node], buyer: str, wait: str = "?wait=final") -> tuple[int, Any]:
    body = {
        "order_id": f"ORDER-{next(_orders)}",
        "buyer": buyer,
        "currency": "CNY",
        "groups": [{"rate": 1_300, "net": 10_000}],
    }
    return nodes["issuer"].ask("POST", f"/v1/invoices{wait}", body)


@pytest.fixture(scope="module")
def buyer(nodes: dict[str, Node]) -> str:
    participant = nodes["payer"].status()["participant"]
    assert isinstance(participant, str)
    return participant


@pytest.fixture(scope="module")
def invoice(nodes: dict[str, Node], buyer: str) -> dict[str, Any]:
    """A final invoice, issued at the issuer's node."""
    status, answer = issue(nodes, buyer)
    assert status == 201, answer
    assert answer["state"] == "final"
    assert isinstance(answer, dict)
    return answer


def readable(node: Node, number: str) -> bool:
    return node.ask("GET", f"/v1/invoices/{number}")[0] == 200


def agree(nodes: dict[str, Node]) -> bool:
    """Every node at one height, with one root and one state digest."""
    views = [node.status() for node in nodes.values()]
    return len({(v["height"], v["final_height"], v["root"], v["state_digest"]) for v in views}) == 1


def test_every_container_is_healthy_and_confined(stack: Stack) -> None:
    assert stack.inspect("genesis")["State"]["ExitCode"] == 0
    for name in NODES:
        container = stack.inspect(name)
        assert container["State"]["Health"]["Status"] == "healthy"
        assert container["HostConfig"]["ReadonlyRootfs"] is True
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert int(container["Config"]["User"].split(":")[0]) >= 10_000
        (binding,) = container["HostConfig"]["PortBindings"].values()
        assert binding[0]["HostIp"] == "127.0.0.1"


def test_the_fifth_is_let_in_once_its_participant_is_admitted(
    stack: Stack, nodes: dict[str, Node], buyer: str
) -> None:
    name, _ = OBSERVER
    bank = stack.node(name)
    wait_until("it serves", lambda: bank.ask("GET", "/livez")[0] == 200)
    assert "no participant yet" in str(bank.ask("GET", "/readyz")[1])
    card = stack.read(name, "card.toml")
    told = run(
        *stack.command,
        *("-p", stack.project, "-f", "docker/compose.yaml", "exec", "-T", "tax-bureau"),
        *("piaolian", "participant", "propose-admit", "--card", "/dev/stdin", "--json"),
        environment=stack.environment,
        text=card,
    )
    assert '"final"' in told
    wait_until("it is ready", lambda: stack.ready(name))
    wait_until("it is level", lambda: agree(nodes | {name: bank}))
    status = bank.status()
    assert (status["raft"]["state"], status["roles"]) == ("observer", ["bank"])
    assert stack.inspect(name)["State"]["Health"]["Status"] == "healthy"
    page = bank.ask("GET", "/")
    assert page[0] == 200
    number = issue(nodes, buyer)[1]["number"]
    wait_until("it has a new invoice", lambda: readable(bank, number))
    assert stack.inspect(name)["HostConfig"]["ReadonlyRootfs"] is True


def test_a_node_holds_its_own_keys_and_the_common_network(stack: Stack) -> None:
    for name in NODES:
        volumes = [m for m in stack.inspect(name)["Mounts"] if m["Type"] == "volume"]
        assert [(v["Name"], v["Destination"]) for v in volumes] == [
            (f"{stack.project}_{name}", "/var/lib/piaolian")
        ]
    assert len({stack.read(name, "network.toml") for name in NODES}) == 1
    keys = {stack.compose("exec", "-T", name, "sha256sum", "keys").split()[0] for name in NODES}
    assert len(keys) == len(NODES)


def test_an_invoice_issued_at_one_node_is_read_from_another(
    nodes: dict[str, Node], invoice: dict[str, Any]
) -> None:
    wait_until("the payer's node knows it", lambda: readable(nodes["payer"], invoice["number"]))
    _, seen = nodes["payer"].ask("GET", f"/v1/invoices/{invoice['number']}")
    assert seen["gross"] == 11_300
    wait_until("one root on all four", lambda: agree(nodes))


def test_a_proof_from_one_node_verifies_with_the_network_file_alone(
    stack: Stack, nodes: dict[str, Node], invoice: dict[str, Any], tmp_path: Path
) -> None:
    status, proof = nodes["reimburser"].ask(
        "GET", f"/v1/transactions/{invoice['transaction']}/receipt"
    )
    assert status == 200
    (tmp_path / "network.toml").write_text(stack.read("payer", "network.toml"))
    (tmp_path / "proof").write_text(proof)
    (tmp_path / "forged").write_text(proof.replace("A", "B", 1))
    verify = [sys.executable, "-m", "node", "verify", "--network", str(tmp_path / "network.toml")]
    run(*verify, str(tmp_path / "proof"))
    forged = subprocess.run(
        [*verify, str(tmp_path / "forged")], cwd=ROOT, capture_output=True, check=False
    )
    assert forged.returncode == 1


def test_one_stopped_container_stops_nothing(
    stack: Stack, nodes: dict[str, Node], buyer: str
) -> None:
    # The leader is the worst to lose; the issuer stays, since the test writes there.
    leader = nodes["issuer"].status()["raft"]["leader"]
    victim = leader if leader not in {None, "issuer"} else "reimburser"
    stack.compose("stop", victim)
    assert stack.inspect(victim)["State"]["ExitCode"] == 0

    def written() -> dict[str, Any] | None:
        status, answer = issue(nodes, buyer)
        return answer if status == 201 else None

    invoice = wait_until("an invoice is final without it", written, 30)
    assert invoice is not None
    stack.compose("start", victim)
    stack.wait_healthy(victim)
    wait_until("it has the invoice", lambda: readable(nodes[victim], invoice["number"]))
    wait_until("one root on all four", lambda: agree(nodes))


def test_two_stopped_containers_stop_writes_and_not_reads(
    stack: Stack, nodes: dict[str, Node], buyer: str, invoice: dict[str, Any]
) -> None:
    victims = ("tax-bureau", "reimburser")
    stack.compose("stop", *victims)

    def refusal() -> dict[str, Any] | None:
        status, answer = issue(nodes, buyer, "")
        return answer if status == 503 else None

    answer = wait_until("writes are refused", refusal, 30)
    assert answer is not None
    assert answer["code"] in {"NO_QUORUM", "NOT_FINALISING", "NOT_READY"}
    for name in ("issuer", "payer"):
        assert readable(nodes[name], invoice["number"])
        assert nodes[name].status()["final_height"] >= invoice["height"]

    stack.compose("start", *victims)
    for name in NODES:
        stack.wait_healthy(name)
    assert wait_until("writes go on", lambda: issue(nodes, buyer)[0] == 201, 30)
    wait_until("one root on all four", lambda: agree(nodes))


def test_the_ledger_outlives_its_containers(
    stack: Stack, nodes: dict[str, Node], buyer: str, invoice: dict[str, Any]
) -> None:
    network = nodes["payer"].status()["network_id"]
    stack.compose("down")
    stack.up()
    assert nodes["payer"].status()["network_id"] == network
    assert readable(nodes["payer"], invoice["number"])
    assert wait_until("writes go on", lambda: issue(nodes, buyer)[0] == 201, 30)

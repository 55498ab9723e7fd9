"""A node with a full disk says so, takes nothing new, and goes on by itself when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, Member, make_cluster, wait_until

pytestmark = pytest.mark.slow

FILE_SYSTEM_MIB = 96


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """The folder, with what is in it, is a small file system of its own."""
    aside = folder.with_name(f"{folder.name}.big")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    options = f"size={FILE_SYSTEM_MIB}m,mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes, each with a small disk."""
    made = make_cluster(tmp_path_factory.mktemp("network") / "net")
    with ExitStack() as disks:
        for member in made.members.values():
            disks.enter_context(small_disk(member.data))
        try:
            made.start()
            made.open_registers()
            yield made
        finally:
            made.close()


def fill(folder: Path, leave_bytes: int) -> Path:
    """A file that leaves so much room; the node may need some of it meanwhile."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while (room := free_bytes(folder) - leave_bytes) > 0:
            file.write(bytes(min(room, 1 << 20)))
    return filler


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@pytest.mark.parametrize("leave_bytes", [2 << 20, 0], ids=["nearly", "quite"])
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_full_disk_is_told_and_is_over_by_itself(
    cluster: Cluster, role: str, leave_bytes: int
) -> None:
    leader = cluster.leader()
    victim = leader if role == "leader" else next(m for m in cluster.living if m is not leader)
    others = [m for m in cluster.living if m is not victim]
    pids = {m.name: m.local.pid for m in cluster.living}
    before = cluster.issue(f"{role} {leave_bytes} before")
    filler = fill(victim.data, leave_bytes)

    wait_until("it says so", lambda: "disk" in failing(victim), 10.0)
    reply = victim.ask("POST", f"/v1/invoices/{before['number']}/sign", {})
    assert (reply.status, reply.code) == (507, "DISK_FULL"), reply
    assert str(victim.data) in reply.body["detail"]
    assert victim.ask("GET", "/livez").status == 200
    assert victim.ask("GET", "/v1/status").status == 200
    order = f"{role} {leave_bytes} meanwhile"
    if victim.name != "issuer":
        wait_until("the others go on", lambda: accepted(cluster, order), 30.0)

    filler.unlink()
    wait_until("it is ready again by itself", lambda: not failing(victim), 30.0)
    wait_until("all go on", lambda: accepted(cluster, f"{role} {leave_bytes} after"), 30.0)
    cluster.wait_equal()
    assert {m.name: m.local.pid for m in cluster.living} == pids
    assert victim.business_rows() == others[0].business_rows()
    assert "Traceback" not in victim.log_text()
    assert '"exception"' not in victim.log_text()


def failing(member: Member) -> set[str]:
    """Names of the checks that fail."""
    reply = member.ask("GET", "/readyz")
    assert reply.status in {200, 503}, reply
    return {check["name"] for check in reply.body["failing"]}


def accepted(cluster: Cluster, order: str) -> bool:
    """Whether an invoice becomes final."""
    body = {
        "order_id": order,
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 700}],
    }
    reply = cluster["issuer"].ask("POST", "/v1/invoices?wait=final&timeout_s=5", body)
    return reply.status == 201

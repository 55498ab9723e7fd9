"""A file system that turns read-only under a node ends it with its name, and loses nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster.cluster import make_cluster, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system"),
]


@contextmanager
def disk_of_its_own(folder: Path) -> Iterator[None]:
    """The folder, with what is in it, is a file system that can be told to fail."""
    image, aside = folder.with_suffix(".image"), folder.with_name("aside")
    with image.open("wb") as file:
        file.truncate(96 << 20)
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    names = str(image), str(folder)
    for command in (["mkfs.ext4", "-q", names[0]], ["mount", "-o", "loop", *names]):
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no file system can be made and mounted here")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_file_system_that_turns_read_only_is_named(tmp_path: Path, role: str) -> None:
    cluster = make_cluster(tmp_path / "net")
    with ExitStack() as disks:
        for member in cluster.members.values():
            disks.enter_context(disk_of_its_own(member.data))
        disks.callback(cluster.close)
        cluster.start()
        cluster.open_registers()
        leads = cluster.leader()
        others = [m for m in cluster.living if m is not leads and m.name != "issuer"]
        victim = leads if role == "leader" else others[0]
        number = cluster.issue("before")["number"]
        cluster.wait_equal()

        subprocess.run(["mount", "-o", "remount,abort", str(victim.data)], check=True)
        victim.alive = False
        victim.ask("POST", "/v1/wallet/keys", {})  # it has something to write
        witness = others[1]
        assert witness.get(f"/v1/invoices/{number}")["number"] == number
        assert witness.ask("POST", "/v1/wallet/keys", {}).status == 201
        if victim.name != "issuer":
            cluster.issue("meanwhile")
        wait_until("it has ended", lambda: victim.local.pid is None, 20.0)

        log = victim.log_text()
        assert f"the file system of {victim.data} fails" in log
        assert "Read-only file system" in log
        assert "Traceback" not in log
        assert '"exception"' not in log
        assert '"cannot start"' not in log, "it ran: its configuration is well"

"""What a node that cannot start says."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.network_files import create_network
from tests.cluster.cluster import free_base_port

pytestmark = pytest.mark.slow


def test_a_damaged_wallet_ends_the_start_with_one_line(tmp_path: Path) -> None:
    create_network(tmp_path, ("tax-bureau", "issuer"), base_port=free_base_port(2))
    data = tmp_path / "issuer" / "data"
    data.mkdir(exist_ok=True)
    (data / "wallet.db").write_bytes(b"not a database" * 100)
    command = [sys.executable, "-P", "-m", "node", "start", "--config"]
    ended = subprocess.run(
        [*command, tmp_path / "issuer" / "node.toml"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 2
    said = ended.stdout + ended.stderr
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "wallet" in line]
    assert str(data / "wallet.db") in line
    assert "backup" in line

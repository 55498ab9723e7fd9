"""What a node that cannot start says."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from node.setup.network_files import create_network
from tests.cluster.cluster import free_base_port, wait_until
from tests.cluster.forked import PROGRAM, launch_fork

pytestmark = pytest.mark.slow


FILES = (
    "marker",
    "rejoin",
    "astray",
    "ledger.db",
    "outbox.db",
    "wallet.db",
    "index.db",
    "raft.db",
    "heads.db",
    "examined",
    "ledger.db-wal",
    "raft.db-wal",
)
NOBODY = 65_534


def start(folder: Path) -> tuple[int, str]:
    """How a start that fails ends, and what it says."""
    said, config = folder / "said.txt", str(folder / "node.toml")
    child = launch_fork((*PROGRAM, "start", "--config", config), said, os.environ)
    code = wait_until("it ends", lambda: None if child.poll() is None else str(child.poll()))
    return int(code), said.read_text()


def start_as(user: int, folder: Path) -> tuple[int, str]:
    """The same as another user."""
    command = [sys.executable, "-P", "-m", "node", "start", "--config", str(folder / "node.toml")]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, user=user, group=user
    )
    return ended.returncode, ended.stdout + ended.stderr


def check_names(ended: tuple[int, str], path: Path) -> None:
    """One clear line that names the file, and no other complaint."""
    code, said = ended
    assert code == 2, said
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if '"cannot start"' in line]
    assert str(path) in line
    assert "critical" not in said


@pytest.mark.parametrize("name", FILES)
def test_a_directory_in_the_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    create_network(tmp_path, ("tax-bureau", "issuer"), base_port=free_base_port(2))
    path = tmp_path / "issuer" / "data" / name
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)
    ended = start(tmp_path / "issuer")
    check_names(ended, path)
    assert "Is a directory" in ended[1]
    assert path.is_dir(), "and nobody moves it"


@pytest.mark.parametrize("name", ["marker", "ledger.db", "outbox.db", "wallet.db", "raft.db"])
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_what_is_no_plain_file_in_the_place_of_one_is_named(
    tmp_path: Path, name: str, kind: str
) -> None:
    create_network(tmp_path, ("tax-bureau", "issuer"), base_port=free_base_port(2))
    path = tmp_path / "issuer" / "data" / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.symlink_to("/dev/null")
    ended = start(tmp_path / "issuer")
    check_names(ended, path)
    assert "is no plain file" in ended[1]


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("name", ["ledger.db", "raft.db", "wallet.db", "marker", "rejoin"])
def test_a_file_of_another_user_is_named(name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        create_network(Path(made), ("tax-bureau", "issuer"), base_port=free_base_port(2))
        data = Path(made) / "issuer" / "data"
        (data / name).touch()
        give_to_nobody(Path(made))
        os.chown(data / name, 0, 0)
        (data / name).chmod(0o600)
        ended = start_as(NOBODY, Path(made) / "issuer")
        check_names(ended, data / name)
        assert "Permission denied" in ended[1]


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_a_folder_that_cannot_be_written_is_named() -> None:
    with tempfile.TemporaryDirectory() as made:
        create_network(Path(made), ("tax-bureau", "issuer"), base_port=free_base_port(2))
        data = Path(made) / "issuer" / "data"
        data.mkdir(exist_ok=True)
        give_to_nobody(Path(made))
        os.chown(data, 0, 0)
        data.chmod(0o755)
        check_names(start_as(NOBODY, Path(made) / "issuer"), data / "ledger.db")


def give_to_nobody(folder: Path) -> None:
    folder.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def test_a_damaged_wallet_ends_the_start_with_one_line(tmp_path: Path) -> None:
    create_network(tmp_path, ("tax-bureau", "issuer"), base_port=free_base_port(2))
    data = tmp_path / "issuer" / "data"
    data.mkdir(exist_ok=True)
    (data / "wallet.db").write_bytes(b"not a database" * 100)
    code, said = start(tmp_path / "issuer")

    assert code == 2
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if "wallet.db does" in line]
    assert str(data / "wallet.db") in line
    assert "backup" in line

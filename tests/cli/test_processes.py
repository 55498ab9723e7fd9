"""Nodes as processes: pid files, stale ones, a node that does not come up."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from node.cli.errors import CliError, UsageError
from node.demo.processes import LocalNode, find_nodes, start_nodes, stop_nodes
from node.demo.processes import _start_time as start_time
from node.setup.network_files import API_PORT_OFFSET, create_network
from node.system.folder_lock import lock_folder


@pytest.fixture
def local(tmp_path: Path) -> LocalNode:
    create_network(tmp_path, ["issuer"], base_port=1)
    (node,) = find_nodes(tmp_path)
    return node


def note(local: LocalNode, pid: int, started: str | None) -> None:
    (local.folder / "node.pid").write_text(json.dumps({"pid": pid, "started": started}))


def test_a_process_is_known_by_its_id_and_start_time(local: LocalNode) -> None:
    assert local.pid is None
    note(local, os.getpid(), start_time(os.getpid()))
    assert local.pid == os.getpid()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "started": 1}', "\0"])
def test_a_damaged_pid_file_names_no_process(local: LocalNode, content: str) -> None:
    (local.folder / "node.pid").write_text(content)
    assert local.pid is None


def test_another_process_with_a_noted_id_is_never_touched(local: LocalNode) -> None:
    note(local, os.getpid(), "1")

    assert local.pid is None
    assert not local.send_signal(signal.SIGKILL)  # or this test would not come back
    assert stop_nodes([local], 0.1) == {"issuer": "not running"}


def test_a_node_that_somebody_else_runs_is_not_told_as_stopped(local: LocalNode) -> None:
    data = local.config.node.data_dir
    data.mkdir(exist_ok=True)
    assert stop_nodes([local], 0.1) == {"issuer": "not running"}
    held = lock_folder(data)
    assert stop_nodes([local], 0.1)["issuer"].startswith("left running")
    os.close(held)


def test_a_node_that_ends_at_once_is_told_with_its_log(local: LocalNode) -> None:
    (local.folder / "passphrase").write_text("another\n")

    with pytest.raises(CliError, match="issuer ended") as caught:
        start_nodes([local], 30)

    assert "passphrase" in str(caught.value)
    assert local.pid is None


def test_a_folder_without_nodes_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"node\.toml"):
        find_nodes(tmp_path)


class Everything(BaseHTTPRequestHandler):
    """Another node: ready, but with tokens of its own."""

    def do_GET(self) -> None:
        known = self.path == "/readyz"
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def test_another_process_at_its_address_does_not_make_a_node_ready(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Everything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        create_network(tmp_path, ["issuer"], base_port=server.server_port - API_PORT_OFFSET)
        (node,) = find_nodes(tmp_path)

        with pytest.raises(CliError, match=r"issuer ended[\s\S]*in use"):
            start_nodes([node], 30)
        server.shutdown()

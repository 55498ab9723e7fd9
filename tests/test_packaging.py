"""What is shipped: wheel, locks, image, compose file, example configurations, unit, Makefile.

Checked without a container engine; `tests/compose` runs the real thing.
"""

from __future__ import annotations

import configparser
import http.server
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from stdnum.cn import uscc
from typing_extensions import override

from node.ledger.genesis_file import parse_genesis
from node.system.config import NodeConfig, load_config

ROOT = Path(__file__).resolve().parent.parent
OBSERVER = "bank"
ROLES = ("tax-bureau", "issuer", "payer", "reimburser")
LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def text(path: str) -> str:
    return (ROOT / path).read_text()


def pins(path: str) -> dict[str, str]:
    return dict(PIN.findall(text(path)))


# --- Distribution ----------------------------------------------------------------------------


def test_the_wheel_holds_the_three_packages_and_the_command(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("piaolian-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(n for n in names if n.endswith("entry_points.txt")))
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "consensus",
        "node",
        "p2p",
    }
    assert b"piaolian = node.command:main" in entry_points
    folders = [ROOT / "node" / "api" / "static", *ROOT.glob("node/domains/*/pages")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    pages = {str(path.relative_to(ROOT)) for path in files}
    assert len(pages) > 30
    assert pages <= set(names)
    assert {f"{package}/py.typed" for package in ("consensus", "node", "p2p")} <= set(names)
    assert "consensus/pyproject.toml" not in names


def test_only_the_three_packages_and_the_tests_are_importable_from_the_root() -> None:
    # An editable install puts the root on the path; an __init__.py would make `docker` a package.
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == {"consensus", "node", "p2p", "tests"}


def test_one_version_everywhere() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert importlib.metadata.version("piaolian") == version
    assert f"\n## [{version}]" in text("CHANGELOG.md")
    assert f"ARG VERSION={version}\n" in text("docker/Dockerfile")


# --- Locks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_pinned_and_hashed(lock: str) -> None:
    requirements = re.split(r"\n(?=[A-Za-z0-9])", text(lock).strip())
    assert len(requirements) > 3
    for requirement in requirements:
        assert PIN.match(requirement), requirement.splitlines()[0]
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index(lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links", text(lock))


def test_the_locks_agree_with_each_other() -> None:
    development = pins("requirements-dev.txt").items()
    assert pins("requirements.txt").items() <= development
    assert pins("requirements-build.txt").items() <= development


def test_the_lock_covers_what_pyproject_asks_for() -> None:
    project = tomllib.loads(text("pyproject.toml"))
    for lock, wanted in (
        ("requirements.txt", project["project"]["dependencies"]),
        ("requirements-dev.txt", project["dependency-groups"]["dev"]),
        ("requirements-build.txt", project["build-system"]["requires"]),
    ):
        names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in wanted}
        assert names <= pins(lock).keys()


# --- Makefile and CI -------------------------------------------------------------------------


def test_make_offers_every_documented_target() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    targets = set(re.findall(r"^  make (\S+)", listed, re.MULTILINE))
    assert targets >= {
        *("demo", "test", "test-compose", "check", "bench", "soak", "lock", "clean", "docker"),
    }


@pytest.mark.parametrize(("script", "shell"), [(".ci/run", "bash"), ("docker/entrypoint", "sh")])
def test_scripts_are_executable_and_parse(script: str, shell: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run([shell, "-n", script], cwd=ROOT, check=True)


def test_ci_stops_at_the_first_failure_and_runs_both_suites() -> None:
    lines = text(".ci/run").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines.index("make test") < lines.index("make test-compose")


# --- Example configurations ------------------------------------------------------------------


def test_the_example_network_is_valid_and_every_role_votes() -> None:
    genesis = parse_genesis(text("configs/network.toml"))
    assert tuple(voter.node for voter in genesis.voters) == ROLES
    for voter in genesis.voters:
        participant = genesis.participant(voter.participant)
        assert participant is not None
        assert participant.roles == (voter.node.replace("-", "_"),)


@pytest.mark.parametrize("role", ROLES)
def test_an_example_node_loads_and_fits_the_example_network(role: str) -> None:
    config = load_config(ROOT / "configs" / role / "node.toml")
    genesis = parse_genesis(config.node.network.read_text())
    voter = next(voter for voter in genesis.voters if voter.node == role)
    assert (config.node.name, config.node.participant) == (voter.node, voter.participant)
    assert {peer.node for peer in config.p2p.peers} == set(ROLES) - {role}
    assert not config.api.expose


@pytest.mark.parametrize("role", ROLES)
def test_an_example_node_shows_every_setting(role: str) -> None:
    shown = text(f"configs/{role}/node.toml")
    for section, field in NodeConfig.model_fields.items():
        assert f"\n[{section}]\n" in shown
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        for key in kind.model_fields:
            assert re.search(rf"^(# )?{key} = ", shown, re.MULTILINE), f"{section}.{key}"


def test_no_secret_is_shipped() -> None:
    for folder in ("configs", "docker"):
        for path in (ROOT / folder).rglob("*"):
            assert path.name not in {"keys", "passphrase"}, path
            assert path.suffix not in {".token", ".key", ".pem"}, path


def test_the_unit_waits_for_readiness_and_drops_every_privilege() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text("configs/piaolian.service"))
    service = dict(unit["Service"])
    assert service["Type"] == "notify"
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["User"] == "piaolian"
    # The passphrase is a credential: a file's path may stand in the environment, a secret may not.
    assert service["LoadCredential"] == "passphrase:/etc/piaolian/passphrase"


# --- Image and compose file ------------------------------------------------------------------


def test_the_image_runs_as_a_numbered_user_and_stops_by_sigterm() -> None:
    dockerfile = text("docker/Dockerfile")
    assert dockerfile.count("FROM ${BASE}") == 2
    assert "ARG BASE=python:3.11-slim-bookworm\n" in dockerfile
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    assert user is not None
    assert min(int(user[1]), int(user[2])) >= 10_000
    assert "\nSTOPSIGNAL SIGTERM\n" in dockerfile
    assert "\nHEALTHCHECK " in dockerfile
    assert re.search(r"^ENTRYPOINT \[", dockerfile, re.MULTILINE)


def test_the_image_installs_nothing_that_is_not_locked() -> None:
    commands = re.findall(r"pip (?:install|wheel) (.*)", text("docker/Dockerfile"))
    assert len(commands) == 4
    for command in commands:
        assert "--require-hashes --only-binary :all:" in command or "--no-index" in command


def compose_services() -> dict[str, dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load(text("docker/compose.yaml"))
    assert "version" not in document  # obsolete in v2
    assert "name" not in document  # unknown to 1.29
    services: dict[str, dict[str, Any]] = document["services"]
    return services


def test_compose_runs_four_voters_and_an_observer_after_the_genesis() -> None:
    services = compose_services()
    assert set(services) == {"genesis", *ROLES, OBSERVER}
    assert services["genesis"]["network_mode"] == "none"
    *voters, observer = services["genesis"]["command"][1:]
    assert (services["genesis"]["command"][0], tuple(voters)) == ("genesis", ROLES)
    name, _, participant = observer.partition("=")
    assert (name, uscc.is_valid(participant)) == (OBSERVER, True)
    for role in (*ROLES, OBSERVER):
        assert services[role]["depends_on"] == {
            "genesis": {"condition": "service_completed_successfully"}
        }


def test_every_container_is_confined() -> None:
    for service in compose_services().values():
        assert service["read_only"] is True
        assert "/tmp" in service["tmpfs"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "user" not in service  # the image's own


def test_one_organisations_node_is_confined_like_the_others() -> None:
    yaml = pytest.importorskip("yaml")
    (service,) = yaml.safe_load(text("docker/observer.yaml"))["services"].values()
    like = compose_services()[OBSERVER]
    for key in ("read_only", "cap_drop", "security_opt", "mem_limit", "pids_limit", "healthcheck"):
        assert service[key] == like[key], key
    (port,) = service["ports"]
    assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("role", [*ROLES, OBSERVER])
def test_a_node_sees_its_own_volume_and_publishes_on_loopback(role: str) -> None:
    service = compose_services()[role]
    assert service["volumes"] == [f"{role}:/var/lib/piaolian"]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"] == "30s"
    assert service["healthcheck"]["test"][:2] == ["CMD", "python"]
    (port,) = service["ports"]
    assert port.startswith("127.0.0.1:")
    inside = service["environment"]["PIAOLIAN_API__LISTEN"].removeprefix("0.0.0.0:")
    assert port.endswith(f":{inside}")


# --- Health check ----------------------------------------------------------------------------


class _Ready(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.end_headers()
        self.wfile.write(b'{"failing":["quorum"]}')

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Ready) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def health(config: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "docker" / "healthcheck.py"), str(config)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_a_container_is_healthy_when_its_node_is_alive(
    server: http.server.HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: int,
) -> None:
    monkeypatch.setattr(_Ready, "status", status)
    config = tmp_path / "node.toml"
    config.write_text(f'[api]\nlisten = "127.0.0.1:{server.server_port}"\n')
    result = health(config)
    assert result.returncode == code
    assert "quorum" in result.stdout


def test_the_environment_names_the_port_that_is_asked(
    server: http.server.HTTPServer, tmp_path: Path
) -> None:
    listen = f"0.0.0.0:{server.server_port}"
    assert health(tmp_path / "absent.toml", PIAOLIAN_API__LISTEN=listen).returncode == 0


def test_a_container_is_unhealthy_when_nothing_answers(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[api]\nlisten = "127.0.0.1:1"\n')
    result = health(config)
    assert result.returncode == 1
    assert "refused" in result.stdout

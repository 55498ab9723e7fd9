"""Observers beside a test's cluster: made, admitted, started as a user does it."""

from __future__ import annotations

from pathlib import Path

from node.custody.keystore import INTERACTIVE, generate_keys, write_private
from node.demo.processes import LocalNode
from node.setup.cards import NodeCard
from node.setup.network_files import NewNode, create_node, join_network, new_participant_id
from node.system.config import load_config
from tests.cluster.cluster import Cluster, Member, free_base_port, is_free, wait_until
from tests.cluster.forked import launch_fork

PASSPHRASE = b"passphrase"
_ports: list[int] = []


def _free_port() -> int:
    """A port that no observer of this process was given: those that are made may start later."""
    port = free_base_port(1) + len(_ports)
    while port in _ports or not is_free(port):
        port += 1
    _ports.append(port)
    return port


def make_observer(
    cluster: Cluster,
    name: str,
    participant: str | None = None,
    role: str = "issuer",
    peers: dict[str, str] | None = None,
) -> tuple[Member, NodeCard]:
    """The folder of an observer that dials all voters, or `peers`; nobody knows it yet."""
    folder = cluster.folder.parent / name
    request = NewNode(
        node=name,
        participant=participant or new_participant_id(role),
        name=name.title(),
        roles=(role,),
        p2p_listen="127.0.0.1:7101",
        p2p_address="observer.invalid:7101",
        api_listen=f"127.0.0.1:{_free_port()}",
        observes=True,
    )
    card = create_node(
        folder,
        request,
        generate_keys(),
        PASSPHRASE,
        passphrase_file=Path("passphrase"),
        cost=INTERACTIVE,
    )
    write_private(folder / "passphrase", PASSPHRASE + b"\n")
    addresses = {m.name: m.local.config.p2p.listen for m in cluster.members.values()}
    join_network(folder, (cluster.folder / "network.toml").read_text(), peers or addresses)
    local = LocalNode(folder, load_config(folder / "node.toml"))
    local.launch = launch_fork
    token = (folder / "tokens" / "admin.token").read_text().strip()
    return Member(local, token), card


def admit(cluster: Cluster, card: NodeCard) -> None:
    """Let the bureau, which alone governs, admit its participant."""
    body = {
        "action": "admit",
        "participant": card.participant,
        "name": card.name,
        "roles": list(card.roles),
        "signing_key": card.signing_key,
        "sealing_key": card.sealing_key,
        "reason": "observer",
    }
    cluster["tax-bureau"].write("/v1/proposals", body)


def start(observer: Member) -> None:
    """Start it, admitted or not."""
    observer.local.start()
    observer.alive = True


def wait_level(observer: Member, cluster: Cluster, timeout_s: float = 60.0) -> dict[str, object]:
    """Wait until it stands where the voters stand; its status."""

    def look() -> dict[str, object] | None:
        reply, there = observer.ask("GET", "/v1/status"), cluster.living[0].status()
        if reply.status != 200:
            return None
        names = ("height", "final_height", "root", "state_digest")
        here: dict[str, object] = reply.body
        return here if all(here[name] == there[name] for name in names) else None

    return wait_until(f"{observer.name} is level", look, timeout_s)

"""`piaolian bench`: a cluster of its own, or a running one; prints one object of figures."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from node.cli.errors import CliError
from node.custody.keystore import load_keys, read_passphrase
from node.demo.bench.members import Member
from node.demo.bench.run import Figures, Plan, run_bench
from node.demo.processes import LocalNode, find_nodes, start_nodes, stop_nodes
from node.ledger.genesis import Genesis
from node.ledger.genesis_file import parse_genesis
from node.setup.network_files import create_network
from node.system.loop import run_loop

NODE_NAMES = ("tax-bureau", "issuer", "payer", "reimburser")
BASE_PORT = 7401


def run(plan: Plan, network: Path | None, nodes: int) -> dict[str, object]:
    """Measure; the figures as a JSON object.

    Args:
        plan: Duration, rate and batch.
        network: Folder of a running network; None starts a fresh one and stops it afterwards.
        nodes: How many nodes a fresh network has.
    """
    with _cluster(network, nodes) as (genesis, locals_):
        members = [_member(genesis, local) for local in locals_]
        gc.set_threshold(100_000, 50, 100)  # the client shares the cores that it measures
        figures: Figures = run_loop(run_bench(plan, genesis, members, len(os.sched_getaffinity(0))))
    value: dict[str, object] = msgspec.to_builtins(figures)
    return value


@contextmanager
def _cluster(network: Path | None, nodes: int) -> Iterator[tuple[Genesis, list[LocalNode]]]:
    if network is not None:
        locals_ = find_nodes(network)
        if any(local.pid is None for local in locals_):
            raise CliError(f"not all nodes of {network} run; start them: piaolian cluster up")
        yield _genesis(network), locals_
        return
    with tempfile.TemporaryDirectory(prefix="piaolian-bench-") as folder:
        root = Path(folder) / "net"
        names = [*NODE_NAMES, *(f"payer-{n}" for n in range(2, 5))][:nodes]
        create_network(root, names, base_port=BASE_PORT)
        locals_ = find_nodes(root)
        try:
            start_nodes(locals_)
            yield _genesis(root), locals_
        finally:
            stop_nodes(locals_)


def _genesis(network: Path) -> Genesis:
    return parse_genesis((network / "network.toml").read_text(encoding="utf-8"))


def _member(genesis: Genesis, local: LocalNode) -> Member:
    config = local.config
    if config.keys.passphrase_file is None:
        raise CliError(f"{local.name}: keys.passphrase_file is needed to sign the load")
    keys = load_keys(config.keys.file, read_passphrase(config.keys.passphrase_file))
    participant = genesis.participant(config.node.participant)
    token = (config.api.token_dir / "operate.token").read_text().strip()
    return Member(
        name=local.name,
        roles=() if participant is None else participant.roles,
        participant=config.node.participant,
        url=f"http://{config.api.listen}",
        token=token,
        pid=local.pid,
        signing_seed=keys.signing,
        sealing_secret=keys.sealing,
    )

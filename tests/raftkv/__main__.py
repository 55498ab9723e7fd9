"""The process: wires a node, its store, its connections and its clients together."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from consensus.config import RaftConfig
from consensus.core.status import RaftStatus
from consensus.driver.node import RaftNode
from consensus.ports import AppendBatch, LogStore, Recovered
from consensus.stores.sqlite import open_sqlite_store
from consensus.types import Entry, LogIndex, NodeId
from tests.raftkv import vitals
from tests.raftkv.machine import Machine
from tests.raftkv.server import Server
from tests.raftkv.transport import Incoming, Peers

_log = logging.getLogger("raftkv")


class CountedStore:
    """A log store that counts what it made durable."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self.writes = 0

    async def load(self) -> Recovered:
        return await self._store.load()

    async def append(self, batch: AppendBatch) -> None:
        await self._store.append(batch)
        self.writes += 1

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        return await self._store.read(first, last, bytes_max)


def main() -> None:
    """Parse, run, and end with 1 when the node failed."""
    args = _parse()
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s n{args.node} %(message)s", stream=sys.stderr
    )
    gc.freeze()
    if args.loop == "uvloop":
        import uvloop  # noqa: PLC0415 - optional speed

        sys.exit(uvloop.run(_serve(args)))
    sys.exit(asyncio.run(_serve(args)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.raftkv", description=__doc__)
    parser.add_argument("--node", type=int, required=True, help="this member's number")
    parser.add_argument("--dir", type=Path, required=True, help="where the log is kept")
    parser.add_argument("--listen", type=_address, required=True, help="HOST:PORT")
    parser.add_argument(
        "--peers", type=_peer, nargs="*", default=[], help="NUMBER=HOST:PORT of those known already"
    )
    parser.add_argument("--voters", type=int, nargs="*", default=[], help="the founding voters")
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument(
        "--watch-loop",
        action="store_true",
        help="measure gaps of the event loop and, on the standard one, each callback",
    )
    for name in ("snapshot-entries", "trailing-entries", "chunk-bytes", "tail-bytes-max"):
        parser.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS)
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _peer(text: str) -> tuple[int, str, int]:
    number, _, address = text.partition("=")
    return int(number), *_address(address)


async def _serve(args: argparse.Namespace) -> int:
    limits = ("snapshot_entries", "trailing_entries", "chunk_bytes", "tail_bytes_max")
    number = NodeId(args.node)
    config = RaftConfig(
        node=number,
        voters=tuple(NodeId(voter) for voter in args.voters),
        **{name: getattr(args, name) for name in limits if hasattr(args, name)},
    )
    args.dir.mkdir(parents=True, exist_ok=True)
    store = await open_sqlite_store(args.dir / "raft.db")
    counted = CountedStore(store)
    peers = Peers(number, *args.listen)
    for peer in args.peers:
        peers.learn(*peer)
    machine = Machine(peers.learn)
    node = RaftNode(config, counted, peers, machine, observer=_observe, snapshots=store)
    watch = _watch(exact=args.watch_loop and args.loop == "asyncio")
    server = Server(node, number, machine, peers, watch, lambda: counted.writes)
    await node.start()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, server.stopped.set)
    listener = await loop.create_server(
        lambda: Incoming(config.wire_bytes_max, node.receive, peers, server.open_session),
        *args.listen,
    )
    if args.watch_loop:
        watch.start()
    _log.info("serves on %s:%s as process %s", *args.listen, os.getpid())
    try:
        return await _until_the_end(node, server)
    finally:
        watch.stop()
        await node.stop()
        listener.close()
        await server.close()
        await peers.close()
        await store.close()


def _watch(*, exact: bool) -> vitals.LoopWatch:
    if not exact:
        return vitals.LoopWatch()
    slices = vitals.SliceWatch()
    slices.install()
    return vitals.LoopWatch(slices)


async def _until_the_end(node: RaftNode, server: Server) -> int:
    node.failed.add_done_callback(lambda _: server.stopped.set())
    await server.stopped.wait()
    if node.failed.done():
        _log.error("failed: %r", node.failed.exception())
        return 1
    return 0


def _observe(status: RaftStatus) -> None:
    _log.info(
        "%s in term %s, leader %s, voters %s",
        status.role.name,
        status.term,
        status.leader,
        status.membership.voters,
    )


if __name__ == "__main__":
    main()

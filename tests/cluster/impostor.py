"""A voter that lies: speaks to real daemons with the real keys of one that is stopped."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - seeded
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import TracebackType

from consensus.stores.frames import Frame
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Term
from node.chain.certificate import parse_certificate
from node.chain.entry import attest
from node.chain.head import name_head
from node.chain.voters import Voter
from node.ledger.signing import secret_key
from node.peers.messages import Kind
from node.storage.ledger_reader import LedgerReader
from node.storage.raft_log import ENTRY_FORMAT
from node.system.config import split_address
from p2p.config import P2PConfig
from p2p.network import PeerNetwork
from p2p.types import KnownPeer, Link, PeerId
from tests.cluster.cluster import Cluster


class Impostor:
    """Links to the honest nodes under the identity of a stopped one."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._voters = cluster.voters
        self.me: Voter = cluster.voters.by_node[name]
        self.keys = cluster[name].keys()
        self._identity = secret_key(self.keys.identity)
        self.downs: Counter[str] = Counter()
        self.blocks: list[bytes] = []
        self._closed: Counter[tuple[PeerId, Link]] = Counter()
        self._closed_waited: Counter[tuple[PeerId, Link]] = Counter()
        config = cluster[name].local.config.p2p
        host, port = split_address(config.listen)
        self.peers = {
            peer.node: PeerId(cluster.voters.by_node[peer.node].identity_key)
            for peer in config.peers
        }
        self._known = [
            KnownPeer(self.peers[peer.node], peer.node, peer.address) for peer in config.peers
        ]
        self._config = P2PConfig(network_id=cluster.voters.network_id, host=host, port=port)
        self._rng = random.Random(name)
        self._network = self._new_network()

    def _new_network(self) -> PeerNetwork:
        return PeerNetwork(self._config, self._identity, self._known, self, self._rng)

    async def restart(self) -> None:
        """Close all links and open new ones, as a process that was started again."""
        await self._network.stop()
        self._network = self._new_network()
        await self._network.start()

    async def __aenter__(self) -> Impostor:
        await self._network.start()
        for name in self.peers:
            for link in Link if self._cluster[name].alive else ():
                await self.connected(name, link)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._network.stop()

    def on_link_up(self, peer: PeerId, link: Link) -> None:
        """Nothing: `connected` looks."""

    def on_link_down(self, peer: PeerId, link: Link, reason: str) -> None:
        """Count, so that a test sees what honest nodes do not tolerate."""
        self.downs[reason] += 1
        self._closed[peer, link] += 1

    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        """Keep answers to requests for blocks, and nothing else."""
        if kind == Kind.BLOCKS:
            self.blocks.append(body)

    async def connected(self, name: str, link: Link) -> None:
        """Wait until a link is up."""
        async with asyncio.timeout(15):
            while not self._network.connected(self.peers[name], link):
                await asyncio.sleep(0.01)

    def closed_count(self, name: str, link: Link) -> int:
        """How often a link has gone so far."""
        return self._closed[self.peers[name], link]

    async def closed(self, name: str, link: Link) -> None:
        """Wait until a link that is up has gone; it may be back already."""
        place = (self.peers[name], link)
        before = self._closed_waited[place]
        async with asyncio.timeout(10):
            while self._closed[place] == before:
                await asyncio.sleep(0.005)
        self._closed_waited[place] = self._closed[place]

    async def say(self, name: str, link: Link, kind: int, body: bytes) -> None:
        """Send a message, over a new link if an earlier message cost the old one."""
        while not self._network.send(self.peers[name], link, kind, body):
            await self.connected(name, link)
            await asyncio.sleep(0.001)

    def entry(self, term: int, index: int, prev_hash: bytes, payload: bytes) -> Entry:
        """An entry that this voter signs as a leader."""
        place = (Term(term), LogIndex(index), EntryKind.DATA, NodeId(self.me.number))
        header = ENTRY_FORMAT.entry_type(*place, prev_hash, payload, b"").header
        signature = attest(self._voters.network_id, header, self._identity)
        return ENTRY_FORMAT.entry_type(*place, prev_hash, payload, signature)


def end_of_log(cluster: Cluster, name: str) -> tuple[int, int, bytes]:
    """Index, term and hash of the last entry in a node's log."""
    return place_in_log(cluster, name)


def place_in_log(cluster: Cluster, name: str, back: int = 0) -> tuple[int, int, bytes]:
    """Index, term and hash of the entry `back` before the last of a log.

    The log is a copy: nobody else may open the file of a running node.
    """
    with tempfile.TemporaryDirectory() as folder:
        for path in cluster[name].data.glob("raft.db*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / "raft.db")) as connection:
            (end,) = connection.execute("SELECT MAX(last) FROM frames").fetchone()
            first, last, positions = connection.execute(
                "SELECT first, last, positions FROM frames WHERE first <= ? ORDER BY first DESC",
                (end - back,),
            ).fetchone()
    frame = Frame(first, last, positions)
    ((term, entry_hash), *_) = frame.positions(end - back)
    return end - back, term, entry_hash


async def true_head(cluster: Cluster, name: str) -> bytes:
    """The name of the newest final head of a stopped node, as a snapshot holds it."""
    reader = await LedgerReader.open(cluster[name].data / "ledger.db")
    try:
        newest = await reader.newest_certificate()
        assert newest is not None
        size = parse_certificate(newest[1].decode()).checkpoint.size
        proof = await reader.inclusion(size - 1)
        assert proof is not None
    finally:
        await reader.close()
    note = proof.certificate.decode()
    return name_head(cluster.voters.network_id, proof.leaf, tuple(proof.path), note)

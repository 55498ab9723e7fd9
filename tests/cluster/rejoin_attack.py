"""The attack on rejoining: one liar that leads, and one voter that lost its disk and says so.

The liar leads a victim alone to one block, lets it forget, calls it caught up, and leads it to the
contrary. It speaks with the real keys of a voter that is stopped; everybody else is a daemon. As a
program it tells how far it comes: two certificates of one height, or no signature.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from typing_extensions import override

from consensus.codec import decode, encode
from consensus.config import RaftConfig
from consensus.messages import AppendRequest, AppendResponse, Heartbeat, HeartbeatResponse
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from node.chain.certificate import Certificate, certify
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.entry import attest
from node.chain.voters import VoterSet
from node.ledger.signing import secret_key
from node.peers.messages import (
    AnswerMessage,
    CertificateMessage,
    Kind,
    StatementMessage,
    encode_control,
)
from node.peers.router import RAFT_MESSAGE
from node.storage.marker import Marker
from node.storage.raft_log import ENTRY_FORMAT, open_raft_log
from p2p.types import Link, PeerId
from tests.chain.network import TIME_S
from tests.cluster.cluster import Cluster, make_cluster
from tests.cluster.impostor import Impostor

BEAT_S = 0.1
ENTRIES_MAX = 64


async def read_log(data: Path) -> list[Entry]:
    """All entries of a stopped node's log."""
    with tempfile.TemporaryDirectory() as folder:
        for path in (*data.glob("raft.db*"), data / "marker"):
            shutil.copy(path, folder)
        marker = Marker.open(Path(folder) / "marker")
        store = await open_raft_log(Path(folder) / "raft.db", marker)
        recovered = await store.load()
        entries = await store.read(LogIndex(1), LogIndex(len(recovered.positions)), 1 << 26)
        await store.close()
        marker.close()
    return entries


class LyingLeader(Impostor):
    """The leader of a term that it holds, which tells each follower what it likes."""

    def __init__(self, cluster: Cluster, name: str, log: list[Entry]) -> None:
        super().__init__(cluster, name)
        self._set: VoterSet = cluster.voters
        self._names = {peer: node for node, peer in self.peers.items()}
        self._numbers = {v.node: NodeId(v.number) for v in self._set.voters}
        self._raft_config = RaftConfig(
            node=self._numbers[name],
            voters=tuple(self._numbers.values()),
            entries=ENTRY_FORMAT,
        )
        self.log = log
        self.term = log[-1].term
        self.told: dict[str, list[Entry]] = {}
        """What each follower that it leads is to have."""
        self.matched: dict[str, int] = {}
        self.lives: dict[str, int] = {}
        self.statements: dict[tuple[int, bytes], dict[int, bytes]] = {}
        """Cosignatures by tree and voter."""
        self.answers = 0

    async def lead(self) -> None:
        """Send heartbeats and entries until cancelled."""
        while True:
            for name, entries in self.told.items():
                self._lead_one(name, entries)
            await asyncio.sleep(BEAT_S)

    def _lead_one(self, name: str, entries: list[Entry]) -> None:
        at = self.matched.get(name, 0)
        # The end of its log is what it was: so the next entry counts as made after the loss.
        commit, last = LogIndex(len(entries)), LogIndex(len(self.log))
        more = {"life": self.lives.get(name, 0)} if _HAS_LIFE else {}
        self._send(name, Heartbeat(self.term, LogIndex(min(at, commit)), last, **more))  # type: ignore[arg-type]
        before = entries[at - 1] if at else None
        self._send(
            name,
            AppendRequest(
                self.term,
                LogIndex(at),
                before.term if before else Term(0),
                before.hash if before else bytes(32),
                commit,
                tuple(entries[at : at + ENTRIES_MAX]),
            ),
        )

    def _send(self, name: str, message: Any) -> None:
        with suppress(Exception):
            self._network.send(self.peers[name], Link.RAFT, RAFT_MESSAGE, encode(message))

    @override
    async def on_message(self, peer: PeerId, link: Link, kind: int, body: bytes) -> None:
        name = self._names[peer]
        if link is Link.RAFT:
            message = decode(body, self._numbers[name], self._raft_config)
            if isinstance(message, AppendResponse | HeartbeatResponse):
                self._note_life(name, message.life)
            if isinstance(message, AppendResponse) and message.term == self.term:
                if message.status == 0:
                    self.matched[name] = max(self.matched.get(name, 0), message.index)
                else:
                    self.matched[name] = min(message.index - 1, message.hint_index)
        elif kind == Kind.COSIGNED:
            said = msgspec.msgpack.decode(body, type=StatementMessage)
            self.statements.setdefault((said.size, said.root), {})[said.voter] = said.cosignature
        elif _QUESTION is not None and kind == _QUESTION:
            # It answers as low as it can: nothing signed, nothing certified.
            (nonce,) = msgspec.msgpack.decode(body)
            low = encode_control(AnswerMessage(nonce, 0, "", None))
            self.answers += self._network.send(peer, Link.GOSSIP, *low)
        else:
            await super().on_message(peer, link, kind, body)

    def _note_life(self, name: str, life: int) -> None:
        if life != self.lives.get(name, life):
            self.matched[name] = 0
        self.lives[name] = life

    def entry_after(self, entries: list[Entry], kind: EntryKind, payload: bytes = b"") -> Entry:
        """The next entry of a log, signed as its leader."""
        place = (self.term, LogIndex(len(entries) + 1), kind, NodeId(self.me.number))
        header = ENTRY_FORMAT.entry_type(*place, entries[-1].hash, payload, b"").header
        signature = attest(self._set.network_id, header, self._identity)
        return ENTRY_FORMAT.entry_type(*place, entries[-1].hash, payload, signature)

    def block(self, time_ms: int) -> bytes:
        """An empty block of this leader."""
        return encode_block(Block(self.term, time_ms, ()))

    def signers(self, above: int) -> dict[tuple[int, bytes], set[int]]:
        """Who signed which trees larger than `above`."""
        return {tree: set(by) for tree, by in self.statements.items() if tree[0] > above}

    def certificate(self, tree: tuple[int, bytes]) -> Certificate:
        """What the collected signatures over a tree and its own come to."""
        checkpoint = Checkpoint(self._set.origin, *tree)
        key = secret_key(self.keys.cosign)
        own = cosign(checkpoint, self.me.cosigner, key, TIME_S)
        certificate = certify(checkpoint, {**self.statements[tree], self.me.number: own}, self._set)
        certificate.verify(self._set)
        return certificate


_HAS_LIFE = "life" in inspect.signature(Heartbeat).parameters
_QUESTION = getattr(Kind, "QUESTION", None)


class Attack:
    """The steps, on a cluster that runs and is equal."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        status = cluster.wait_equal()
        self.size, self.height = status["tree_size"], status["height"]
        self.time_ms = status["head_time_ms"]
        self.liar = cluster.leader()
        others = [m for m in cluster.living if m is not self.liar]
        self.victim, self.first, self.second = others
        self.certificate: tuple[int, str] | None = None
        self.log: list[Entry] = []

    async def prepare(self) -> LyingLeader:
        """Take the place of the leader while nobody else may elect another."""
        block = self.victim.get(f"/v1/blocks/{self.height}")
        self.certificate = (self.height, block["certificate"])
        for member in (self.first, self.second):
            member.local.send_signal(signal.SIGSTOP)
        self.liar.kill()
        self.log = await read_log(self.liar.data)
        return LyingLeader(self.cluster, self.liar.name, self.log)

    async def run(self, leader: LyingLeader, rejoin_s: float) -> list[tuple[int, bytes]]:
        """Do it; the trees that got q signatures."""
        await leader._network.start()  # not all can answer, so it waits for none
        beating = asyncio.ensure_future(leader.lead())
        try:
            one = [
                *self.log,
                leader.entry_after(self.log, EntryKind.DATA, leader.block(self.time_ms + 1)),
            ]
            leader.told[self.victim.name] = one
            await _until(lambda: leader.signers(self.size), "the victim signs alone")
            await asyncio.to_thread(self._forget, leader)
            for member in (self.first, self.second):
                member.local.send_signal(signal.SIGCONT)
            leader.told[self.first.name] = one
            leader.told[self.second.name] = self.log
            (tree,) = leader.signers(self.size)
            await _until(lambda: len(leader.signers(self.size)[tree]) == 2, "a second one signs")
            await self._lead_back(leader, rejoin_s)
            wanted = self.cluster.voters.q - 1
            return [t for t, by in leader.signers(self.size).items() if len(by) >= wanted]
        finally:
            beating.cancel()

    def _forget(self, leader: LyingLeader) -> None:
        """What the documents say to do after a lost disk."""
        del leader.told[self.victim.name]
        self.victim.kill()
        shutil.rmtree(self.victim.data)
        self.victim.data.mkdir(mode=0o700)
        (self.victim.data / "rejoin").touch()
        leader.matched.pop(self.victim.name, None)
        self.victim.local.start()

    async def _lead_back(self, leader: LyingLeader, rejoin_s: float) -> None:
        """Call it caught up by an entry without a height, then lead it to the contrary."""
        opened = [*self.log, leader.entry_after(self.log, EntryKind.NOOP)]
        other = [
            *opened,
            leader.entry_after(opened, EntryKind.DATA, leader.block(self.time_ms + 2)),
        ]
        leader.told[self.victim.name] = opened
        await _until(lambda: leader.matched.get(self.victim.name, 0) >= len(opened), "it has a log")
        assert self.certificate is not None
        note = encode_control(CertificateMessage(*self.certificate))
        end = time.monotonic() + rejoin_s
        while time.monotonic() < end and self._waits():
            with suppress(Exception):
                await leader.say(self.victim.name, Link.GOSSIP, *note)
            await asyncio.sleep(0.5)
        leader.told[self.victim.name] = leader.told[self.second.name] = other
        end = time.monotonic() + 6
        while time.monotonic() < end and len(leader.signers(self.size)) < 2:
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)

    def _waits(self) -> bool:
        return (self.victim.data / "rejoin").exists()


async def _until(probe: Any, what: str) -> None:
    end = time.monotonic() + 20
    while not probe():
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def attack(cluster: Cluster, rejoin_s: float = 15.0) -> tuple[Attack, list[Certificate]]:
    """Attack a running cluster; the certificates of the next height that came of it."""
    plan = await asyncio.to_thread(Attack, cluster)
    leader = await plan.prepare()
    try:
        trees = await plan.run(leader, rejoin_s)
        return plan, [leader.certificate(tree) for tree in trees]
    finally:
        await leader._network.stop()


def main() -> int:
    """Attack a new cluster; exit code 1 if it makes two histories."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = make_cluster(Path(folder) / "net")
        try:
            cluster.start()
            cluster.open_registers()
            plan, made = asyncio.run(attack(cluster))
        finally:
            for member in cluster.members.values():
                member.local.send_signal(signal.SIGCONT)
            cluster.close()
    for certificate in made:
        names = ", ".join(certificate.cosigner_nodes(cluster.voters))
        head = certificate.checkpoint
        root = head.root.hex()[:16]
        print(f"final: height {plan.height + 1}, size {head.size}, root {root}: {names}")
    print("two final histories" if len(made) > 1 else "one history")
    return len(made) - 1


if __name__ == "__main__":
    sys.exit(main())

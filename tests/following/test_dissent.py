"""No single node sees both halves of a lie: they tell one another, and the liar is convicted."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from typing_extensions import override

from consensus.types import ZERO_HASH, Entry, EntryKind, LogIndex, NodeId, Term
from node.chain.block import Block, decode_block, encode_block
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.entry import attest
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    PAYLOAD_BYTES_MAX,
    EntryStatement,
    RootStatement,
    decode_evidence,
)
from node.following.dissent import STILL_MS, Dissent
from node.following.evidence_keeper import OFFENCES_MAX
from node.ledger.transaction import encode_wire
from node.peers.allowance import ENTRIES_PER_S, Allowance
from node.peers.messages import DissentMessage, decode_control, encode_control
from node.storage.raft_log import ENTRY_FORMAT
from node.system.clock import SystemClock
from node.voting.entry_authority import EXAMINED_BYTES, EntryAuthority
from tests.chain.network import TIME_S, make_leaf, seed
from tests.following.test_evidence_keeper import Witness, statement
from tests.node.chronicle import TERM, Chronicle, found

LIAR = 1
BEFORE = hashlib.sha256(b"before").digest()


class Hands(SystemClock):
    """A clock that stands until a test turns it."""

    now_ms = 10**6

    @override
    def monotonic_ms(self) -> int:
        return self.now_ms


@dataclass
class Node:
    """One honest node: what it was shown, and what it tells."""

    witness: Witness
    clock: Hands = field(default_factory=Hands)
    log: dict[int, tuple[EntryStatement, bytes]] = field(default_factory=dict)
    told: list[DissentMessage] = field(default_factory=list)
    forgers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dissent = Dissent(
            self.witness.chronicle.voters,
            self.witness.keeper,
            lambda: self.witness.chronicle.ledger.head,
            self.read,
            self.told.append,
            self.clock,
        )
        self.witness.finality.comparison.on_dissent = self.dissent.notice
        self.authority = EntryAuthority(
            self.witness.chronicle.voters,
            seed("bureau/identity"),
            self.clock,
            self.witness.keeper,
            self.dissent,
            lambda _, __: True,
            self.forgers.append,
        )

    async def read(self, first: int, last: int) -> Sequence[tuple[EntryStatement, bytes]]:
        return [self.log[index] for index in range(first, last + 1) if index in self.log]

    def forget(self) -> Node:
        """The same after a restart: files and keys are there, memory is gone."""
        return Node(Witness.of(self.witness.chronicle), self.clock, self.log)

    async def apply(self, serial: int, payload: bytes) -> None:
        """A block, and the entry of the liar that it came from."""
        block = await self.witness.apply(serial)
        entry = make_entry(block.raft_index, payload)
        self.authority.offered(NodeId(LIAR), [entry])
        self.log[block.raft_index] = (EntryStatement(entry.header, entry.attestation), payload)
        self.dissent.applied(block.height, block.raft_index)

    async def turns(self) -> list[DissentMessage]:
        """What it tells until it is silent, as it travels."""
        count = -1
        while len(self.told) != count:
            count = len(self.told)
            await self.dissent.turn()
            await self.dissent.turn()
        told, self.told[:] = list(self.told), []
        return [_travelled(message) for message in told]

    def hear(self, messages: Sequence[DissentMessage]) -> None:
        for message in messages:
            self.dissent.hear(message)
            for voter, size, root, cosignature in message.roots:
                said = RootStatement(size, root, cosignature)
                assert self.witness.finality.hear(voter, said)


def _travelled(message: DissentMessage) -> DissentMessage:
    again = decode_control(*encode_control(message))
    assert isinstance(again, DissentMessage)
    return again


def make_entry(
    index: int,
    payload: bytes,
    *,
    term: int = TERM,
    leader: int = LIAR,
    kind: EntryKind = EntryKind.DATA,
    before: bytes = BEFORE,
) -> Entry:
    node = ("bureau", "issuer", "payer", "reimburser")[leader]
    place = (Term(term), LogIndex(index), kind, NodeId(leader), before, payload)
    header = ENTRY_FORMAT.entry_type(*place, b"").header
    return ENTRY_FORMAT.entry_type(
        *place, attest(found().network_id, header, seed(f"{node}/identity"))
    )


def block(number: int, *wires: bytes, term: int = TERM) -> bytes:
    return encode_block(Block(term, TIME_S * 1_000 + number, wires))


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Two that were shown different things."""
    async with AsyncExitStack() as files:
        made = []
        for name in ("one", "two"):
            chronicle = await Chronicle.open(tmp_path / name)
            files.push_async_callback(chronicle.close)
            made.append(Node(Witness.of(chronicle)))
        yield made[0], made[1]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_leader_that_showed_each_node_another_entry_is_convicted_by_both(
    nodes: tuple[Node, Node], restarted: bool
) -> None:
    one, two = nodes
    for node in nodes:
        await node.apply(1, block(1))
    await one.apply(2, block(2))
    await two.apply(3, block(3))
    if restarted:
        one, two = one.forget(), two.forget()
        for node in (one, two):
            node.witness.finality.resume(1)
            last = node.witness.chronicle.blocks[-1]
            checkpoint = Checkpoint(node.witness.chronicle.voters.origin, last.size, last.root)
            node.witness.finality.block_applied(2, checkpoint, None)
    for node, other in ((one, two), (two, one)):
        dissenting = statement(other.witness.chronicle, 2, other.witness.chronicle.blocks[-1])
        node.witness.finality.receive(2, dissenting)
    told = [await node.turns() for node in (one, two)]
    assert all(len(messages) == 1 and messages[0].entries for messages in told)
    one.hear(told[1])
    two.hear(told[0])
    for node in (one, two):
        assert await node.turns() == [], "what was only told is not passed on"
        assert ("issuer", "entries") in await node.witness.settled()


async def test_a_height_is_told_once_and_to_who_comes_later(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    for serial, node in ((1, one), (2, two)):
        await node.apply(serial, block(serial))
    dissenting = statement(two.witness.chronicle, 2, two.witness.chronicle.blocks[0])
    for _ in range(5):
        one.witness.finality.receive(2, dissenting)
    assert len(await one.turns()) == 1
    assert len(one.dissent.recent()) == 1


async def test_two_entries_that_no_log_takes_convict_too(nodes: tuple[Node, Node]) -> None:
    """Each node is sent one of them, for a place behind, at, or far beyond the end of its log."""
    for index in (2, 3, 99, 2**40):
        for number, node in enumerate(nodes):
            if node.witness.chronicle.ledger.head.height == 0:
                await node.apply(1, block(1))
            entry = make_entry(index, block(number), term=9)
            node.authority.offered(NodeId(LIAR), [entry])
            node.clock.now_ms += STILL_MS
    one, two = nodes
    first = await one.turns()
    two.hear(first)
    places = {
        judge(decode_evidence(body), one.witness.chronicle.voters).place
        async for body in _stored(two)
    }
    assert places == {(9, index) for index in (2, 3, 99, 2**40)}


async def _stored(node: Node) -> AsyncIterator[bytes]:
    await node.witness.settled()
    for _, _, body in await node.witness.chronicle.reader.evidence(None, 100):
        yield body


async def test_entries_that_become_part_of_the_log_are_told_to_nobody(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = nodes
    for serial in range(1, 6):
        await one.apply(serial, block(serial))
        one.clock.now_ms += 1_000
    assert await one.turns() == []
    one.clock.now_ms += STILL_MS
    assert await one.turns() == []


async def test_two_roots_for_a_size_that_nobody_has_convict(nodes: tuple[Node, Node]) -> None:
    one, two = nodes
    voters = one.witness.chronicle.voters
    voter = voters.voters[LIAR]
    for number, node in enumerate(nodes):
        await node.apply(1, block(1))
        root = hashlib.sha256(b"%d" % number).digest()
        checkpoint = Checkpoint(voters.origin, 10**9, root)
        blob = cosign(checkpoint, voter.cosigner, seed("issuer/cosign"), TIME_S)
        told = statement(node.witness.chronicle, LIAR, node.witness.chronicle.blocks[0])
        false = msgspec.structs.replace(told, height=10**8, size=10**9, root=root, cosignature=blob)
        node.witness.finality.receive(LIAR, false)
    two.hear(await one.turns())
    assert await two.witness.settled() == [("issuer", "roots")]


async def test_a_forged_statement_is_no_dissent(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    entry = make_entry(3, block(3))
    with pytest.raises(ValueError, match="did not sign"):
        one.dissent.hear(DissentMessage(((entry.header, bytes(64)),), ()))
    assert not one.witness.finality.hear(LIAR, RootStatement(9, bytes(32), bytes(76)))
    assert not one.witness.finality.hear(200, RootStatement(9, bytes(32), bytes(76)))
    assert await one.witness.settled() == []


# --- What one entry shows alone ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (make_entry(9, b"", kind=EntryKind.MEMBERSHIP), "header"),
        (make_entry(9, b"x", kind=EntryKind.NOOP), "header"),
        (make_entry(1, block(1)), "header"),
        (make_entry(9, block(1), before=ZERO_HASH), "header"),
        (make_entry(0, block(1)), "header"),
        (make_entry(9, b"no block"), "payload"),
        (make_entry(9, block(1, term=TERM + 1)), "payload"),
    ],
)
async def test_an_entry_that_breaks_a_rule_convicts_whether_consensus_reads_it_or_not(
    nodes: tuple[Node, Node], entry: Entry, kind: str
) -> None:
    for node, salvaged in zip(nodes, (False, True), strict=True):
        if salvaged:
            wire = (3, 9, -1, "?", None, 2**63, [msgspec.Raw(entry.encoded)])
            node.authority.salvage(NodeId(LIAR), msgspec.msgpack.encode(wire))
        else:
            node.authority.offered(NodeId(LIAR), [entry])
        assert await node.witness.settled() == [("issuer", kind)]
        assert node.forgers == []


async def test_a_payload_is_read_at_the_price_of_its_sender_and_only_for_what_is_kept(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute's work a second, that one member could cause without leading."""
    one, _ = nodes
    read = 0

    def counted(payload: bytes) -> Block:
        nonlocal read
        read += 1
        return decode_block(payload)

    monkeypatch.setattr("node.voting.entry_authority.decode_block", counted)
    allowance = Allowance([LIAR], one.clock)
    one.authority._takes_entry = allowance.takes_entry
    honest = block(1, *[b""] * 10_000)
    one.authority.offered(NodeId(LIAR), [make_entry(index, honest) for index in range(9, 609)])
    assert 0 < read <= ENTRIES_PER_S * EXAMINED_BYTES / len(honest)

    one.authority._takes_entry = lambda _, __: True
    read, false = 0, block(1, *[b""] * 10_000, term=TERM + 1)
    one.authority.offered(NodeId(LIAR), [make_entry(index, false) for index in range(700, 800)])
    assert read == OFFENCES_MAX
    read, large = 0, block(1, b"x" * PAYLOAD_BYTES_MAX, term=TERM + 1)
    one.authority.offered(NodeId(LIAR), [make_entry(900, large, leader=2)])
    assert read == 0, "it does not fit into evidence"


async def test_a_badly_signed_transaction_in_a_block_convicts_its_leader(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = nodes
    network = one.witness.chronicle.genesis.network_id
    leaf = make_leaf(network, 1, 1)
    payload = block(1, encode_wire(leaf.body, bytes(64)))
    await one.apply(1, payload)
    one.dissent.misproposed(one.witness.chronicle.blocks[0].raft_index)
    await one.turns()
    assert await one.witness.settled() == [("issuer", "payload")]


async def test_what_nobody_signed_names_its_sender_as_a_forger_and_convicts_nobody(
    nodes: tuple[Node, Node],
) -> None:
    one, _ = nodes
    true = make_entry(9, block(1))
    forged = ENTRY_FORMAT.entry_type(
        true.term, true.index, true.kind, true.leader, true.prev_hash, b"other", true.attestation
    )
    one.authority.offered(NodeId(2), [forged])
    assert one.forgers == [2]
    one.authority.salvage(NodeId(2), b"\x97\x03nothing")
    one.authority.salvage(NodeId(2), b"")
    assert await one.witness.settled() == []

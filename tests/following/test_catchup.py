"""A node reaches a final head through honest peers, whatever the others say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from node.chain.head import NamedHead, name_head, parse_head
from node.chain.leaf_range import LeafRange
from node.chain.merkle import Frontier
from node.following import blocksync
from node.following.applier import Applier
from node.following.blockserver import BlockServer
from node.following.blocksync import UnaskedError
from node.following.catchup import CatchUp
from node.following.certificates import Certificates
from node.following.evidence_keeper import EvidenceKeeper
from node.following.excuses import Excuses
from node.following.finality import Finality
from node.following.halt import Halt, HaltedError
from node.following.ranges import Ranges
from node.following.tracker import Tracker
from node.peers.messages import BlocksMessage, BlocksWantedMessage
from node.storage import leaf_ranges as runs
from node.storage.marker import Marker
from node.system.clock import SystemClock
from node.voting.cosigner import Cosigner, SigningHaltedError
from node.voting.signing import Signing
from node.voting.snapshots import NoSnapshotError, Snapshots
from tests.chain.network import TIME_S, seed
from tests.node.chronicle import Chronicle, write_history

ME = 0
INDEX = 400
CERTIFIED = 6
Liar = Callable[[LeafRange | None], LeafRange | None]
replace = msgspec.structs.replace


class SilentError(Exception):
    """The peer does not answer."""


@dataclass
class Behind:
    """A node that is behind, with peers that answer as a test wants."""

    chronicle: Chronicle
    certificates: Certificates
    tracker: Tracker
    cosigner: Cosigner
    catch_up: CatchUp
    others: Others

    @property
    def asked(self) -> list[int]:
        return self.others.asked

    @property
    def finality(self) -> Finality:
        return self.certificates.finality


class Others:
    """The peers of a node that is behind: a real server, and liars in front of it."""

    peers = (1, 2, 3)

    def __init__(self, source: Chronicle) -> None:
        self.source = source
        self.liars: dict[int, Liar] = {}
        self.asked: list[int] = []
        self.struck: list[int] = []
        """Peers whose link is to end: they sent what no honest node sends."""
        self.late: Callable[[int, Callable[[], None]], None] = lambda _, deliver: deliver()
        """Delivers an answer of a peer, perhaps later."""

    def final_heights(self) -> Mapping[int, int]:
        return dict.fromkeys(self.peers, CERTIFIED)

    def linked(self, number: int) -> bool:
        return True

    def rtt_ms(self, number: int) -> float | None:
        return None

    def broadcast(self, message: msgspec.Struct) -> None:
        raise AssertionError("nobody tells all")

    def on_false(self, peer: int, _: str) -> None:
        self.struck.append(peer)

    def between(self, ranges: Ranges, server: BlockServer) -> None:
        self.ranges, self.server = ranges, server

    def send(self, number: int, message: msgspec.Struct) -> bool:
        if isinstance(message, BlocksWantedMessage):
            self.asked.append(number)
            self.server.want(number, message.number, message.first)
        else:
            assert isinstance(message, BlocksMessage)
            told = message
            self.late(number, lambda: self.answer(number, told.number, told.leaf_range))
        return True

    def answer(self, peer: int, number: int, run: LeafRange | None) -> None:
        liar = self.liars.get(peer)
        try:
            told = run if liar is None else liar(run)
        except SilentError:
            return
        self.ranges.receive(peer, number, told)


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Chronicle]:
    made = await Chronicle.open(tmp_path / "source")
    await write_history(made)
    yield made
    await made.close()


@pytest.fixture
async def behind(tmp_path: Path, source: Chronicle) -> AsyncIterator[Behind]:
    chronicle = await Chronicle.open(tmp_path / "behind")
    voters, clock, tracker = chronicle.voters, SystemClock(), Tracker()
    marker = Marker.open(tmp_path / "marker")
    keeper = EvidenceKeeper(
        voters,
        chronicle.ledger,
        chronicle.reader,
        clock,
        lambda _: None,
        lambda _: None,
        Excuses(voters, chronicle.ledger, chronicle.reader, lambda _: None),
    )
    me = voters.voters[ME]
    cosigner = Cosigner(me, seed(f"{me.node}/cosign"), marker, lambda: TIME_S)
    finality, others = Finality(voters, 0, keeper), Others(source)
    certificates = Certificates(voters, finality, chronicle.ledger, tracker, clock)
    signing = Signing(ME, cosigner, certificates, chronicle.ledger, others)
    applier = Applier(chronicle.ledger, certificates, Halt(), signing)
    applier.listen(tracker.on_block, signing.applied)
    ledger = chronicle.ledger
    ranges = Ranges(voters, lambda: ledger.head.height, finality, others, clock, others.on_false)
    catch_up = CatchUp(voters, ledger, applier, ranges, clock)
    server = BlockServer(others, source.reader, clock)
    others.between(ranges, server)
    async with asyncio.TaskGroup() as tasks:
        loops = [
            tasks.create_task(server.serve()),
            tasks.create_task(certificates.keep()),
        ]
        yield Behind(chronicle, certificates, tracker, cosigner, catch_up, others)
        for loop in loops:
            loop.cancel()
    await chronicle.close()
    marker.close()


async def head_of(source: Chronicle, height: int = CERTIFIED) -> NamedHead:
    """A final head, as a snapshot names it."""
    block = source.blocks[height - 1]
    proof = await source.reader.inclusion(block.size - 1)
    assert proof is not None
    path, note = tuple(proof.path), proof.certificate.decode()
    name = name_head(source.voters.network_id, proof.leaf, path, note)
    return parse_head(name, source.voters)


async def test_it_reaches_the_head_and_everything_that_follows_it(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 2_000)
    await behind.catch_up.reach(await head_of(source), INDEX)
    block = source.blocks[CERTIFIED - 1]
    head = behind.chronicle.ledger.head
    assert (head.height, head.root(), head.raft_index) == (CERTIFIED, block.root, INDEX)
    assert head.state_digest() == block.state_digest
    assert behind.tracker.height == behind.finality.final_height == CERTIFIED
    await behind.tracker.wait_heights(2**62, CERTIFIED - 1, 5.0)
    assert behind.tracker.final_height == CERTIFIED
    assert behind.certificates.backlog == (0, 0)
    assert await behind.chronicle.reader.newest_certificate() is not None
    for applied in block.transactions:
        assert behind.tracker.outcome(applied.txid) is not None
    assert len(set(behind.asked)) == 3


async def test_a_head_without_a_certificate_of_its_own_is_reached_too(
    source: Chronicle, behind: Behind
) -> None:
    """Height 4 is final by the certificate of height 5; adopting stops where the name says."""
    await behind.catch_up.reach(await head_of(source, 4), INDEX)
    head = behind.chronicle.ledger.head
    assert (head.height, head.root()) == (4, source.blocks[3].root)
    assert (behind.finality.final_height, behind.certificates.backlog[0]) == (3, 1)
    await behind.catch_up.reach(await head_of(source), INDEX + 9)
    assert behind.chronicle.ledger.head.raft_index == INDEX + 9


async def test_a_head_that_is_there_already_stands_for_the_later_index(
    source: Chronicle, behind: Behind
) -> None:
    await behind.catch_up.reach(await head_of(source), INDEX)
    asked = len(behind.asked)
    await behind.catch_up.reach(await head_of(source), INDEX + 3)
    assert behind.chronicle.ledger.head.raft_index == INDEX + 3
    assert len(behind.asked) == asked


# --- Hostile peers -----------------------------------------------------------------------------


def silent(run: LeafRange | None) -> LeafRange | None:
    raise SilentError


def nothing(run: LeafRange | None) -> LeafRange | None:
    return None


def garbage(run: LeafRange | None) -> LeafRange | None:
    assert run is not None
    return replace(run, leaves=(b"\xc1",) * len(run.leaves))


def other_bytes(run: LeafRange | None) -> LeafRange | None:
    assert run is not None
    return replace(run, leaves=(run.leaves[0][:-1] + b"!", *run.leaves[1:]))


def withheld(run: LeafRange | None) -> LeafRange | None:
    assert run is not None
    return replace(run, leaves=run.leaves[1:])


@pytest.mark.parametrize("liar", [silent, nothing, garbage, other_bytes, withheld])
async def test_one_honest_peer_is_enough(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch, liar: Liar
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 4_000)
    monkeypatch.setattr(blocksync, "ANSWER_MS", 1_000)
    # At most f of the voters lie about the history itself.
    behind.others.liars = {1: liar} if liar in (other_bytes, withheld) else {1: liar, 2: liar}
    await behind.catch_up.reach(await head_of(source), INDEX)
    head = behind.chronicle.ledger.head
    assert head.root() == source.blocks[CERTIFIED - 1].root
    assert {peer for peer in behind.asked if peer in behind.others.liars} == set(
        behind.others.liars
    )
    if liar is not nothing:  # who has not got a block yet may have it later
        assert all(behind.asked.count(peer) == 1 for peer in behind.others.liars)


def without_blobs(run: LeafRange | None) -> LeafRange | None:
    assert run is not None
    return replace(run, blobs=())


def with_some_blobs(run: LeafRange | None) -> LeafRange | None:
    assert run is not None
    return replace(run, blobs=run.blobs[::2])


@pytest.mark.parametrize(
    ("liars", "whole"),
    [
        ({1: without_blobs}, True),
        ({1: without_blobs, 2: with_some_blobs}, True),
        ({1: without_blobs, 2: with_some_blobs, 3: without_blobs}, False),
    ],
)
async def test_blobs_that_a_peer_keeps_back_come_from_another(
    source: Chronicle, behind: Behind, liars: dict[int, Liar], whole: bool
) -> None:
    behind.others.liars = liars
    await behind.catch_up.reach(await head_of(source), INDEX)
    blobs = behind.chronicle.contents()["blobs"]
    every = source.contents()["blobs"]
    assert blobs == every if whole else len(blobs) == len(every) / 2
    assert behind.chronicle.ledger.head.root() == source.blocks[CERTIFIED - 1].root


async def test_a_peer_that_becomes_slow_gives_way(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers each time just within the deadline is not asked while others are faster."""
    monkeypatch.setattr(runs, "RANGE_BYTES", 1_500)
    late: list[asyncio.TimerHandle] = []

    def slowly(peer: int, deliver: Callable[[], None]) -> None:
        if peer == 1:
            late.append(asyncio.get_running_loop().call_later(0.3, deliver))
        else:
            deliver()

    behind.others.late = slowly
    await behind.catch_up.reach(await head_of(source), INDEX)
    assert behind.asked.count(1) == 1
    assert len(behind.asked) > 8


async def test_unasked_and_repeated_answers_are_refused(source: Chronicle, behind: Behind) -> None:
    run = await source.reader.leaf_range(0)
    for peer, number in ((1, 1), (2, 7)):
        with pytest.raises(UnaskedError):
            behind.others.ranges.receive(peer, number, run)
    await behind.catch_up.reach(await head_of(source), INDEX)
    with pytest.raises(UnaskedError):
        behind.others.ranges.receive(behind.asked[0], 1, run)


async def test_a_lost_link_is_noticed_at_once(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocksync, "ANSWER_MS", 3_600_000)

    def gone(run: LeafRange | None) -> LeafRange | None:
        behind.others.server.forget(behind.asked[-1])
        behind.others.ranges.link_down(behind.asked[-1])
        raise SilentError

    behind.others.liars = {1: gone, 2: gone}
    await behind.catch_up.reach(await head_of(source), INDEX)
    assert behind.chronicle.ledger.head.height == CERTIFIED


async def test_a_ledger_with_another_history_halts_and_keeps_it(
    source: Chronicle, behind: Behind
) -> None:
    """More than f peers prove something that does not continue it: then it is the fork."""
    await behind.chronicle.add()
    before = behind.chronicle.contents()
    with pytest.raises(HaltedError, match="does not continue"):
        await behind.catch_up.reach(await head_of(source), INDEX)
    assert behind.chronicle.contents() == before
    assert len(set(behind.asked)) == behind.chronicle.voters.f + 1


@pytest.mark.parametrize("true", [True, False])
async def test_what_this_voter_signed_before_must_come_again(
    source: Chronicle, behind: Behind, true: bool
) -> None:
    """Its ledger is gone, its marker is not."""
    block = source.blocks[1]
    frontier = block.frontier if true else Frontier(block.size, (bytes(32),))
    signed = behind.cosigner.sign(block.height, block.size, frontier.root(), frontier)
    assert signed is not None
    if true:
        await behind.catch_up.reach(await head_of(source), INDEX)
        assert behind.chronicle.ledger.head.height == CERTIFIED
    else:
        with pytest.raises(SigningHaltedError, match="height 2 was signed with another root"):
            await behind.catch_up.reach(await head_of(source), INDEX)
    assert behind.cosigner.stored() == signed


async def test_a_restore_that_is_cut_off_goes_on(
    source: Chronicle, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RANGE_BYTES", 2_000)
    head = await head_of(source)
    task = asyncio.ensure_future(behind.catch_up.reach(head, INDEX))
    while behind.chronicle.ledger.head.height < 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    reached = behind.chronicle.ledger.head
    assert 2 <= reached.height < CERTIFIED
    assert reached.raft_index == 0
    await behind.catch_up.reach(head, INDEX)
    assert behind.chronicle.ledger.head.root() == source.blocks[CERTIFIED - 1].root


# --- Snapshots ------------------------------------------------------------------------------------


async def test_a_head_is_named_once_it_is_final(
    source: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.voting.snapshots.FINAL_S", 0.05)
    tracker = Tracker()
    snapshots = Snapshots(source.voters.network_id, source.ledger, source.reader, tracker)
    head = source.ledger.head
    with pytest.raises(NoSnapshotError, match="height 7 is not final"):
        await snapshots.make(head)

    monkeypatch.setattr("node.voting.snapshots.FINAL_S", 60.0)
    naming_it = asyncio.ensure_future(snapshots.make(head))
    await asyncio.sleep(0)
    await source.certify(source.blocks[-1])
    later = await source.add()  # it may go on meanwhile
    tracker.finalised(7)
    named = parse_head(await naming_it, source.voters)
    assert (named.height, named.size) == (7, head.tree_size)
    assert (named.place[0], later.height) == (head.raft_index, 8)
    assert named.state_digest == head.state_digest()


async def test_before_the_first_block_there_is_nothing_to_name(behind: Behind) -> None:
    chronicle = behind.chronicle
    snapshots = Snapshots(bytes(32), chronicle.ledger, chronicle.reader, behind.tracker)
    with pytest.raises(NoSnapshotError, match="no block"):
        await snapshots.make(chronicle.ledger.head)

"""A node among liars: what they sign of other histories is noticed, proven, kept and bounded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.chain.certificate import certify
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.cosigned import Cosigned
from node.chain.evidence.excuse import ExcuseError, encode_resumption, sign_resumption
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    Evidence,
    EvidenceError,
    LeafEvidence,
    LeafStatement,
    PrefixEvidence,
    RootEvidence,
    RootStatement,
    decode_evidence,
    encode_evidence,
)
from node.chain.evidence.pending_statements import PENDING_MAX
from node.chain.merkle import node_hash
from node.following.evidence_keeper import NEWEST, OFFENCES_MAX, EvidenceKeeper
from node.following.excuses import HELD_MAX, RESUMPTIONS_MAX, Excuses
from node.following.finality import DivergedError, Finality
from node.storage.ledger_values import AppliedBlock
from node.system.clock import SystemClock
from tests.chain.network import TIME_S, seed
from tests.node.chronicle import Chronicle, issue

ME, LIAR = 0, 1


@dataclass
class Witness:
    """Voter 0: its ledger, its counting and its memory."""

    chronicle: Chronicle
    finality: Finality
    keeper: EvidenceKeeper
    told: list[bytes]
    halts: list[DivergedError]
    excuses: Excuses
    resumed: list[bytes]

    @classmethod
    def of(cls, chronicle: Chronicle) -> Witness:
        told: list[bytes] = []
        halts: list[DivergedError] = []
        resumed: list[bytes] = []
        excuses = Excuses(chronicle.voters, chronicle.ledger, chronicle.reader, resumed.append)
        keeper = EvidenceKeeper(
            chronicle.voters,
            chronicle.ledger,
            chronicle.reader,
            SystemClock(),
            told.append,
            halts.append,
            excuses,
        )
        finality = Finality(chronicle.voters, 0, keeper)
        return cls(chronicle, finality, keeper, told, halts, excuses, resumed)

    async def apply(self, *serials: int) -> AppliedBlock:
        """A block of our history."""
        block = await self.chronicle.add(*(issue(self.chronicle.genesis, n) for n in serials))
        own = (ME, statement(self.chronicle, ME, block))
        checkpoint = Checkpoint(self.chronicle.voters.origin, block.size, block.root)
        self.finality.block_applied(block.height, checkpoint, own)
        return block

    async def hear(self, block: AppliedBlock, *numbers: int) -> None:
        """These voters sign a head of ours."""
        for number in numbers:
            self.finality.receive(number, statement(self.chronicle, number, block))

    async def settled(self) -> list[tuple[str, str]]:
        """Voter and kind of all evidence that is stored once everything was compared."""
        await self.keeper.settle_now()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.keeper.keep()
        found = [
            judge(decode_evidence(body), self.chronicle.voters)
            for _, _, body in await self.chronicle.reader.evidence(None, 500)
        ]
        return [(finding.voter, finding.kind) for finding in found]


def statement(
    chronicle: Chronicle,
    number: int,
    block: AppliedBlock,
    height: int | None = None,
    time_s: int = TIME_S,
) -> Cosigned:
    """What a voter says of a block, perhaps beside another height."""
    voter = chronicle.voters.voters[number]
    checkpoint = Checkpoint(voter.origin, block.size, block.root)
    blob = cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), time_s)
    return Cosigned(height or block.height, block.size, block.root, blob)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Witness]:
    chronicle = await Chronicle.open(tmp_path / "ours")
    yield Witness.of(chronicle)
    await chronicle.close()


@pytest.fixture
async def fork(tmp_path: Path) -> AsyncIterator[list[AppliedBlock]]:
    """Another history: its heads have 3, 9, 15 … leaves, ours 2, 4, 6, 8 … of them."""
    chronicle = await Chronicle.open(tmp_path / "fork")
    blocks = [
        await chronicle.add(*(issue(chronicle.genesis, first + n) for n in (0, 1)))
        for first in range(10, 32, 2)
    ]
    yield [block for block in blocks if block.size % 2]
    await chronicle.close()


async def test_one_height_with_two_sizes_is_noticed_when_our_tree_has_them(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    """The false size, 3, lies between heads of ours."""
    false = fork[0]
    first = await node.apply(1)
    await node.hear(first, LIAR)
    node.finality.receive(LIAR, statement(node.chronicle, LIAR, false, height=1))
    assert await node.settled() == [], "our tree has two leaves"
    second = await node.apply(2)
    assert await node.settled() == [], "the liar signed no head of ours that large"
    await node.hear(second, LIAR)
    assert await node.settled() == [("issuer", "roots")]
    (body,) = node.told
    evidence = decode_evidence(body)
    assert isinstance(evidence, PrefixEvidence)
    assert (evidence.first.size, evidence.second.under.size) == (3, 4)
    assert node.halts == []


@pytest.mark.parametrize("order", ["true first", "false first", "final", "ahead", "not counted"])
async def test_the_halves_may_come_in_any_order(
    node: Witness, fork: list[AppliedBlock], order: str
) -> None:
    false = statement(node.chronicle, LIAR, fork[0], height=2)
    if order == "ahead":
        node.finality.receive(LIAR, false)
    await node.apply(1)
    second = await node.apply(2)
    if order in {"false first", "ahead"}:
        node.finality.receive(LIAR, false)
    if order == "final":
        await node.hear(second, 2, 3)
        assert node.finality.final_height == 2
    if order == "not counted":  # q others are enough, so the liar's true half is not verified
        await node.hear(second, 2, 3, LIAR)
    await node.hear(second, LIAR)
    if order in {"true first", "final", "not counted"}:
        node.finality.receive(LIAR, false)
    assert await node.settled() == [("issuer", "roots")]


async def test_a_size_of_ours_beside_another_root_is_evidence_at_once(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    block = await node.apply(1, 2)
    assert block.size == fork[0].size
    node.finality.receive(LIAR, statement(node.chronicle, LIAR, fork[0]))
    await node.hear(block, LIAR)
    assert await node.settled() == [("issuer", "roots")]
    assert isinstance(decode_evidence(node.told[0]), RootEvidence)


async def test_a_cosignature_in_a_certificate_is_the_other_half(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    """The liar told us the truth; another peer passes on what it told elsewhere.

    More than f voters signed the other history, so this node must stop as well.
    """
    first = await node.apply(1)
    await node.hear(first, LIAR, 2)
    assert node.finality.final_height == 1
    certificate = node.chronicle.certificate(fork[0], (LIAR, 2, 3))
    assert not node.finality.receive_certificate(1, certificate)
    assert await node.settled() == []
    second = await node.apply(2)
    await node.hear(second, LIAR, 2, 3)
    assert sorted(await node.settled()) == [
        ("issuer", "roots"),
        ("payer", "roots"),
        ("reimburser", "roots"),
    ]
    (halt,) = node.halts
    assert "issuer, payer, reimburser certified another tree of 3 leaves" in str(halt)


async def test_a_certificate_from_ahead_is_compared_when_we_are_there(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    certificate = node.chronicle.certificate(fork[1], (1, 2, 3))
    await node.apply(1)
    node.finality.receive_certificate(9, certificate)
    larger = node.chronicle.certificate(fork[3], (1, 2, 3))
    node.finality.receive_certificate(12, larger)
    for serial in range(2, 6):
        await node.apply(serial)
    await node.settled()
    assert len(node.halts) == 1
    assert "another tree of 9 leaves" in str(node.halts[0])


async def test_true_certificates_at_any_height_and_time_stop_nobody(node: Witness) -> None:
    blocks = [await node.apply(serial) for serial in range(1, 6)]
    for block in blocks:
        certificate = node.chronicle.certificate(block, (1, 2, 3))
        for height in (1, block.height, block.height + 3, 40):
            with suppress(ValueError):
                node.finality.receive_certificate(height, certificate)
    assert await node.settled() == []
    assert node.halts == []


async def test_after_a_restart_old_heads_are_found_on_disk(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    blocks = [await node.apply(serial) for serial in range(1, 6)]
    again = Witness.of(node.chronicle)
    again.finality.resume(5)
    last = await again.apply(6)
    for block in blocks:
        await again.hear(block, LIAR, 2)
        again.finality.receive_certificate(
            block.height, node.chronicle.certificate(block, (1, 2, 3))
        )
    assert await again.settled() == []
    again.finality.receive(LIAR, statement(node.chronicle, LIAR, fork[0], height=2))
    assert await again.settled() == [("issuer", "roots")], last.size


async def test_a_stored_certificate_is_a_half_from_before_the_restart(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    await node.apply(1)
    block = await node.apply(2)
    await node.chronicle.certify(block)
    again = Witness.of(node.chronicle)
    await again.keeper.load()
    again.finality.resume(2)
    again.keeper.pending.grown(block.size)
    again.finality.receive(LIAR, statement(node.chronicle, LIAR, fork[0], height=2))
    assert await again.settled() == [("issuer", "roots")]


async def test_who_only_signed_the_other_history_is_not_accused(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    """A voter with a damaged ledger signs one history: a wrong one, but one."""
    for block in fork:
        node.finality.receive(LIAR, statement(node.chronicle, LIAR, block))
    for serial in range(1, 8):
        await node.apply(serial)
    assert await node.settled() == []
    assert node.halts == []


async def test_a_flood_of_false_sizes_stays_bounded(node: Witness) -> None:
    voters = node.chronicle.voters
    block = await node.apply(1)
    await node.hear(block, 2, 3, LIAR)
    assert node.finality.final_height == 1
    voter = voters.voters[LIAR]
    for number in range(3 * PENDING_MAX):
        root = hashlib.sha256(number.to_bytes(4, "big")).digest()
        checkpoint = Checkpoint(voters.origin, 1_000 - number, root)
        blob = cosign(checkpoint, voter.cosigner, seed("issuer/cosign"), TIME_S)
        node.finality.receive(LIAR, Cosigned(1, checkpoint.size, root, blob))
    pending = node.keeper.pending
    assert len(pending._open[LIAR]) == PENDING_MAX
    assert max(pending._open[LIAR]) < 1_000 - PENDING_MAX, "what our tree reaches last is forgotten"
    assert await node.settled() == []


# --- Keeping -------------------------------------------------------------------------------------


def lie(chronicle: Chronicle, size: int, number: int = LIAR) -> Evidence:
    voter = chronicle.voters.voters[number]
    said = []
    for letter in (b"a", b"b"):
        checkpoint = Checkpoint(chronicle.voters.origin, size, hashlib.sha256(letter).digest())
        blob = cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), TIME_S)
        said.append(RootStatement(size, checkpoint.root, blob))
    return RootEvidence(number, *sorted(said))


async def test_a_liar_cannot_fill_the_disk_with_evidence_against_itself(node: Witness) -> None:
    for size in range(1, 4 * OFFENCES_MAX):
        node.keeper.receive(encode_evidence(lie(node.chronicle, size)))
    node.keeper.receive(encode_evidence(lie(node.chronicle, 1, number=3)))
    found = await node.settled()
    assert found.count(("issuer", "roots")) == OFFENCES_MAX
    assert found.count(("reimburser", "roots")) == 1
    assert len(node.told) == OFFENCES_MAX + 1


async def test_what_does_not_verify_blames_nobody(node: Witness) -> None:
    origin = node.chronicle.voters.origin
    true, false = (Checkpoint(origin, 12, hashlib.sha256(root).digest()) for root in (b"a", b"b"))
    me = node.chronicle.voters.voters[ME]
    blob = cosign(true, me.cosigner, seed(f"{me.node}/cosign"), TIME_S)
    assert node.keeper.observe_cosignature(ME, true, blob) is None
    assert node.keeper.observe_cosignature(ME, false, bytes(76)) is None
    assert await node.settled() == []
    said = (RootStatement(12, false.root, bytes(76)), RootStatement(12, true.root, blob))
    told = encode_evidence(RootEvidence(ME, *sorted(said)))
    with pytest.raises(EvidenceError):
        node.keeper.receive(told)


async def test_the_summary_and_what_is_told_to_peers_survive_a_restart(node: Witness) -> None:
    assert node.keeper.summary().count == 0
    for size in range(1, 6):
        node.keeper.receive(encode_evidence(lie(node.chronicle, size)))
    await node.settled()
    again = Witness.of(node.chronicle)
    await again.keeper.load()
    assert again.keeper.summary() == node.keeper.summary()
    assert again.keeper.summary().count == 5
    assert len(again.keeper.summary().newest) == NEWEST
    assert sorted(again.keeper.bodies()) == sorted(node.told)
    for body in node.told:
        again.keeper.receive(body)
    await again.settled()
    assert again.told == [], "known evidence is not passed on again"


def test_a_certificate_holds_what_its_voters_signed(tmp_path: Path) -> None:
    """The helper of these tests signs like a voter: else they would show nothing."""

    async def run() -> None:
        chronicle = await Chronicle.open(tmp_path / "x")
        block = await chronicle.add(issue(chronicle.genesis, 1))
        signed = {n: statement(chronicle, n, block).cosignature for n in range(3)}
        checkpoint = Checkpoint(chronicle.voters.origin, block.size, block.root)
        assert certify(checkpoint, signed, chronicle.voters) == chronicle.certificate(
            block, published=False
        )
        await chronicle.close()

    asyncio.run(run())


# --- Who was led astray --------------------------------------------------------------------------

ASTRAY = 2
OTHERS = (0, 1, 3)


def resumption(chronicle: Chronicle, block: AppliedBlock, voter: int = ASTRAY) -> bytes:
    """Of a voter that dropped what it had signed, above a certificate of the others."""
    others = [number for number in range(4) if number != voter]
    key = seed(f"{chronicle.voters.voters[voter].node}/cosign")
    certificate = chronicle.certificate(block, others)
    return encode_resumption(sign_resumption(chronicle.voters, voter, certificate, key))


@pytest.mark.parametrize("comes", ["before", "between", "after", "restarted", "never"])
async def test_a_resumption_excuses_what_was_signed_before_it(
    node: Witness, fork: list[AppliedBlock], comes: str
) -> None:
    """Whatever comes first: the false signature, the true one above, or the resumption."""
    await node.apply(1)
    second = await node.apply(2)
    resumed = resumption(node.chronicle, second)
    if comes == "before":
        node.excuses.receive(resumed)
    node.finality.receive(ASTRAY, statement(node.chronicle, ASTRAY, fork[0], height=1))
    await node.hear(second, 1, 3)
    if comes in {"between", "restarted"}:
        node.excuses.receive(resumed)
    third = await node.apply(3)
    if comes == "restarted":
        assert await node.settled() == []
        finality = node.finality
        node = Witness.of(node.chronicle)
        await node.keeper.load()
        node.finality.resume(finality.final_height)
        node.finality.block_applied(
            3, Checkpoint(node.chronicle.voters.origin, third.size, third.root), None
        )
        node.finality.receive(ASTRAY, statement(node.chronicle, ASTRAY, fork[0], height=1))
    await node.hear(third, ASTRAY)
    convicted = [("payer", "roots")]
    if comes in {"after", "never"}:
        assert await node.settled() == convicted
    if comes == "after":
        node.excuses.receive(resumed)
    assert await node.settled() == (convicted if comes == "never" else [])
    assert len(node.keeper.bodies()) == (comes == "never")
    if comes != "never":
        assert node.excuses.bodies() == [resumed]
    if comes not in {"never", "restarted"}:
        assert node.resumed == [resumed], "told to the others"


async def test_evidence_waits_until_our_tree_can_tell(
    node: Witness, fork: list[AppliedBlock], tmp_path: Path
) -> None:
    """A peer that is ahead found it: we do not have the larger tree yet."""
    ahead = await Chronicle.open(tmp_path / "ahead")
    peer = Witness.of(ahead)
    for serial in (1, 2, 3):
        await peer.apply(serial)
    await peer.hear(ahead.blocks[-1], ASTRAY)
    peer.finality.receive(ASTRAY, statement(ahead, ASTRAY, fork[0], height=1))
    assert await peer.settled() == [("payer", "roots")]
    (body,) = peer.told
    node.excuses.receive(resumption(ahead, ahead.blocks[1]))
    node.keeper.receive(body)
    await node.apply(1)
    assert await node.settled() == []
    for serial in (2, 3):
        await node.apply(serial)
    assert await node.settled() == []
    assert node.excuses.held() == []
    await ahead.close()


async def test_a_resumption_excuses_no_one_else_and_nothing_after_it(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    first = await node.apply(1)
    node.excuses.receive(resumption(node.chronicle, first))
    for voter in (LIAR, ASTRAY):  # of 9 leaves: after the resumption at 2
        node.finality.receive(voter, statement(node.chronicle, voter, fork[1], height=10**6))
    for serial in range(2, 7):
        await node.apply(serial)
    await node.hear(node.chronicle.blocks[-1], LIAR, ASTRAY)
    assert sorted(await node.settled()) == [("issuer", "roots"), ("payer", "roots")]


async def test_what_is_excused_takes_no_place_of_what_is_not(
    node: Witness, fork: list[AppliedBlock]
) -> None:
    """Eight lies that a resumption excuses, and one that none does."""
    blocks = [await node.apply(serial) for serial in range(1, 24)]
    base, last = blocks[20], blocks[22]
    await node.hear(last, ASTRAY)
    lies = [lie_within(node.chronicle, size, ASTRAY) for size in range(3, 3 + OFFENCES_MAX)]
    for said in lies:
        assert node.finality.hear(ASTRAY, said)
    assert await node.settled() == [("payer", "roots")] * OFFENCES_MAX
    node.excuses.receive(resumption(node.chronicle, base))
    assert await node.settled() == []
    assert node.finality.hear(ASTRAY, lie_within(node.chronicle, base.size + 1, ASTRAY))
    assert await node.settled() == [("payer", "roots")]


def lie_within(chronicle: Chronicle, size: int, number: int) -> RootStatement:
    """A root that our tree never had at a size within it."""
    voter = chronicle.voters.voters[number]
    checkpoint = Checkpoint(chronicle.voters.origin, size, hashlib.sha256(b"no root").digest())
    blob = cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), TIME_S)
    return RootStatement(size, checkpoint.root, blob)


def leaves_of_nobody(chronicle: Chronicle, size: int, number: int) -> LeafEvidence:
    """True evidence under a tree of `size` leaves that no history has, and one of a single leaf."""
    small, large = (hashlib.sha256(b"leaf %d" % n).digest() for n in (1, size))
    voter = chronicle.voters.voters[number]
    path: list[bytes] = []
    under = large
    for level in range((size - 1).bit_length()):
        path.append(hashlib.sha256(b"other %d" % level).digest())
        under = node_hash(under, path[-1])
    statements = []
    for leaf, leaf_path, leaves, root in ((small, [], 1, small), (large, path, size, under)):
        checkpoint = Checkpoint(chronicle.voters.origin, leaves, root)
        blob = cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), TIME_S)
        signed = RootStatement(leaves, root, blob)
        statements.append(LeafStatement(leaf, tuple(leaf_path), signed))
    return LeafEvidence(number, 0, *sorted(statements))


async def test_what_no_tree_can_tell_is_not_asked_for_and_pushes_out_nobody_else(
    node: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A liar may resume many times, and sign what is decided by a tree that never comes."""
    for serial in range(1, 5):
        block = await node.apply(serial)
        for voter in (LIAR, ASTRAY):
            node.excuses.receive(resumption(node.chronicle, block, voter))
    true = leaves_of_nobody(node.chronicle, 16, ASTRAY)
    node.keeper.receive(encode_evidence(true))
    for size in range(17, 17 + 2 * HELD_MAX):
        node.keeper.receive(encode_evidence(leaves_of_nobody(node.chronicle, size, LIAR)))
    asked: list[int] = []
    prefix = node.chronicle.reader.prefix

    async def counted(size: int, under: int) -> tuple[bytes, list[bytes]] | None:
        asked.append(size)
        return await prefix(size, under)

    monkeypatch.setattr(node.chronicle.reader, "prefix", counted)
    for _ in range(3):
        await node.keeper.settle_now()
    assert asked == []
    assert len(node.excuses._held[LIAR]) <= HELD_MAX
    assert node.excuses._held[ASTRAY] == [true]
    for serial in range(5, 9):  # 16 leaves
        await node.apply(serial)
    assert await node.settled() == [("payer", "leaves")], "its larger tree is not of our history"


async def test_other_histories_fill_no_disk_with_lines(node: Witness) -> None:
    """A voter may state roots that our tree never had as fast as it pays for their signatures."""
    for serial in range(1, 21):
        await node.apply(serial)
    with capture_logs() as lines:
        for size in range(3, 40, 2):
            for voter in (LIAR, ASTRAY):
                assert node.finality.hear(voter, lie_within(node.chronicle, size, voter))
            await node.keeper.settle_now()
    told = [line["voter"] for line in lines if line["event"] == "another history"]
    assert told == ["issuer", "payer"]


async def test_resumptions_are_bounded(node: Witness) -> None:
    for serial in range(1, RESUMPTIONS_MAX + 4):
        node.excuses.receive(resumption(node.chronicle, await node.apply(serial)))
    assert len(node.excuses.bodies()) == RESUMPTIONS_MAX
    with pytest.raises(ExcuseError):
        node.excuses.receive(b"nothing")

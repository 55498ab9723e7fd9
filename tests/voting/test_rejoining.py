"""A voter that may have forgotten signs again when that is safe, and not later than it can."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from node.chain.certificate import Certificate
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.evidence.excuse import Resumption
from node.chain.evidence.watch import EvidenceWatch
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.peers.messages import AnswerMessage, HeldSignature
from node.storage.ledger_values import AppliedBlock
from node.storage.marker import MARKER_FILE, Marker
from node.system.clock import SystemClock
from node.voting.answering import Answering
from node.voting.cosigner import Cosigner
from node.voting.recall import recall
from node.voting.rejoin_word import FILE, RejoinFileError, read_word, write_word
from node.voting.rejoining import Effects, Rejoining
from node.voting.resumption import Rules
from tests.chain.network import TIME_S, make_genesis, seed
from tests.node.chronicle import Chronicle

ME = 0
OTHERS = (1, 2, 3)
W = 3


class Voter:
    """One voter's parts, as after a start; its ledger is real, its peers are the test."""

    def __init__(self, chronicle: Chronicle, folder: Path) -> None:
        self.chronicle, self.folder = chronicle, folder
        self.voters = chronicle.voters
        self.marker = Marker.open(folder / MARKER_FILE)
        self.rules = Rules(W)
        me = self.voters.voters[ME]
        self.cosigner = Cosigner(
            me, seed(f"{me.node}/cosign"), self.marker, lambda: TIME_S, self.rules
        )
        self.finality = Finality(self.voters, 0, EvidenceWatch(self.voters))
        self.asked: list[tuple[int, bytes]] = []
        self.events: list[str] = []
        self.nonces = 0
        self.published: list[Resumption] = []
        self.answering = Answering(self.voters, self.cosigner, self.finality, SystemClock())
        self.rejoining = Rejoining(
            recall(folder, self.marker, self.cosigner),
            self.voters,
            self.cosigner,
            self.finality,
            chronicle.ledger,
            chronicle.reader,
            SystemClock(),
            Effects(
                make_nonce=self.nonce,
                ask=self.ask,
                publish=self.publish,
                on_forgotten=lambda: self.events.append("forgotten"),
                on_signing=lambda: self.events.append("signing"),
            ),
        )

    def nonce(self) -> bytes:
        self.nonces += 1
        return self.nonces.to_bytes(16, "big")

    def ask(self, number: int, nonce: bytes) -> bool:
        self.asked.append((number, nonce))
        return True

    async def publish(self, resumption: Resumption) -> None:
        self.published.append(resumption)

    async def grow(self, count: int, signers: tuple[int, ...] = OTHERS) -> None:
        """Blocks that these voters make final."""
        for _ in range(count):
            block = await self.chronicle.add()
            checkpoint = Checkpoint(self.voters.origin, block.size, block.root)
            self.finality.block_applied(block.height, checkpoint, None)
            self.finality.receive_certificate(block.height, self.certificate(block, signers))

    def certificate(self, block: AppliedBlock, signers: tuple[int, ...] = OTHERS) -> Certificate:
        return self.chronicle.certificate(block, signers, published=False)

    def tell(
        self, number: int, height: int, signed: int | None = None, held: int | None = None
    ) -> None:
        """A voter answers with the certificate of a height; `held`: size of this voter's tree."""
        blocks = self.chronicle.blocks
        note = self.certificate(blocks[height - 1]).encode() if height else ""
        mine = None if held is None else self.own_signature(held)
        nonce = self.nonces.to_bytes(16, "big")
        said = height if signed is None else signed
        self.rejoining.receive(number, AnswerMessage(nonce, said, note, mine))

    def own_signature(self, size: int) -> HeldSignature:
        me = self.voters.voters[ME]
        checkpoint = Checkpoint(self.voters.origin, size, bytes(32))
        blob = cosign(checkpoint, me.cosigner, seed(f"{me.node}/cosign"), TIME_S)
        return HeldSignature(size, bytes(32), blob)

    async def signs(self) -> bool:
        """Whether it would sign the next block, now."""
        await self.rejoining.step()
        return self.cosigner.window_end(self.finality.certified) > self.cosigner.signed_height

    def restarted(self) -> Voter:
        self.marker.close()
        again = Voter(self.chronicle, self.folder)
        again.nonces = self.nonces + 1
        again.finality = self.finality
        return again


@pytest.fixture
async def chronicle(tmp_path: Path) -> AsyncIterator[Chronicle]:
    made = await Chronicle.open(tmp_path / "chronicle")
    yield made
    await made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    Marker.make(made / MARKER_FILE)
    return made


@pytest.fixture
async def lost(chronicle: Chronicle, tmp_path: Path) -> AsyncIterator[Voter]:
    """A voter whose folder is empty."""
    empty = tmp_path / "empty"
    empty.mkdir()
    voter = Voter(chronicle, empty)
    yield voter
    voter.marker.close()


async def test_a_new_voter_signs_once_others_say_that_it_is_new(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    assert not await voter.signs()
    assert [number for number, _ in voter.asked] == [1, 2, 3]
    voter.tell(1, 0)
    assert not await voter.signs()
    voter.tell(3, 0)
    assert await voter.signs()
    assert voter.events == ["signing"]
    voter.marker.close()


async def test_an_empty_folder_rejoins_by_itself_a_window_above_what_the_others_signed(
    lost: Voter,
) -> None:
    assert lost.cosigner.rejoining
    await lost.grow(4)
    lost.tell(1, 4)
    lost.tell(2, 4, signed=5)
    assert not await lost.signs()
    assert lost.rejoining.view().detail.startswith("rejoining: 2 of 3 answers, waits for reimb")
    lost.tell(3, 3)
    await lost.grow(3)
    assert not await lost.signs()
    assert lost.rejoining.view().height_needed == 5 + W
    assert lost.cosigner.sign(7, 7, bytes(32), lost.chronicle.blocks[6].frontier) is None
    await lost.grow(1)
    assert await lost.signs()
    memory = lost.cosigner.memory
    assert memory.signed is not None
    assert (memory.signed.height, memory.signed.cosignature, memory.rejoining) == (8, b"", False)
    assert lost.cosigner.stored() is None
    assert lost.rejoining.view().state == "signing"


async def test_a_base_may_not_bear_its_own_signature(lost: Voter) -> None:
    await lost.grow(1)
    for number in OTHERS:
        lost.tell(number, 1)
    await lost.grow(5, (0, 1, 2))
    assert not await lost.signs()
    await lost.grow(1)
    assert await lost.signs()


async def test_answers_count_once_a_voter_and_to_this_question_only(lost: Voter) -> None:
    await lost.grow(8)
    lost.tell(1, 1)
    lost.tell(1, 1)
    lost.rejoining.receive(2, AnswerMessage(bytes(16), 0, "", None))
    lost.tell(2, 0, signed=W + 1)  # more than a voter without a certificate may sign
    assert not await lost.signs()
    assert lost.rejoining.view().answers == 1
    lost.tell(2, 1, signed=W + 2)  # the same, seen once its certificate is found
    assert not await lost.signs()
    assert lost.rejoining.view().answers == 1
    lost.tell(2, 2)
    lost.tell(3, 3)
    assert await lost.signs()


async def test_a_certificate_counts_when_the_ledger_has_come_to_it(
    lost: Voter, tmp_path: Path
) -> None:
    ahead = await Chronicle.open(tmp_path / "ahead", lost.chronicle.genesis)
    for _ in range(4):
        await ahead.add()
    note = lost.certificate(ahead.blocks[3]).encode()
    await ahead.close()
    lost.rejoining.receive(1, AnswerMessage(lost.nonces.to_bytes(16, "big"), 4, note, None))
    lost.tell(2, 0)
    lost.tell(3, 0)
    assert not await lost.signs()
    assert "catches up" in lost.rejoining.view().detail
    await lost.grow(6)
    assert not await lost.signs()
    assert lost.rejoining.view().height_needed == 4 + W
    await lost.grow(1)
    assert await lost.signs()


async def test_rejoining_holds_over_restarts_and_asks_anew(lost: Voter) -> None:
    for number in OTHERS:
        lost.tell(number, 0)
    again = lost.restarted()
    assert again.cosigner.rejoining
    await again.grow(W)
    assert not await again.signs()
    assert again.rejoining.view().answers == 0
    again.marker.close()


async def test_who_rejoins_answers_nobody(lost: Voter, chronicle: Chronicle, folder: Path) -> None:
    assert lost.answering.answer(1, bytes(16)) is None
    voter = Voter(chronicle, folder)
    answer = voter.answering.answer(1, b"n" * 16)
    assert answer == AnswerMessage(b"n" * 16, 0, "", None)
    assert voter.answering.answer(1, b"n" * 16) is None  # not so soon again
    voter.marker.close()


async def test_an_older_copy_shows_by_its_own_signature_before_it_signs(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    first = voter.nonces
    voter.tell(1, 0, held=40)
    assert voter.cosigner.rejoining
    assert voter.nonces == first + 1  # answers from before say nothing of what was signed since
    assert voter.events == ["forgotten"]
    assert voter.restarted().cosigner.rejoining


async def test_a_tree_that_no_honest_life_signed_keeps_nobody_silent(
    chronicle: Chronicle, folder: Path
) -> None:
    """Somebody lied with the key: what the others signed bounds what this voter did."""
    voter = Voter(chronicle, folder)
    voter.tell(1, 0, held=2**40)
    await voter.grow(W + 1)
    for number in OTHERS:
        voter.tell(number, 0)
    assert await voter.signs()
    voter.tell(2, 0, held=2**40)
    await voter.rejoining.step()
    assert not voter.cosigner.rejoining
    assert voter.events.count("forgotten") == 1
    voter.marker.close()


async def test_somebody_elses_words_are_no_signature_of_ours(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    nonce = voter.nonces.to_bytes(16, "big")
    forged = HeldSignature(40, bytes(32), bytes(76))
    voter.rejoining.receive(1, AnswerMessage(nonce, 0, "", forged))
    voter.tell(2, 0)
    assert await voter.signs()
    voter.marker.close()


async def test_a_damaged_marker_is_a_lost_one_and_a_torn_one_is_bounded(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    voter.tell(1, 0)
    voter.tell(2, 0)
    assert await voter.signs()
    block = await chronicle.add()
    assert voter.cosigner.sign(1, block.size, block.root, block.frontier) is not None
    voter.marker.close()
    data = bytearray((folder / MARKER_FILE).read_bytes())
    data[4_096 + 40] ^= 1
    (folder / MARKER_FILE).write_bytes(data)
    torn = Voter(chronicle, folder)
    assert (torn.cosigner.rejoining, torn.cosigner.memory.above) == (True, 1)
    checkpoint = Checkpoint(torn.voters.origin, block.size, block.root)
    torn.finality.block_applied(1, checkpoint, None)
    torn.finality.receive_certificate(1, torn.certificate(block, (0, 1, 2)))
    assert not await torn.signs()  # it may be an older copy
    torn.tell(1, 1)
    assert not await torn.signs()
    torn.tell(2, 1)
    assert await torn.signs()
    torn.marker.close()
    (folder / MARKER_FILE).write_bytes(b"x" * 8_192)
    damaged = Voter(chronicle, folder)
    assert (damaged.cosigner.rejoining, damaged.cosigner.memory.above) == (True, None)
    damaged.marker.close()


async def test_who_forgot_and_is_led_astray_then_has_not_remembered(lost: Voter) -> None:
    """What is set aside is bounded by what is remembered, and that is nothing: not the loss."""
    await lost.grow(4)
    lost.cosigner.forget(above=lost.cosigner.signed_height)  # `astray.set_aside`
    assert lost.cosigner.memory.above is None
    lost.tell(1, 4)
    lost.tell(2, 4)
    await lost.grow(W - 1)
    assert not await lost.signs()  # two are enough for finality, and not for a bound
    lost.tell(3, 4)
    assert not await lost.signs()
    await lost.grow(1)
    assert await lost.signs()


async def test_a_bound_of_an_earlier_loss_is_lowered_by_none_that_follows(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    for above, bound in ((5, 5), (3, 5), (7, 7), (None, None), (9, None)):
        voter.cosigner.forget(above=above)
        assert voter.cosigner.memory.above == bound
    voter.marker.close()


async def test_an_older_copy_with_a_torn_marker_forgot_more_than_one_write(
    chronicle: Chronicle, folder: Path
) -> None:
    """It resumed one height above what that copy had signed, before anybody was asked."""
    voter = Voter(chronicle, folder)
    voter.tell(1, 0)
    voter.tell(2, 0)
    assert await voter.signs()
    block = await chronicle.add()
    assert voter.cosigner.sign(1, block.size, block.root, block.frontier) is not None
    voter.marker.close()
    older = bytearray((folder / MARKER_FILE).read_bytes())
    older[4_096 + 40] ^= 1
    (folder / MARKER_FILE).write_bytes(older)

    copy = Voter(chronicle, folder)
    checkpoint = Checkpoint(copy.voters.origin, block.size, block.root)
    copy.finality.block_applied(1, checkpoint, None)
    copy.finality.receive_certificate(1, copy.certificate(block, (0, 1, 2)))
    await copy.grow(1)
    assert not await copy.signs()
    signed_since = chronicle.blocks[-1].size + 4
    copy.tell(1, 2, held=signed_since)
    copy.tell(2, 2)
    assert not await copy.signs()
    while chronicle.blocks[-1].size < signed_since:
        assert not await copy.signs()
        await copy.grow(1)
    assert await copy.signs()
    copy.marker.close()


async def test_an_operator_may_vouch_for_a_height(chronicle: Chronicle, folder: Path) -> None:
    write_word(folder, 4)
    voter = Voter(chronicle, folder)
    assert voter.cosigner.rejoining
    await voter.grow(3)
    assert not await voter.signs()
    assert voter.rejoining.view().height_needed == 4
    await voter.grow(1)
    assert await voter.signs()
    assert not (folder / FILE).exists()
    voter.marker.close()


async def test_an_older_copy_does_not_bring_an_operators_word_into_force_again(
    chronicle: Chronicle, folder: Path, tmp_path: Path
) -> None:
    """Everything is put back as it stood when the word was true; the voter has signed on since."""
    write_word(folder, 4)
    kept = folder.stat(), (folder / FILE).stat()
    shutil.copytree(folder, tmp_path / "backup")
    voter = Voter(chronicle, folder)
    await voter.grow(5)
    assert await voter.signs()
    voter.marker.close()
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    os.utime(folder / FILE, ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))

    copy = Voter(chronicle, folder)
    copy.finality = voter.finality
    copy.rejoining._finality = voter.finality
    assert copy.cosigner.rejoining, "but that much it says"
    assert copy.rejoining.view().height_needed is None
    await copy.grow(1)
    assert not await copy.signs(), "nobody has answered"
    for number in OTHERS:
        copy.tell(number, 5)
    await copy.grow(W)
    assert await copy.signs(), "as one to whom nobody gave a word"
    copy.marker.close()


async def test_what_has_no_room_is_not_signed_is_told_and_is_signed_later(
    chronicle: Chronicle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voter = Voter(chronicle, folder)
    for number in OTHERS:
        voter.tell(number, 0)
    await voter.rejoining.step()
    voter.events.clear()
    block = await chronicle.add()
    place = (block.height, block.size, block.root, block.frontier)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert voter.cosigner.sign(*place) is None
        assert voter.cosigner.signed_height == 0
        assert "no room" in voter.rejoining.view().detail
    await voter.rejoining.step()
    assert voter.events == ["signing"], "it is asked for again"
    assert voter.cosigner.sign(*place) is not None
    assert voter.rejoining.view().detail == ""
    voter.marker.close()


async def test_without_room_nobody_resumes_or_forgets_by_halves(
    lost: Voter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lost.grow(9)
    for number in OTHERS:
        lost.tell(number, 3)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert not await lost.signs()
        assert lost.cosigner.rejoining
        assert "no room" in lost.rejoining.view().detail
    assert await lost.signs()
    assert lost.rejoining.view().detail == ""


async def test_a_word_is_used_once_and_gone_before_it_takes_effect(
    chronicle: Chronicle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_word(folder, 1)
    voter = Voter(chronicle, folder)
    await voter.grow(2)

    def crash(base: object, frontier: object) -> None:
        assert not (folder / FILE).exists()
        raise RuntimeError("crash")

    monkeypatch.setattr(voter.cosigner, "resume_above", crash)
    with pytest.raises(RuntimeError, match="crash"):
        await voter.rejoining.step()
    again = voter.restarted()
    assert again.cosigner.rejoining
    assert again.rejoining.view().height_needed is None
    again.marker.close()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda words: words[:1], id="a height alone"),
        pytest.param(lambda words: [*words[:3], "another-boot"], id="another boot"),
        pytest.param(lambda words: [words[0], "1", *words[2:]], id="another file"),
        pytest.param(lambda words: [*words[:2], "1", words[3]], id="another time"),
    ],
)
def test_a_word_counts_only_where_and_when_it_was_said(
    folder: Path, spoil: Callable[[list[str]], list[str]]
) -> None:
    write_word(folder, 7)
    path = folder / FILE
    assert read_word(folder) == (True, 7, "")
    words = spoil(path.read_text().split())
    with path.open("r+") as file:  # the same file
        file.truncate()
        file.write(" ".join(words))
    asked, vouched, void = read_word(folder)
    assert (asked, vouched) == (True, None)
    assert str(path) in void


def test_a_file_that_cannot_be_read_stops_the_start(folder: Path) -> None:
    (folder / FILE).mkdir()
    with pytest.raises(RejoinFileError, match="Is a directory"):
        read_word(folder)


@pytest.mark.parametrize("word", ["-1", "five", "９", "1e3", str(2**53 + 1), "x" * 100])
def test_an_operators_word_is_one_height(folder: Path, word: str) -> None:
    (folder / FILE).write_text(word)
    marker = Marker.open(folder / MARKER_FILE)
    me = "bureau"
    with pytest.raises(RejoinFileError, match="must be empty or hold"):
        recall(folder, marker, _cosigner(marker, me))
    marker.close()


async def test_an_operator_cannot_vouch_for_less_than_is_remembered(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    voter.cosigner.held_back = False
    for _ in range(2):
        block = await chronicle.add()
        voter.cosigner.sign(block.height, block.size, block.root, block.frontier)
    path = folder / MARKER_FILE
    path.rename(folder / "hidden")  # the command itself would refuse
    write_word(folder, 1)
    (folder / "hidden").rename(path)
    with pytest.raises(RejoinFileError, match="signed height 2"):
        recall(folder, voter.marker, voter.cosigner)
    voter.marker.close()


async def test_the_marker_of_another_voter_is_no_memory_of_ones_own(
    chronicle: Chronicle, folder: Path
) -> None:
    """As when a backup is put back into the wrong folder: it loads, and is whole."""
    marker = Marker.open(folder / MARKER_FILE)
    other = _cosigner(marker, "issuer")
    block = await chronicle.add()
    assert other.sign(block.height, block.size, block.root, block.frontier) is not None
    recall(folder, marker, other)
    assert not other.rejoining, "its own"
    marker.close()

    voter = Voter(chronicle, folder)
    assert voter.cosigner.rejoining
    assert voter.cosigner.memory.above is None, "nothing bounds what was lost"
    assert voter.cosigner.stored() is None, "another's signature is not told as one's own"
    voter.marker.close()
    again = Voter(chronicle, folder)
    assert again.cosigner.rejoining, "and that is kept"
    again.marker.close()


def _cosigner(marker: Marker, node: str) -> Cosigner:
    voter = VoterSet.from_genesis(make_genesis()).by_node[node]
    return Cosigner(voter, seed(f"{node}/cosign"), marker, lambda: TIME_S)


# --- The window ------------------------------------------------------------------------------


async def test_a_height_above_the_window_is_signed_when_finality_grows(
    chronicle: Chronicle, folder: Path
) -> None:
    voter = Voter(chronicle, folder)
    voter.cosigner.held_back = False
    for _ in range(W + 2):
        block = await chronicle.add()
        checkpoint = Checkpoint(voter.voters.origin, block.size, block.root)
        voter.finality.block_applied(block.height, checkpoint, None)
        statement = voter.cosigner.sign(block.height, block.size, block.root, block.frontier)
        assert (statement is None) == (block.height > W)
    first, last = chronicle.blocks[0], chronicle.blocks[-1]
    voter.finality.receive_certificate(1, voter.certificate(first))
    certified = voter.finality.certified
    assert voter.cosigner.sign(W + 2, last.size, last.root, last.frontier, certified) is None
    block = chronicle.blocks[W]
    assert voter.cosigner.sign(W + 1, block.size, block.root, block.frontier, certified)
    # The certificate that allowed it is in the same write: no loss elsewhere takes it away.
    again = voter.restarted()
    assert again.cosigner.memory.certified == certified
    again.marker.close()

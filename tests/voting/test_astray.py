"""What is set aside and what is kept when another history is certified than a node's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.evidence.excuse import verify_resumption
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import RootEvidence, RootStatement, encode_evidence
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock
from node.storage.marker import MARKER_FILE, Marker
from node.voting import astray
from node.voting.cosigner import Cosigner
from tests.chain.network import TIME_S, seed
from tests.node.chronicle import Chronicle, issue

ME = 2
KEPT = ("outbox.db", "wallet.db", MARKER_FILE)
FOLLOWS = ("raft.db", "raft.db-wal", "heads.db", "index.db", "examined")


def cosigner_of(chronicle: Chronicle) -> tuple[Cosigner, Marker]:
    voter = chronicle.voters.voters[ME]
    path = chronicle.folder / MARKER_FILE
    if not path.exists():
        Marker.make(path)
    marker = Marker.open(path)
    return Cosigner(voter, seed(f"{voter.node}/cosign"), marker, lambda: TIME_S), marker


async def led_astray(folder: Path, serial: int) -> tuple[Chronicle, AppliedBlock]:
    """A node that signed one block more than the others have."""
    chronicle = await Chronicle.open(folder)
    cosigner, marker = cosigner_of(chronicle)
    for number in (1, serial):
        block = await chronicle.add(issue(chronicle.genesis, number))
        assert cosigner.sign(block.height, block.size, block.root, block.frontier) is not None
    marker.close()
    return chronicle, chronicle.blocks[-1]


async def test_promises_and_evidence_are_kept_and_the_rest_is_set_aside(tmp_path: Path) -> None:
    chronicle, block = await led_astray(tmp_path / "node", 9)
    evidence = RootEvidence(
        1,
        *sorted(
            RootStatement(7, root, _cosign(chronicle, root)) for root in (bytes(32), b"r" * 32)
        ),
    )
    found = judge(evidence, chronicle.voters)
    await chronicle.ledger.store_evidence(found.id, 5, encode_evidence(evidence))
    certificate = chronicle.certificate(block, (0, 1, 3))
    await chronicle.close()
    folder = chronicle.folder
    for name in (*KEPT, *FOLLOWS):
        (folder / name).touch()

    cosigner, marker = cosigner_of(chronicle)
    assert astray.set_aside(folder, ("examined",), chronicle.voters, cosigner, 1) is None
    astray.note(folder, certificate)
    record = astray.set_aside(folder, ("examined",), chronicle.voters, cosigner, 1)

    assert record is not None
    assert sorted(path.name for path in folder.iterdir()) == sorted((*KEPT, record.name))
    assert {"ledger.db", "certificate", *FOLLOWS} <= {path.name for path in record.iterdir()}
    assert cosigner.rejoining
    assert cosigner.memory.above == cosigner.signed_height == 2
    assert astray.set_aside(folder, ("examined",), chronicle.voters, cosigner, 2) is None
    marker.close()
    again = await Ledger.open(
        folder / "ledger.db", chronicle.genesis, chronicle.voters.hash, lambda _: None
    )
    reader = await LedgerReader.open(folder / "ledger.db")
    await astray.take_along(record, again)
    assert [row[0] for row in await reader.evidence(None, 9)] == [found.id]
    await reader.close()
    await again.close()


def _cosign(chronicle: Chronicle, root: bytes) -> bytes:
    voter = chronicle.voters.voters[1]
    checkpoint = Checkpoint(voter.origin, 7, root)
    return cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), TIME_S)


async def test_a_start_that_was_cut_off_in_the_middle_is_taken_up(tmp_path: Path) -> None:
    chronicle, block = await led_astray(tmp_path / "node", 9)
    astray.note(chronicle.folder, chronicle.certificate(block, (0, 1, 3)))
    await chronicle.close()
    folder = chronicle.folder
    (folder / "astray-5").mkdir()
    (folder / "raft.db").touch()
    (folder / "raft.db").rename(folder / "astray-5" / "raft.db")
    cosigner, marker = cosigner_of(chronicle)
    record = astray.set_aside(folder, (), chronicle.voters, cosigner, 6)
    assert record is not None
    assert (record / "ledger.db").exists()
    assert not (folder / "ledger.db").exists()
    marker.close()


async def test_a_start_that_was_cut_off_goes_on_in_the_record_that_it_began(
    tmp_path: Path,
) -> None:
    """After any of its moves: evidence and the leader's entries are in one place."""
    chronicle, block = await led_astray(tmp_path / "node", 9)
    certificate = chronicle.certificate(block, (0, 1, 3))
    await chronicle.close()
    folder = chronicle.folder
    (folder / "raft.db").touch()
    cosigner, marker = cosigner_of(chronicle)
    for moved in (["raft.db"], ["raft.db", "ledger.db"]):
        astray.note(folder, certificate)
        record = astray.newest_record(folder) or folder / "astray-5"
        record.mkdir(exist_ok=True)
        (record / "certificate").write_text(certificate.encode(), encoding="utf-8")
        for name in moved:
            if (folder / name).exists():
                (folder / name).rename(record / name)
        assert astray.set_aside(folder, (), chronicle.voters, cosigner, 6) == record
        assert {"raft.db", "ledger.db"} <= {path.name for path in record.iterdir()}
    assert astray.newest_record(folder) == folder / "astray-5"
    marker.close()


async def test_a_clock_that_was_set_back_loses_no_newest_record(tmp_path: Path) -> None:
    chronicle, block = await led_astray(tmp_path / "node", 9)
    await chronicle.close()
    folder = chronicle.folder
    cosigner, marker = cosigner_of(chronicle)
    for now_ms in (9_000, 10_000, 10_001):
        (folder / f"astray-{now_ms}").mkdir()
    astray.note(folder, chronicle.certificate(block, (0, 1, 3)))
    record = astray.set_aside(folder, (), chronicle.voters, cosigner, 50)
    assert record is not None
    assert record == astray.newest_record(folder)
    assert (record / "ledger.db").exists()
    assert not (folder / "astray-9000").exists()
    marker.close()


@pytest.mark.parametrize("text", ["", "nothing", "few"])
async def test_a_note_that_is_no_certificate_sets_nothing_aside(tmp_path: Path, text: str) -> None:
    chronicle, block = await led_astray(tmp_path / "node", 9)
    await chronicle.close()
    if text == "few":
        certificate = chronicle.certificate(block, (0, 1, 3)).encode()
        text = "\n".join(certificate.split("\n")[:-2]) + "\n"
    (chronicle.folder / astray.FILE).write_text(text)
    cosigner, marker = cosigner_of(chronicle)
    assert astray.set_aside(chronicle.folder, (), chronicle.voters, cosigner, 1) is None
    assert not (chronicle.folder / astray.FILE).exists()
    assert (chronicle.folder / "ledger.db").exists()
    assert not cosigner.rejoining
    marker.close()


async def test_only_the_newest_records_are_kept(tmp_path: Path) -> None:
    chronicle, block = await led_astray(tmp_path / "node", 9)
    await chronicle.close()
    cosigner, marker = cosigner_of(chronicle)
    for now_ms in range(1_000, 1_008):
        (chronicle.folder / "ledger.db").touch()  # each time another one
        astray.note(chronicle.folder, chronicle.certificate(block, (0, 1, 3)))
        astray.set_aside(chronicle.folder, (), chronicle.voters, cosigner, now_ms)
    names = sorted(path.name for path in chronicle.folder.glob("astray-*"))
    assert names == ["astray-1005", "astray-1006", "astray-1007"]
    marker.close()


async def test_what_was_signed_astray_is_compared_no_more_and_a_base_is_above_it(
    tmp_path: Path,
) -> None:
    chronicle, _ = await led_astray(tmp_path / "node", 9)
    true = await Chronicle.open(tmp_path / "true")
    blocks = [await true.add(issue(true.genesis, serial)) for serial in (1, 2, 3)]
    cosigner, marker = cosigner_of(chronicle)
    cosigner.forget(above=cosigner.signed_height)
    cosigner.compare(2, blocks[1].size, blocks[1].root)
    certificate = true.certificate(blocks[2], (0, 1, 3))
    base = CertifiedHead.of(3, certificate, true.voters)
    resumption = cosigner.sign_resumption(true.voters, base)
    assert verify_resumption(resumption, true.voters).checkpoint == certificate.checkpoint
    cosigner.resume_above(base, blocks[2].frontier)
    fourth = await true.add(issue(true.genesis, 4))
    assert cosigner.sign(4, fourth.size, fourth.root, fourth.frontier, base) is not None
    marker.close()
    await true.close()
    await chronicle.close()

"""Every byte that `node/chain/README.md` shows is true, by the verifier that follows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from node.ledger import text as spelling
from node.ledger.types import ROLE_NAMES
from tests.chain.page import PAGE, blocks, render, terms
from tests.outsider.from_page import details
from tests.outsider.from_page.evidence import verify_evidence
from tests.outsider.from_page.form import RefusedError, pack, signed, unbase64, unpack
from tests.outsider.from_page.genesis import UNSEEN, read_network
from tests.outsider.from_page.note import read_note
from tests.outsider.from_page.proof import read_leaf, verify_proof
from tests.outsider.from_page.tree import leaf_hash

TEXT = PAGE.read_text()
BLOCKS = blocks(TEXT)
NETWORK = read_network(BLOCKS["network"].encode())


def in_hex(name: str) -> bytes:
    return bytes.fromhex(BLOCKS[name])


def test_the_blocks_are_as_the_product_makes_them() -> None:
    assert render(TEXT) == TEXT, "python -m tests.chain.page writes it again"
    assert len(BLOCKS) == 20


def test_the_example_of_messagepack() -> None:
    (written,) = re.findall(r"`(96 [0-9a-f ]+)`", TEXT)
    value = [0, -33, 65_536, None, "é", b"\x00\xff"]
    assert pack(value) == bytes.fromhex(written)
    assert unpack(bytes.fromhex(written)) == value


def test_the_characters_that_no_name_has() -> None:
    (written,) = re.findall(r"^    (0–1f .*\n    .*)$", TEXT, re.MULTILINE)
    ranges = [each.partition("–") for each in written.split()]
    listed = {n for a, _, b in ranges for n in range(int(a, 16), int(b or a, 16) + 1)}
    everything = "".join(map(chr, range(0x110000)))
    assert set(map(ord, re.findall(UNSEEN, everything))) == listed
    kinds = (spelling._CONTROLS, spelling._DIRECTIONS, spelling._NO_TEXT, spelling._INVISIBLE)
    assert set(map(ord, re.findall(f"[{''.join(kinds)}]", everything))) == listed


def test_the_network_and_its_keys() -> None:
    assert NETWORK.id == in_hex("network-id")
    assert NETWORK.voters_hash == in_hex("voters-hash")
    for voter in NETWORK.voters:
        assert f"log {voter.origin.vkey}\n" in BLOCKS["policy"]
        assert f"witness voter-{voter.node} {voter.cosign.vkey}\n" in BLOCKS["policy"]
    assert f"any-3-of-4 {NETWORK.quorum} " in BLOCKS["policy"]


def test_the_details() -> None:
    document, salt = BLOCKS["details"].strip().encode(), bytes(range(32))
    items = details.items(document, salt)
    rows = [f"{path}  {own.hex()}  {value.decode()}\n" for path, own, value in items]
    assert "".join(rows) == BLOCKS["items"]
    path, own, value = items[0]
    assert details.item(path, value, own) == in_hex("item")
    assert details.commitment(document, salt) == in_hex("commitment")
    assert in_hex("commitment") in in_hex("body") in in_hex("leaf")


def test_the_leaf_the_seal_and_the_signature() -> None:
    assert leaf_hash(in_hex("leaf")) == in_hex("leaf-hash")
    read_leaf(NETWORK, in_hex("seal"))
    note = BLOCKS["proof"].partition("\n\n")[2]
    assert read_note(NETWORK, note).root == in_hex("root")
    (line,) = re.findall("/bureau (.+)", note)
    cosignature = unbase64(line)
    assert signed(NETWORK.voters[0].cosign.public, in_hex("cosigned"), cosignature[12:])


def test_the_proofs() -> None:
    verdict = verify_proof(NETWORK, BLOCKS["proof"].encode())
    assert verdict["transaction"] == BLOCKS["txid"].strip()
    (shown,) = verdict["disclosed"]
    assert shown["value"] == json.loads(BLOCKS["details"])["lines"][0]
    refused = verify_proof(NETWORK, BLOCKS["refused"].encode())
    assert f"(code {refused['code']})" in TEXT
    assert refused["code"]


def test_the_evidence_and_its_excuse() -> None:
    found = verify_evidence(NETWORK, BLOCKS["evidence"].encode())
    assert (found["voter"], found["id"]) == ("issuer", BLOCKS["evidence-id"].strip())
    excused = BLOCKS["excused"]
    with pytest.raises(RefusedError, match="led astray"):
        verify_evidence(NETWORK, excused.encode())
    without = excused.partition("excuse\n")[0]
    assert verify_evidence(NETWORK, without.encode())["voter"] == "payer"


def test_the_page_names_every_role_and_term() -> None:
    for line in terms():
        assert line in TEXT
    assert ", ".join(f"`{role}`" for role in ROLE_NAMES) in TEXT


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "network.toml").write_text(BLOCKS["network"])
    codes = {}
    for name in ("proof", "refused", "evidence", "excused"):
        (tmp_path / name).write_text(BLOCKS[name])
        command = [sys.executable, "-m", "tests.outsider.from_page", str(tmp_path / name)]
        done = subprocess.run(
            [*command, str(tmp_path / "network.toml")],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
        )
        codes[name] = done.returncode
        assert json.loads(done.stdout)["valid"] is (done.returncode != 1)
    assert codes == {"proof": 0, "refused": 3, "evidence": 0, "excused": 1}

"""A thousand changed proof files: none is valid, none crashes the verifier, each has its reason."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from node.chain.checkpoint import sign_origin
from node.chain.verify import verify_proof_file
from node.command import main
from tests.chain.mutations import mutations
from tests.chain.network import Network, genesis_text, make_genesis, seed
from tests.chain.test_proof import disclosing, shown

NETWORK = Network()
for _count in (3, 0, 40, 5, 260):
    NETWORK.add_block(_count)
EARLIER = Network()
for _count in (3, 0, 40):
    EARLIER.add_block(_count)
GENESIS = NETWORK.genesis


def strangers() -> list[bytes]:
    """Valid in another network, whose voters have the same names and keys."""
    other = Network(make_genesis(name="other"))
    for count in (3, 0, 40, 5, 260):
        other.add_block(count)
    return [other.prove(index).encode().encode() for index in (0, 9, 250)]


PROVEN = [NETWORK.prove(index).encode().encode() for index in (0, 9, 43, 250, 312)]
"""Transactions and seals, first and last."""
SPLICED = [
    *PROVEN,
    *(EARLIER.prove(index).encode().encode() for index in (0, 9, 10, 43)),
    *strangers(),
]
"""Of the leaves in `PROVEN` also what the earlier tree proves: a splice may well be that."""


@pytest.mark.parametrize("data", PROVEN, ids=["first", "middle", "seal", "later", "last"])
def test_no_changed_proof_is_valid(data: bytes) -> None:
    assert verify_proof_file(data, GENESIS).valid
    reasons = set()
    for changed in mutations(data, SPLICED, 400, seed=len(data)):
        verdict = verify_proof_file(changed, GENESIS)
        assert not verdict.valid
        assert verdict.reason
        assert msgspec.structs.astuple(verdict)[2:] == (*(None,) * 6, (), ())
        reasons.add(verdict.reason)
    assert len(reasons) >= 12


def test_no_changed_proof_with_disclosures_is_valid_or_shows_anything() -> None:
    network, proof = disclosing(*shown(0, 4))
    data = proof.encode().encode()
    assert len(verify_proof_file(data, network.genesis).disclosed) == 2
    for changed in mutations(data, SPLICED, 400, seed=5):
        verdict = verify_proof_file(changed, network.genesis)
        assert not verdict.valid
        assert verdict.reason
        assert verdict.disclosed == ()


def test_signatures_in_other_lines_and_numbers_are_refused() -> None:
    replace = msgspec.structs.replace
    proof = NETWORK.prove(9)
    certificate = proof.certificate
    lines = certificate.cosignatures
    origin = sign_origin(NETWORK.checkpoint, seed("bank/origin"))
    for changed in (
        replace(certificate, cosignatures=(lines[0], lines[0], lines[1])),
        replace(certificate, cosignatures=(*lines, lines[-1])),
        replace(certificate, cosignatures=lines[::-1]),
        replace(certificate, cosignatures=lines[:-1]),
        replace(
            certificate,
            cosignatures=(lines[0], replace(lines[1], blob=lines[2].blob), lines[2]),
        ),
        replace(certificate, origin_signature=origin),
    ):
        verdict = verify_proof_file(replace(proof, certificate=changed).encode(), GENESIS)
        assert not verdict.valid
        assert verdict.reason


def test_the_command_refuses_changed_files_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, file = tmp_path / "network.toml", tmp_path / "a.proof"
    network.write_text(genesis_text(GENESIS))
    arguments = ["verify", str(file), "--network", str(network), "--json"]
    file.write_bytes(PROVEN[1])
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["valid"]
    for changed in mutations(PROVEN[1], strangers(), 56, seed=3):
        file.write_bytes(changed)
        assert main(arguments) == 1
        verdict = json.loads(capsys.readouterr().out)
        assert (verdict["valid"], verdict["transaction"]) == (False, None)
        assert verdict["reason"]

"""`piaolian network keys`: verifier keys, and a policy that other log tools read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.chain.certificate import Certificate
from node.chain.note import open_note, parse_note, parse_verifier_key
from node.chain.policy import policy_text
from node.chain.voters import VoterSet
from node.command import main
from tests.chain.network import Network, genesis_text, make_genesis


@pytest.fixture
def genesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.toml"
    path.write_text(genesis_text(make_genesis()))
    return path


def accepts(policy: str, certificate: Certificate) -> bool:
    """Judge a checkpoint as the specification of policies says, knowing nothing of the network."""
    logs, witnesses, groups, quorum = [], {}, {}, ""
    for line in policy.splitlines():
        words = line.split()
        match words:
            case ["log", vkey, *_]:
                logs.append(parse_verifier_key(vkey))
            case ["witness", name, vkey]:
                assert name not in witnesses
                witnesses[name] = parse_verifier_key(vkey)
            case ["group", name, k, *members]:
                assert name not in witnesses
                assert set(members) <= set(witnesses)
                groups[name] = (int(k), members)
            case ["quorum", name]:
                assert not quorum
                quorum = name
            case _:
                assert line.startswith("#")
    note = parse_note(certificate.encode())
    signed = {(line.name, line.key_id) for line in note.signatures}
    if not any((key.name, key.id) in signed for key in logs):
        return False
    needed, members = groups[quorum]
    cosigned = [m for m in members if (witnesses[m].name, witnesses[m].id) in signed]
    return len(cosigned) >= needed


@pytest.mark.parametrize("voters", [1, 3, 4, 7])
def test_the_policy_is_the_rule_of_finality(voters: int) -> None:
    network = Network(make_genesis(voters))
    network.add_block()
    proof = network.prove(0)
    text = policy_text(network.voters)
    assert accepts(text, proof.certificate)
    q = network.voters.q
    fewer = Certificate(
        proof.certificate.checkpoint,
        proof.certificate.cosignatures[: q - 1],
        proof.certificate.origin_signature,
    )
    assert not accepts(text, fewer)
    assert not accepts(text, Certificate(fewer.checkpoint, proof.certificate.cosignatures))


def test_its_log_keys_open_checkpoints(genesis: Path) -> None:
    network = Network()
    network.add_block()
    keys = [parse_verifier_key(line.split()[1]) for line in lines_of(network.voters, "log")]
    note = open_note(network.prove(0).certificate.encode(), keys)
    assert [line.name for line in note.signatures] == [network.voters.origin]


def lines_of(voters: VoterSet, kind: str) -> list[str]:
    return [line for line in policy_text(voters).splitlines() if line.startswith(f"{kind} ")]


def test_the_command_prints_and_writes_the_policy(
    genesis: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = policy_text(VoterSet.from_genesis(make_genesis()))
    for named in (["network.toml"], ["--network", "network.toml"]):
        assert main(["network", "keys", *named]) == 0
        assert capsys.readouterr().out == expected
    assert main(["network", "keys", "network.toml", "-o", "a.policy", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert Path("a.policy").read_text() == expected == value["policy"]
    assert value["quorum"] == 3
    assert list(value["cosigners"]) == ["bureau", "issuer", "payer", "reimburser"]
    assert all(parse_verifier_key(key).type == 4 for key in value["cosigners"].values())
    assert all(parse_verifier_key(key).type == 1 for key in value["log"])
    assert {parse_verifier_key(key).name for key in value["log"]} == {value["origin"]}


def test_the_url_stands_in_the_log_lines(genesis: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "keys", "network.toml", "--url", "https://log.example.org/p"]) == 0
    logs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("log ")]
    assert all(line.endswith(" https://log.example.org/p") for line in logs)
    for wrong in ("ftp://x", "https://a b", "https://a\nquorum none"):
        assert main(["network", "keys", "network.toml", "--url", wrong]) == 2


def test_a_genesis_is_named_once(genesis: Path) -> None:
    assert main(["network", "keys", "network.toml", "--network", "network.toml"]) == 2
    assert main(["network", "keys", "missing.toml"]) == 2

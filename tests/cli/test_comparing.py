"""`piaolian compare` and `piaolian verify` over files: what they say, write and refuse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from node.chain.certificate import Certificate
from node.chain.leaf import encode_leaf
from node.chain.tiles import TILE_WIDTH, parse_tile_path
from node.command import main
from node.ledger.codes import Code
from tests.chain.mutations import mutations
from tests.chain.network import AUTHOR, Network, genesis_text, make_leaf
from tests.cluster.fork import serve


def history(*blocks: int, state: int = 0) -> Network:
    network = Network()
    for number, count in enumerate(blocks):
        network.add_block(count, state=bytes((state if number > 1 else 0,)) * 32)
    return network


TRUE, LARGER, FORK = history(3, 3, 3), history(3, 3, 3, 400), history(3, 3, 500, 20, state=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("network.toml").write_text(genesis_text(TRUE.genesis))
    for name, network in (("true", TRUE), ("larger", LARGER), ("fork", FORK)):
        write_tiles(Path(name), network, network.certify(1, 2, 3))
        Path(f"{name}.checkpoint").write_text(network.certify(0, 1, 2).encode())
        Path(f"{name}.proof").write_text(network.prove(11).encode())
    return tmp_path


def write_tiles(folder: Path, network: Network, certificate: Certificate) -> None:
    """A mirror in the layout of C2SP tlog-tiles."""
    folder.mkdir()
    (folder / "checkpoint").write_text(certificate.encode())
    for (level, number), data in network.tiles.items():
        partial = "" if len(data) == TILE_WIDTH * 32 else f".p/{len(data) // 32}"
        path = folder / f"tile/{level}/{number:03}{partial}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--network", "network.toml", "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else err


@pytest.mark.parametrize(
    "sources", [("true", "larger"), ("larger.checkpoint", "larger"), ("true.proof", "larger")]
)
def test_one_history_is_consistent(
    sources: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for pair in (sources, sources[::-1]):
        code, value = run(capsys, "compare", *pair, "-o", "none")
        assert (code, value["consistent"], value["evidence"]) == (0, True, [])
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("sources", "kind", "liars"),
    [
        (("larger", "fork"), "leaves", ["issuer", "payer", "reimburser"]),
        (("true.checkpoint", "fork"), "roots", ["issuer", "payer"]),
        (("true.proof", "fork"), "roots", ["issuer", "payer"]),
        (("fork.proof", "larger"), "leaves", ["issuer", "payer"]),  # without the larger tree
    ],
)
def test_each_liar_gets_a_file_that_verifies(
    sources: tuple[str, str], kind: str, liars: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, value = run(capsys, "compare", *sources, "-o", "found.evidence")
    assert (code, value["consistent"]) == (1, False)
    assert [(row["voter"], row["kind"]) for row in value["evidence"]] == [
        (liar, kind) for liar in liars
    ]
    for row in value["evidence"]:
        assert row["file"] == f"found.{row['voter']}.evidence"
        code, verdict = run(capsys, "verify", row["file"])
        assert code == 0
        assert verdict == {
            "valid": True,
            "reason": "",
            "kind": kind,
            "voter": row["voter"],
            "sentence": row["sentence"],
            "id": row["id"],
        }


def test_a_single_liar_gets_the_name_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = FORK.certify()
    line = alone.cosignatures[1]
    write_tiles(Path("alone"), FORK, Certificate(alone.checkpoint, (line,)))
    code, value = run(capsys, "compare", "true.checkpoint", "alone", "-o", "found")
    assert (code, value["evidence"][0]["voter"]) == (1, "issuer")
    assert run(capsys, "verify", "found")[0] == 0


def test_a_liar_missing_under_the_newest_checkpoint_is_found_under_an_earlier_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A checkpoint has the first q cosignatures: the liar was late under the last."""
    grown = {height: history(*([3] * height)) for height in range(1, 7)}
    signers = {height: (1, 2, 3) if height in {3, 4} else (0, 2, 3) for height in grown}
    asked: list[str] = []

    def read(path: str) -> bytes | None:
        asked.append(path)
        if path == "/checkpoint":
            return grown[6].certify(*signers[6]).encode().encode()
        if path.startswith("/v1/blocks?"):
            return json.dumps({"blocks": [{"height": 6}]}).encode()
        if path.startswith("/v1/blocks/"):
            height = int(path.rpartition("/")[2])
            note = grown[height].certify(*signers[height]).encode() if height != 5 else None
            return json.dumps({"certificate": note}).encode()
        address = parse_tile_path(path.removeprefix("/"))
        assert address.level is not None
        return grown[6].tiles[address.level, address.number][: address.width * 32]

    line = FORK.certify().cosignatures[1]
    write_tiles(Path("alone"), FORK, Certificate(FORK.checkpoint, (line,)))
    with serve(read) as url:
        for sources in ((url, "alone"), ("alone", url)):
            code, value = run(capsys, "compare", *sources, "-o", "found.evidence")
            assert (code, value["first_difference"]) == (1, 11)
            assert [row["voter"] for row in value["evidence"]] == ["issuer"]
            assert run(capsys, "verify", "found.evidence")[1]["voter"] == "issuer"
    assert "/v1/blocks/4" in asked
    assert "/v1/blocks/3" not in asked, "one is enough"


@pytest.mark.parametrize(
    "nonsense", [b"", b"[]", b'{"blocks": []}', b'{"blocks": [{"height": "x"}]}']
)
def test_a_server_without_blocks_costs_only_evidence(
    nonsense: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(path: str) -> bytes | None:
        if path == "/checkpoint":
            return LARGER.certify(0, 2, 3).encode().encode()
        if path.startswith("/v1/blocks"):
            return nonsense or None
        address = parse_tile_path(path.removeprefix("/"))
        assert address.level is not None
        return LARGER.tiles[address.level, address.number][: address.width * 32]

    line = FORK.certify().cosignatures[1]
    write_tiles(Path("alone"), FORK, Certificate(FORK.checkpoint, (line,)))
    with serve(read) as url:
        code, value = run(capsys, "compare", url, "alone", "-o", "found")
    assert (code, value["consistent"], value["evidence"]) == (1, False, [])
    assert value["first_difference"] == 11
    assert not Path("found").exists()


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        (("true", "fork.checkpoint"), "neither its tiles nor a leaf"),
        (("true", "missing"), "missing"),
        (("true", "empty"), "no checkpoint"),
        (("true", "gap"), "lacks what its checkpoint covers"),
        (("true", "false"), "do not make the root"),
        (("true", "network.toml"), "network.toml"),
        (("true", "bad.proof"), "bad.proof: "),
        (("true", "garbage"), "garbage: "),
        (("true", "ftp://127.0.0.1"), "ftp"),
        (("true", "https://127.0.0.1"), "http://HOST:PORT"),
        (("true", "http://127.0.0.1:99999"), "99999"),
        (("true", "http://127.0.0.1/path"), "http://HOST:PORT"),
        (("true", "http://127.0.0.1:1"), "no answer"),
    ],
)
def test_what_cannot_be_concluded_is_exit_code_2(
    sources: tuple[str, str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.cli.sources._PATIENCE_S", 0.0)
    Path("empty").mkdir()
    for name in ("gap", "false"):
        write_tiles(Path(name), FORK, FORK.certify())
    for path in Path("gap/tile/0").rglob("*"):
        if path.is_file():
            path.unlink()
    Path("false/tile/0/000").write_bytes(bytes(8192))
    Path("bad.proof").write_bytes(Path("true.proof").read_bytes().replace(b"index 11", b"index 10"))
    Path("garbage").write_bytes(b"\xff\x00" * 3_000)
    code, error = run(capsys, "compare", *sources, "-o", "found")
    assert code == 2
    assert complaint in error
    assert "Traceback" not in error
    assert not Path("found").exists()


def test_a_place_that_cannot_be_written_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run(capsys, "compare", "larger", "fork", "-o", "nowhere/found")
    assert code == 2
    assert "nowhere" in error


def test_a_changed_evidence_file_names_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "compare", "larger", "fork", "-o", "found.evidence")
    data = Path("found.payer.evidence").read_bytes()
    others = [Path("true.proof").read_bytes(), Path("true.checkpoint").read_bytes()]
    for changed in mutations(data, others, 28, seed=11):
        Path("changed").write_bytes(changed)
        code, verdict = run(capsys, "verify", "changed")
        assert (code, verdict["valid"]) == (1, False)
        assert verdict.get("voter") is None
        assert verdict["reason"]


def test_lines_of_others_under_a_checkpoint_change_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Real witnesses cosign any checkpoint; a voter's name with another key is a stranger too."""
    voter = TRUE.voters.voters[0]
    lines = "".join(
        f"— {name} {base64.b64encode(blob).decode()}\n"
        for name, blob in (
            ("witness.example.com", bytes(range(76))),
            (voter.cosigner, bytes(76)),
            (voter.origin, bytes(68)),
            ("pq.example.com", bytes(4_000)),
        )
    )
    note = Path("true.checkpoint").read_text()
    body, _, own = note.partition("\n\n")
    Path("witnessed").write_text(f"{body}\n\n{lines}{own}{lines}")
    for sources in (("witnessed", "larger"), ("larger", "witnessed")):
        code, value = run(capsys, "compare", *sources)
        assert (code, value["consistent"]) == (0, True)
    (Path("fork") / "checkpoint").write_text(
        (Path("fork") / "checkpoint").read_text().replace("\n\n", f"\n\n{lines}")
    )
    code, value = run(capsys, "compare", "witnessed", "fork")
    assert code == 1
    assert [row["voter"] for row in value["evidence"]] == ["issuer", "payer"]


def test_a_false_line_of_a_voter_is_forged_whatever_stands_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = Path("true.checkpoint").read_text()
    for voter in TRUE.voters.voters:
        for name, blob in (
            (voter.cosigner, voter.cosign_id + bytes(72)),
            (voter.origin, voter.origin_id + bytes(64)),
            (voter.cosigner, voter.cosign_id + b"short"),
        ):
            Path("false").write_text(f"{note}— {name} {base64.b64encode(blob).decode()}\n")
            code, error = run(capsys, "compare", "false", "larger")
            assert code == 2
            assert "does not verify" in error


def test_a_proof_of_a_refusal_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = Network()
    for nonce, outcome in enumerate((Code.OK, Code.QUOTA_EXCEEDED, 9_999)):
        network.append([encode_leaf(make_leaf(network.voters.network_id, nonce, 1, outcome))])
    for index, (code, name) in enumerate(((0, "OK"), (3, "QUOTA_EXCEEDED"), (3, "9999"))):
        Path("a.proof").write_text(network.prove(index).encode())
        found, value = run(capsys, "verify", "a.proof")
        assert (found, value["valid"], value["code"]) == (code, True, name)
    assert main(["verify", "--help"]) == 0
    assert "refused the transaction" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("payer", "issuer", "nodes must differ"),
        (TRUE.genesis.voters[1].cosign_key, TRUE.genesis.voters[0].cosign_key, "keys must differ"),
        (TRUE.genesis.voters[1].cosign_key, TRUE.genesis.voters[0].origin_key, "keys must differ"),
        (TRUE.genesis.participants[0].signing_key, TRUE.genesis.voters[0].cosign_key, "differ"),
        (f'["{AUTHOR}"]', f'["{AUTHOR}", "{AUTHOR}"]', "governors must differ"),
        ('["issuer"]', '["issuer", "issuer"]', "must differ"),
        ("threshold = 1", "threshold = 1" + "0" * 5_000, "network.toml"),
        ("threshold = 1", "threshold = " + "[" * 50_000, "network.toml"),
        ("threshold = 1", "threshold = 1\nthreshold = 1", "network.toml"),
        ("作者", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_genesis_in_which_anything_counts_twice_or_cannot_be_read_is_refused(
    old: str, new: str | bytes, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path("network.toml").read_text().replace("\\u4f5c\\u8005", "作者").encode()
    inserted = new.encode() if isinstance(new, str) else new
    assert old.encode() in text
    Path("network.toml").write_bytes(text.replace(old.encode(), inserted))
    code, error = run(capsys, "verify", "true.proof")
    assert code == 2
    assert complaint in error


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://a..b",
        "http://127.0.0.1:99999",
        "http://[v1.x]",
        f"http://{'a' * 300}",
    ],
)
def test_an_address_that_is_none_is_bad_usage(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "compare", url, "true")
    assert code == 2
    assert "internal error" not in said


@pytest.mark.parametrize(
    "answer",
    [b"[" * 200_000, b'{"a":' * 100_000, b"x" * (65 << 20), b"\xff", b"[]"],
    ids=["deep array", "deep object", "too large", "no text", "no object"],
)
@pytest.mark.parametrize("path", ["/checkpoint", "/v1/blocks"])
def test_nonsense_of_a_node_never_passes_for_another_history(
    answer: bytes, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 would say that it signed one."""
    line = FORK.certify().cosignatures[1]
    write_tiles(Path("alone"), FORK, Certificate(FORK.checkpoint, (line,)))

    def read(asked: str) -> bytes | None:
        if asked.startswith(path):
            return answer
        if asked == "/checkpoint":
            return TRUE.certify(0, 2, 3).encode().encode()
        if asked.startswith("/tile/"):
            address = parse_tile_path(asked.removeprefix("/"))
            assert address.level is not None
            return TRUE.tiles[address.level, address.number][: address.width * 32]
        return None

    with serve(read) as url:
        code, said = run(capsys, "compare", url, "alone")
    assert code == (2 if path == "/checkpoint" else 1)
    if code == 2:
        assert "internal error" not in said

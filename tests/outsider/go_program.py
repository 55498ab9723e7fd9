"""Building and running the Go program that checks proofs with Go's own packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from node.chain.policy import policy_text
from node.chain.voters import VoterSet
from node.ledger.genesis import Genesis

GOPATH = Path("/usr/share/gocode")
"""Where Debian keeps the sources of Go's packages."""
_NOTE = GOPATH / "src/golang.org/x/mod/sumdb/note"
_SOURCE = Path(__file__).parent / "golang"
MISSING = "Go or golang-golang-x-mod-dev is missing: make go-tools"


def is_missing() -> bool:
    """Whether the tools that build it are not there."""
    return shutil.which("go") is None or not _NOTE.is_dir()


def build(folder: Path) -> Path:
    """The program, built in `folder`."""
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GOPATH),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    program = folder / "check"
    subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=_SOURCE, env=environment, check=True
    )
    return program


def run(program: Path, folder: Path, genesis: Genesis, proofs: Sequence[bytes]) -> list[str]:
    """What it prints of these proofs, with nothing but the policy file."""
    folder.mkdir()
    policy = folder / "policy"
    policy.write_text(policy_text(VoterSet.from_genesis(genesis)))
    files = [folder / f"{number}.proof" for number in range(len(proofs))]
    for file, data in zip(files, proofs, strict=True):
        file.write_bytes(data)
    done = subprocess.run(
        [str(program), str(policy), *map(str, files)], capture_output=True, check=True, text=True
    )
    return done.stdout.splitlines()

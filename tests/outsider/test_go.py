"""Go's own note and tlog packages over the same 200 proofs (`make go-tools` installs them)."""

from __future__ import annotations

import random  # noqa: TID251  # seeded
from pathlib import Path

import pytest

from node.chain.voters import VoterSet
from tests.outsider.go_program import MISSING, build, is_missing, run
from tests.outsider.proofs import Collection

pytestmark = pytest.mark.skipif(is_missing(), reason=MISSING)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("go"))


def test_it_accepts_every_proof(
    program: Path, collections: list[Collection], tmp_path: Path
) -> None:
    for number, made in enumerate(collections):
        q = VoterSet.from_genesis(made.genesis).q
        for line, data in zip(
            run(program, tmp_path / str(number), made.genesis, made.proofs),
            made.proofs,
            strict=True,
        ):
            verdict, index, size, cosigners = line.split()
            head, _, note = data.partition(b"\n\n")
            assert verdict == "ok"
            assert f"index {index}".encode() in head.split(b"\n")
            assert size == note.split(b"\n")[1].decode()
            assert int(cosigners) == q


def test_it_refuses_changed_paths_checkpoints_and_signatures(
    program: Path, collections: list[Collection], tmp_path: Path
) -> None:
    """What it looks at; the rest of a proof file is not C2SP's."""
    rng = random.Random(1)
    for number, made in enumerate(collections):
        changed = [_flip(data, rng) for data in made.proofs for _ in range(3)]
        lines = run(program, tmp_path / str(number), made.genesis, changed)
        assert len(lines) == len(changed)
        assert all(line.startswith("no ") for line in lines)


def _flip(data: bytes, rng: random.Random) -> bytes:
    """One character of base64 is another, in a line below the index."""
    lines = data.split(b"\n")
    start = next(n for n, line in enumerate(lines) if line.startswith(b"index ")) + 1
    blank = lines.index(b"", start)
    choices = [*range(start, blank), blank + 3, *range(blank + 5, len(lines) - 1)]
    at = rng.choice(choices)
    words = lines[at].split(b" ")
    place = rng.randrange(len(words[-1]) - 4)
    old = words[-1][place : place + 1]
    new = rng.choice([letter for letter in "ABCabc012" if letter.encode() != old])
    words[-1] = words[-1][:place] + new.encode() + words[-1][place + 1 :]
    lines[at] = b" ".join(words)
    return b"\n".join(lines)

"""`piaolian compare`: says whether two sources show one history, and writes evidence if not.

What they prove is `node.chain.evidence.compare`, how they are read `node.cli.sources`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from node.chain.evidence.compare import (
    Comparison,
    ForgedError,
    Side,
    UndecidedError,
    compare,
    find_excuse,
)
from node.chain.evidence.excuse import contradiction
from node.chain.evidence.file import encode_evidence_file
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import Evidence
from node.chain.tiles import MissingTileError
from node.chain.voters import VoterSet
from node.cli.errors import CliError, UsageError
from node.cli.proofs import read_genesis
from node.cli.sources import Source, SourceError, open_source


def compare_sources(
    first: str, second: str, network: Path, tokens: Sequence[Path], output: Path | None
) -> dict[str, object]:
    """Compare and write evidence, as `--json` prints it.

    Args:
        first: A URL, `node.toml`, checkpoint, proof, or folder of tiles.
        second: Another.
        network: The genesis document.
        tokens: Token files of the URLs, in their order; one serves both.
        output: Evidence goes here; with several liars each gets a file with its name in it.

    Raises:
        UsageError: a source cannot be read.
        SourceError: nothing can be concluded.
        GenesisError: `network` is no valid genesis.
    """
    voters = VoterSet.from_genesis(read_genesis(network))
    waiting = list(tokens)
    try:
        with ExitStack() as connections:
            a, b = (
                open_source(name, waiting, voters, connections.enter_context)
                for name in (first, second)
            )
            result = compare(a.side, b.side, voters)
            evidence = _complete(result, a, b, voters)
            excused = _excused(evidence, a, b, voters)
    except (ForgedError, UndecidedError) as error:
        raise SourceError(str(error)) from error
    except CliError as error:  # exit code 1 would say: inconsistent
        raise SourceError(str(error)) from error
    except MissingTileError as error:
        raise SourceError(f"a source lacks what its checkpoint covers: {error}") from error
    return {
        "consistent": result.consistent,
        "sizes": [source.side.certificate.checkpoint.size for source in (a, b)],
        "first_difference": result.first_difference,
        "evidence": _write([item for item in evidence if item not in excused], voters, output),
        "excused": sorted({judge(item, voters).voter for item in excused}),
    }


def _excused(
    evidence: Sequence[Evidence], a: Source, b: Source, voters: VoterSet
) -> list[Evidence]:
    """What convicts nobody: its voter was led astray, and said so when it came back."""
    if not any(contradiction(item) for item in evidence):
        return []
    resumptions = [*a.resumptions(), *b.resumptions()]
    sides = (a.side, b.side)
    return [item for item in evidence if find_excuse(item, resumptions, sides, voters)]


def _complete(result: Comparison, a: Source, b: Source, voters: VoterSet) -> list[Evidence]:
    """The evidence, also against those who cosigned only earlier checkpoints of one side.

    A checkpoint holds the first q cosignatures, so a liar may be missing under the newest.
    """
    found = {judge(item, voters).voter: item for item in result.evidence}
    if result.consistent:
        return []
    for one, other in ((a, b), (b, a)):
        wanted = _cosigners(other.side, voters) - found.keys()
        earlier = one.earlier() if wanted else ()
        for side in earlier:
            if not wanted & _cosigners(side, voters):
                continue
            try:
                more = compare(side, other.side, voters).evidence
            except (CliError, ForgedError, MissingTileError, UndecidedError):
                continue  # the verdict stands; this would only name more
            for item in more:
                found.setdefault(judge(item, voters).voter, item)
            wanted -= found.keys()
            if not wanted:
                break
    return [found[voter.node] for voter in voters.voters if voter.node in found]


def _cosigners(side: Side, voters: VoterSet) -> set[str]:
    lines = side.certificate.cosignatures
    return {voters.by_cosigner[c.cosigner].node for c in lines if c.cosigner in voters.by_cosigner}


def _write(
    evidence: Sequence[Evidence], voters: VoterSet, output: Path | None
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for item in evidence:
        finding = judge(item, voters)
        file = output
        if output is not None and len(evidence) > 1:
            file = output.with_name(f"{output.stem}.{finding.voter}{output.suffix}")
        if file is not None:
            _save(file, encode_evidence_file(item, voters))
        rows.append(
            {
                "voter": finding.voter,
                "kind": finding.kind,
                "sentence": finding.sentence,
                "id": finding.id.hex(),
                "file": file and str(file),
            }
        )
    return rows


def _save(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error

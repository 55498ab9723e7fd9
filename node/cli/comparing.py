"""`piaolian compare`: reads two sources of one log and says whether they are one history.

Owns the reading of sources; what they prove is `node.chain.compare`. No source is trusted: a
node's answers count only as far as signatures and hashes bear them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from node.chain.certificate import CERTIFICATE_BYTES_MAX, CertificateError, parse_certificate
from node.chain.compare import ForgedError, Side, UndecidedError, compare
from node.chain.evidence import Evidence, judge
from node.chain.evidence_file import encode_evidence_file
from node.chain.merkle import HASH_BYTES
from node.chain.proof import PROOF_HEADER, MalformedProofError, parse_proof
from node.chain.tiles import TILE_WIDTH, MissingTileError, TileAddress, TileLookup, TileSubtrees
from node.chain.verify import ProofInvalidError, verify_proof
from node.chain.voters import VoterSet
from node.cli.client import ApiClient, NodeUnreachableError, ProblemError
from node.cli.context import client_of, load
from node.cli.errors import CliError, UsageError
from node.cli.proofs import read_file, read_genesis

_HTTP_PORT = 80
_TOKEN_BYTES_MAX = 4_096
_PATIENCE_S = 5.0
"""For a node that is busy or limits the rate of requests."""

_Fetch = Callable[[str], bytes | None]
"""The bytes at a path of the log, such as `checkpoint` or `tile/0/000`; None: there are none."""


class SourceError(CliError):
    """A source is forged, or the two do not hold enough to tell."""

    exit_code = 2


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
            sides = [
                _side(source, waiting, voters, connections.enter_context)
                for source in (first, second)
            ]
            result = compare(sides[0], sides[1], voters)
    except (ForgedError, UndecidedError) as error:
        raise SourceError(str(error)) from error
    except (NodeUnreachableError, ProblemError) as error:  # exit code 1 would say: inconsistent
        raise SourceError(str(error)) from error
    except MissingTileError as error:
        raise SourceError(f"a source lacks what its checkpoint covers: {error}") from error
    return {
        "consistent": result.consistent,
        "sizes": [side.certificate.checkpoint.size for side in sides],
        "first_difference": result.first_difference,
        "evidence": _write(result.evidence, voters, output),
    }


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
        file.write_text(text, newline="")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error


# --- Sources -------------------------------------------------------------------------------------


def _side(
    source: str, tokens: list[Path], voters: VoterSet, opened: Callable[[ApiClient], ApiClient]
) -> Side:
    if source.startswith(("http://", "https://")):
        return _log_side(source, _node_fetch(opened(_client(source, tokens))))
    path = Path(source)
    if path.is_dir():
        return _log_side(source, lambda name: _file(path / name))
    if path.suffix == ".toml":
        return _log_side(
            source, _node_fetch(opened(client_of(load(path), "read", patience_s=_PATIENCE_S)))
        )
    return _file_side(source, read_file(path), voters)


def _log_side(name: str, fetch: _Fetch) -> Side:
    """A log with its tiles."""
    note = fetch("checkpoint")
    if note is None:
        raise SourceError(f"{name}: nothing is final yet, or there is no checkpoint")
    try:
        certificate = parse_certificate(_text(note))
    except CertificateError as error:
        raise SourceError(f"{name}: {error}") from error
    size = certificate.checkpoint.size
    return Side(name, certificate, TileSubtrees(_tiles(size, fetch)))


def _tiles(size: int, fetch: _Fetch) -> TileLookup:
    """The tiles of a tree of `size` leaves, each in the width that it has there."""

    def lookup(level: int, number: int) -> bytes | None:
        whole = size >> 8 * level
        width = min(TILE_WIDTH, whole - number * TILE_WIDTH)
        if width < 1:
            return None
        data = fetch(TileAddress(level, number, width).path)
        if data is None and width < TILE_WIDTH:  # a mirror may have kept the full tile only
            data = fetch(TileAddress(level, number, TILE_WIDTH).path)
        return None if data is None else data[: width * HASH_BYTES]

    return lookup


def _file_side(name: str, data: bytes, voters: VoterSet) -> Side:
    """A proof or a checkpoint alone."""
    try:
        if not data.startswith(PROOF_HEADER.encode()):
            return Side(name, parse_certificate(_text(data)))
        proof = parse_proof(data)
        verify_proof(proof, voters)
    except (CertificateError, MalformedProofError, ProofInvalidError) as error:
        raise SourceError(f"{name}: {error}") from error
    return Side(name, proof.certificate, proof=proof)


def _text(data: bytes) -> str:
    """A note as text; what is no UTF-8 is refused as a note."""
    return data[: CERTIFICATE_BYTES_MAX + 1].decode("utf-8", "replace")


def _file(path: Path) -> bytes | None:
    return read_file(path) if path.is_file() else None


def _client(url: str, tokens: list[Path]) -> ApiClient:
    from node.keystore import read_private

    parts = urlsplit(url)
    try:
        port = parts.port or _HTTP_PORT
    except ValueError as error:
        raise UsageError(f"{url}: {error}") from error
    if parts.scheme != "http" or parts.hostname is None or parts.path.strip("/") or parts.query:
        raise UsageError(f"{url}: the URL of a node is http://HOST:PORT")
    token = None
    if tokens:
        file = tokens.pop(0) if len(tokens) > 1 else tokens[0]
        token = read_private(file, _TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    return ApiClient(parts.hostname, port, token, patience_s=_PATIENCE_S)


def _node_fetch(client: ApiClient) -> _Fetch:
    def fetch(name: str) -> bytes | None:
        try:
            return client.get("/v1/checkpoint" if name == "checkpoint" else f"/{name}").data
        except ProblemError as error:
            if error.status == 404:
                return None
            raise

    return fetch

"""What `piaolian compare` reads: nodes, mirrors of tiles, checkpoints and proofs.

No source is trusted: what a node answers counts only as far as signatures and hashes bear it out,
and is asked for only so often.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from node.chain.certificate import Certificate, CertificateError, open_checkpoint
from node.chain.evidence.compare import Side
from node.chain.evidence.excuse import ExcuseError, Resumption, decode_resumption
from node.chain.merkle import HASH_BYTES
from node.chain.proof import PROOF_HEADER, MalformedProofError, parse_proof
from node.chain.tiles import TILE_WIDTH, TileAddress, TileLookup, TileSubtrees
from node.chain.verify import ProofInvalidError, verify_proof
from node.chain.voters import VoterSet
from node.cli.client import ApiClient, ProblemError
from node.cli.context import client_of, load
from node.cli.errors import CliError, UsageError
from node.cli.proofs import read_file

EARLIER_MAX = 64
"""Blocks of a node whose certificates are read when its newest lacks a cosigner."""
_HTTP_PORT = 80
_TOKEN_BYTES_MAX = 4_096
_PATIENCE_S = 5.0
"""For a node that is busy or limits the rate of requests."""

_Fetch = Callable[[str], bytes | None]
"""The bytes at a path of the log, such as `checkpoint` or `tile/0/000`; None: there are none."""


class SourceError(CliError):
    """A source is forged, or the two do not hold enough to tell."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A source that was read."""

    side: Side
    earlier: Callable[[], Iterator[Side]] = lambda: iter(())
    """Checkpoints before the newest, newest first; a few."""
    resumptions: Callable[[], list[Resumption]] = list
    """Of voters that were led astray, as the source tells; judged by nobody."""


def open_source(
    source: str, tokens: list[Path], voters: VoterSet, opened: Callable[[ApiClient], ApiClient]
) -> Source:
    """Read a source.

    Args:
        source: A URL, `node.toml`, checkpoint, proof, or folder of tiles.
        tokens: Token files for URLs; one is taken unless it is the last.
        voters: The voters in force.
        opened: Told of each client, which somebody else closes.

    Raises:
        UsageError: it cannot be read.
        SourceError: it is malformed.
    """
    if source.startswith(("http://", "https://")):
        return _node_source(source, opened(_client(source, tokens)), voters)
    path = Path(source)
    if path.is_dir():
        return Source(_log_side(source, lambda name: _file(path / name), voters))
    if path.suffix == ".toml":
        client = client_of(load(path), "read", patience_s=_PATIENCE_S)
        return _node_source(source, opened(client), voters)
    return Source(_file_side(source, read_file(path), voters))


def _log_side(name: str, fetch: _Fetch, voters: VoterSet) -> Side:
    """A log with its tiles."""
    note = fetch("checkpoint")
    if note is None:
        raise SourceError(f"{name}: nothing is final yet, or there is no checkpoint")
    try:
        certificate = open_checkpoint(_text(note), voters)
    except CertificateError as error:
        raise SourceError(f"{name}: {error}") from error
    return _tiled(name, certificate, fetch)


def _tiled(name: str, certificate: Certificate, fetch: _Fetch) -> Side:
    return Side(name, certificate, TileSubtrees(_tiles(certificate.checkpoint.size, fetch)))


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
            return Side(name, open_checkpoint(_text(data), voters))
        proof = parse_proof(data, voters)
        verify_proof(proof, voters)
    except (CertificateError, MalformedProofError, ProofInvalidError) as error:
        raise SourceError(f"{name}: {error}") from error
    return Side(name, proof.certificate, proof=proof)


def _text(data: bytes) -> str:
    """A note as text.

    Raises:
        CertificateError: it is no UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CertificateError("checkpoint is not UTF-8") from error


def _file(path: Path) -> bytes | None:
    return read_file(path) if path.is_file() else None


def _client(url: str, tokens: list[Path]) -> ApiClient:
    from node.custody.keystore import read_private

    try:
        parts = urlsplit(url)
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


def _node_source(name: str, client: ApiClient, voters: VoterSet) -> Source:
    fetch = _node_fetch(client)

    def earlier() -> Iterator[Side]:
        try:
            for certificate in _certificates(client, voters):
                yield _tiled(name, certificate, fetch)
        except (CliError, CertificateError, LookupError, TypeError):
            return  # a bare log without blocks, or one that answers nonsense: it has no more

    def resumptions() -> list[Resumption]:
        try:
            told = client.get("/v1/evidence", limit=1).fields["resumptions"]
            return [decode_resumption(base64.b64decode(body)) for body in told]  # type: ignore[attr-defined]
        except (CliError, ExcuseError, LookupError, TypeError, ValueError):
            return []  # a bare log, or one that answers nonsense: it excuses nobody

    return Source(_log_side(name, fetch, voters), earlier, resumptions)


def _certificates(client: ApiClient, voters: VoterSet) -> Iterator[Certificate]:
    """Of the newest blocks."""
    blocks = client.get("/v1/blocks", limit=1).fields["blocks"]
    newest = blocks[0]["height"]  # type: ignore[index]  # a TypeError is expected here
    for height in range(newest, max(0, newest - EARLIER_MAX), -1):
        note = client.get(f"/v1/blocks/{height}").fields["certificate"]
        if note is not None:
            yield open_checkpoint(str(note), voters)


def _node_fetch(client: ApiClient) -> _Fetch:
    def fetch(name: str) -> bytes | None:
        data = _answer(client, f"/{name}")
        if data is None and name == "checkpoint":  # a node's older name of the same
            data = _answer(client, "/v1/checkpoint")
        return data

    return fetch


def _answer(client: ApiClient, path: str) -> bytes | None:
    try:
        return client.get(path).data
    except ProblemError as error:
        if error.status == 404:
            return None
        raise

"""A forked history: true leaves up to a place, then others; signed with real keys and served."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from typing_extensions import override

from node.chain.certificate import Certificate, Cosignature
from node.chain.checkpoint import Checkpoint, cosign, sign_origin
from node.chain.merkle import HASH_BYTES, leaf_hashes
from node.chain.tiles import TILE_WIDTH, MalformedTilePathError, TileBuilder, parse_tile_path
from node.chain.voters import Voter, VoterSet
from node.custody.keystore import NodeKeys
from node.ledger.signing import secret_key
from tests.cluster.cluster import Member


class Fork:
    """A log of these leaves, cosigned by these voters."""

    def __init__(
        self,
        voters: VoterSet,
        leaves: Sequence[bytes],
        signers: Sequence[tuple[Voter, NodeKeys]],
        time_s: int,
    ) -> None:
        builder = TileBuilder()
        self._tiles = {(t.level, t.number): t.data for t in builder.append(leaf_hashes(leaves))}
        frontier = builder.frontier
        self.checkpoint = Checkpoint(voters.origin, frontier.size, frontier.root())
        lines = tuple(
            Cosignature(
                voter.cosigner,
                cosign(self.checkpoint, voter.cosigner, secret_key(keys.cosign), time_s),
            )
            for voter, keys in sorted(signers, key=lambda signer: signer[0].number)
        )
        origin = sign_origin(self.checkpoint, secret_key(signers[0][1].origin))
        self.certificate = Certificate(self.checkpoint, lines, origin)

    def read(self, path: str) -> bytes | None:
        """What a node answers at `/checkpoint` and `/tile/…`."""
        if path == "/checkpoint":
            return self.certificate.encode().encode()
        try:
            address = parse_tile_path(path.removeprefix("/"))
        except MalformedTilePathError:
            return None
        if address.level is None:
            return None
        data = self._tiles.get((address.level, address.number), b"")
        return data[: address.width * HASH_BYTES] if len(data) >= address.width else None

    def write(self, folder: Path) -> None:
        """The log as files, as a mirror keeps it."""
        folder.mkdir()
        (folder / "checkpoint").write_bytes(self.certificate.encode().encode())
        for (level, number), data in self._tiles.items():
            width = len(data) // HASH_BYTES
            name = f"tile/{level}/{number:03}" + ("" if width == TILE_WIDTH else f".p/{width}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def served(self) -> AbstractContextManager[str]:
        """The log behind HTTP on loopback; the URL."""
        return serve(self.read)


@contextmanager
def serve(read: Callable[[str], bytes | None]) -> Iterator[str]:
    """Answer GET of a path with what `read` says; the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = read(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        @override
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read_leaves(member: Member, count: int) -> list[bytes]:
    """The first leaves of a node's ledger."""
    leaves: list[bytes] = []
    while len(leaves) < count:
        number, width = len(leaves) // TILE_WIDTH, min(TILE_WIDTH, count - len(leaves))
        suffix = "" if width == TILE_WIDTH else f".p/{width}"
        data = member.get(f"/tile/entries/{number:03}{suffix}")
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            leaves.append(data[2:end])
            data = data[end:]
    return leaves

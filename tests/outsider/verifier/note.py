"""Sections 7 and 8: checkpoints, their signature lines, and whose count."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from tests.outsider.verifier.encoding import InvalidError, from_base64, need, signed
from tests.outsider.verifier.ledger import TREE_MAX
from tests.outsider.verifier.network import Network


@dataclass(frozen=True)
class Checkpoint:
    body: str
    size: int
    root: bytes


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def cosigned(key: bytes, body: str, blob: bytes) -> bool:
    """Without the key id."""
    time = int.from_bytes(blob[4:12], "big")
    message = f"cosignature/v1\ntime {time}\n{body}".encode()
    return len(blob) == 76 and time < 2**63 and signed(key, message, blob[12:])


def read_note(network: Network, text: str) -> tuple[Checkpoint, list[tuple[int, int]]]:
    """The checkpoint, and (type, number) of each voter's line, all verified."""
    need(len(text) <= 262_144 and not re.search("[\x00-\x09\x0b-\x1f]", text), "note is malformed")
    body, separator, block = text.rpartition("\n\n")
    body += "\n"
    lines = block.split("\n")
    need(bool(separator) and lines.pop() == "" and 1 <= len(lines) <= 32, "note has no signatures")
    match = re.fullmatch(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([^\n]+)\n", body)
    if match is None:
        raise InvalidError("checkpoint has another shape")
    checkpoint = Checkpoint(body, int(match[2]), from_base64(match[3]))
    need(match[1] == network.origin, "checkpoint is of another network")
    need(len(checkpoint.root) == 32 and checkpoint.size <= TREE_MAX, "checkpoint is out of range")
    found = []
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "\u2014" and bool(parts[1]), "not a signature line")
        need(not re.search(r"[\s+]", parts[1]), "not the name of a key")
        blob = from_base64(parts[2])
        need(len(blob) > 4, "signature is too short")
        if signers := network.signers(parts[1], blob[:4]):
            found.append(_signer(signers, body, blob))
    return checkpoint, found


def _signer(signers: list[tuple[int, int, bytes]], body: str, blob: bytes) -> tuple[int, int]:
    for kind, number, key in signers:
        if kind == 1 and signed(key, body.encode(), blob[4:]):
            return kind, number
        if kind == 4 and cosigned(key, body, blob):
            return kind, number
    raise InvalidError("a voter's signature does not verify")

"""Sections 7 and 8 of node/chain/README.md: checkpoints, and whose lines under them count.

Knows voters' keys; knows nothing of leaves or proof files.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.outsider.from_page.form import MAX_SIZE, binary, decimal, need, signed, unbase64
from tests.outsider.from_page.genesis import Key, Network


@dataclass(frozen=True)
class Checkpoint:
    size: int
    root: bytes
    signers: tuple[int | None, ...]
    """Of each voter's line, in order: the number of who cosigned, None for an origin signature."""
    strangers: int
    """Lines of unknown keys."""


def checkpoint_body(origin: str, size: int, root: bytes) -> bytes:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def read_note(network: Network, note: str) -> Checkpoint:
    """A checkpoint of this network, with every line of a voter verified."""
    content, lines = _split(note)
    origin, size_line, root_line = content.split("\n") if content.count("\n") == 2 else ("",) * 3
    need(origin == network.origin, "not a checkpoint of this network")
    size = decimal(size_line, MAX_SIZE)
    root = binary(unbase64(root_line), "a root", 32)
    signers = tuple(_signers(network, content.encode() + b"\n", lines))
    return Checkpoint(size, root, signers, len(lines) - len(signers))


def published(network: Network, note: str) -> tuple[Checkpoint, list[int]]:
    """The certificate of a proof file: the checkpoint, and the q voters who cosigned it."""
    checkpoint = read_note(network, note)
    first, *others = *checkpoint.signers, -1
    cosigners = in_order(others[:-1])
    need(first is None, "not one origin signature before the cosignatures")
    need(len(cosigners) == network.quorum, "not as many cosignatures as make a checkpoint final")
    return checkpoint, cosigners


def stored(network: Network, note: str) -> tuple[Checkpoint, list[int]]:
    """A certificate as nodes send it to each other: no lines of others, q to n cosignatures."""
    checkpoint = read_note(network, note)
    need(len(note) <= 8_192 and not checkpoint.strangers, "a certificate with lines of others")
    cosigners = in_order(checkpoint.signers[checkpoint.signers[:1] == (None,) :])
    need(len(cosigners) >= network.quorum, "too few cosignatures make no checkpoint final")
    return checkpoint, cosigners


def in_order(signers: Sequence[int | None]) -> list[int]:
    """The voters of cosignatures, which stand in the voters' order, one each."""
    voters = [voter for voter in signers if voter is not None]
    need(len(voters) == len(signers), "a second origin signature")
    need(voters == sorted(set(voters)), "cosignatures are not in the voters' order")
    return voters


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    need(len(note) <= 262_144, "a note is too long")
    need(
        all(character >= " " or character == "\n" for character in note),
        "a note has a control character",
    )
    content, empty, block = note.rpartition("\n\n")
    need(empty and block.endswith("\n"), "a note without signature lines")
    lines = block[:-1].split("\n")
    need(len(lines) <= 32, "a note has too many signature lines")
    return content, [_line(line) for line in lines]


def _line(line: str) -> tuple[str, bytes]:
    dash, name, signature = line.split(" ") if line.count(" ") == 2 else ("",) * 3
    need(dash == "\u2014" and name, "not a signature line")
    need(not any(each.isspace() or each == "+" for each in name), "not the name of a key")
    raw = unbase64(signature)
    need(len(raw) > 4, "a signature line has no signature")
    return name, raw


def _signers(network: Network, body: bytes, lines: list[tuple[str, bytes]]) -> Iterator[int | None]:
    for name, raw in lines:
        origins = [
            v.origin for v in network.voters if (v.origin.name, v.origin.id) == (name, raw[:4])
        ]
        if origins:
            true = any(signed(key.public, body, raw[4:]) for key in origins)
            need(true, "an origin signature does not verify")
            yield None
        for number, voter in enumerate(network.voters):
            if (voter.cosign.name, voter.cosign.id) == (name, raw[:4]):
                need(cosigned(voter.cosign, body, raw), "a cosignature does not verify")
                yield number


def cosigned(key: Key, body: bytes, raw: bytes) -> bool:
    time = int.from_bytes(raw[4:12])
    return (
        len(raw) == 76
        and raw[:4] == key.id
        and time < 2**63
        and signed(key.public, b"cosignature/v1\ntime %d\n" % time + body, raw[12:])
    )

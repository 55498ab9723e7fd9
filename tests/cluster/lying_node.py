"""`piaolian` in a process that lies as a leader: one follower is shown other entries than the rest.

Run as `python -m tests.cluster.lying_node start --config …`. It lies while the file `victim` lies
beside the configuration: to the voter of that number, in `LIES` entries, which are signed as true
ones are. Then the file goes, and it goes on as an honest node.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus import codec
from consensus.types import Entry, EntryKind
from node.chain.block import Block, decode_block, encode_block
from node.command import main
from node.storage.raft_log import ENTRY_FORMAT
from node.voting.consensus_adapter import RaftSender
from node.voting.entry_authority import EntryAuthority

FILE = "victim"
LIES = 3


class Liar:
    """Rewrites what goes to the victim."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._authority: EntryAuthority | None = None
        self._false: dict[int, Entry] = {}

    def know(self, authority: EntryAuthority) -> None:
        """The part that holds the key."""
        self._authority = authority

    def rewrite(self, to: int, message: bytes) -> bytes:
        """What the follower is sent instead."""
        try:
            victim = int(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return message
        append = codec._decoder.decode(message)
        if to != victim or not isinstance(append, codec._WireAppend):
            return message
        entries = [self._replace(ENTRY_FORMAT.decode(bytes(raw))) for raw in append.entries]
        before = self._false.get(append.prev_index)
        if len(self._false) >= LIES:
            self._file.unlink(missing_ok=True)
        return codec._encoder.encode(
            msgspec.structs.replace(
                append,
                prev_hash=append.prev_hash if before is None else before.hash,
                entries=tuple(msgspec.Raw(entry.encoded) for entry in entries),
            )
        )

    def _replace(self, entry: Entry) -> Entry:
        known = self._false.get(entry.index)
        if known is not None:
            return known
        before = self._false.get(entry.index - 1)
        if entry.kind is not EntryKind.DATA or (before is None and self._false):
            return entry
        block = decode_block(entry.payload)
        payload = encode_block(Block(block.expected_term, block.time_ms + 1, ()))
        prev_hash = entry.prev_hash if before is None else before.hash
        place = (entry.term, entry.index, entry.kind, entry.leader, prev_hash, payload)
        assert self._authority is not None
        false = ENTRY_FORMAT.entry_type(
            *place, self._authority.attest(ENTRY_FORMAT.entry_type(*place, b"").header)
        )
        self._false[entry.index] = false
        return false


def plant(patch: pytest.MonkeyPatch, liar: Liar) -> None:
    """Let the liar stand between consensus and the links."""
    make, send = EntryAuthority.__init__, RaftSender.send

    def init(self: Any, *args: Any, **named: Any) -> None:
        make(self, *args, **named)
        liar.know(self)

    def lie(self: Any, to: Any, message: bytes) -> None:
        send(self, to, liar.rewrite(to, message))

    patch.setattr(EntryAuthority, "__init__", init)
    patch.setattr(RaftSender, "send", lie)


if __name__ == "__main__":
    plant(pytest.MonkeyPatch(), Liar(Path(sys.argv[sys.argv.index("--config") + 1]).parent / FILE))
    sys.exit(main())

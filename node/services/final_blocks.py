"""Tells listeners of blocks that are final, each from where it stood. Owns that loop and its file.

Domains bring the listeners (`Serving.final`): what looks at what has happened, opens it, answers
it, records something about it. Each has its own pace and its own file in the data folder, so one
that waits holds up no other. A block may be told twice, after a crash or when the file is lost: a
listener does again what must not be lost, and the ledger refuses what would be there twice. Never
runs ahead of consensus: after each batch it rests as long as the batch took.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from node.custody.keystore import write_private
from node.following.tracker import Tracker
from node.storage.block import StoredBlock
from node.storage.damage import is_full
from node.storage.ledger_reader import LedgerReader

BLOCKS_AT_ONCE = 64
BYTES_AT_ONCE = 1 << 20
IDLE_S = 5.0
RETRY_S = 2.0
_POSITION_BYTES = 12


class FinalListener(Protocol):
    """What looks at final blocks, in their order."""

    @property
    def position_file(self) -> str:
        """In the data folder: how far it came. The domain names it too (`position_files`)."""
        ...

    async def wants_blocks(self) -> bool:
        """Whether it has anything to do on this node now: asked before each batch."""
        ...

    async def take(self, blocks: Sequence[StoredBlock]) -> bool:
        """Look at the next blocks; False to be given them again a little later."""
        ...


class Position:
    """Up to which height everything was looked at: 8 bytes and their CRC-32, in a file."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet.

        Raises:
            OSError: what stands there cannot be read; better told at the start than later.
        """
        self._path = path
        if path.exists():
            path.open("rb").close()

    def read(self) -> int:
        """The height; 0 when the file is missing or damaged: then all is looked at again."""
        try:
            with self._path.open("rb") as file:
                content = file.read(_POSITION_BYTES + 1)
        except OSError:
            return 0
        height, checksum = content[:8], content[8:]
        if len(content) != _POSITION_BYTES or zlib.crc32(height).to_bytes(4, "big") != checksum:
            return 0
        return int.from_bytes(height, "big")

    def write(self, height: int) -> None:
        """Note a height; on a full disk it stays the one before, and is looked at again."""
        data = height.to_bytes(8, "big")
        try:
            write_private(self._path, data + zlib.crc32(data).to_bytes(4, "big"))
        except OSError as error:
            if not is_full(error):
                raise


class FinalBlocks:
    """One listener's way along the ledger."""

    def __init__(
        self, listener: FinalListener, reader: LedgerReader, tracker: Tracker, folder: Path
    ) -> None:
        self._listener = listener
        self._reader = reader
        self._tracker = tracker
        self._position = Position(folder / listener.position_file)
        self.height = self._position.read()
        """Up to which height the listener has taken every block."""

    async def run(self) -> None:
        """Tell blocks as they become final; runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            final = self._tracker.final_height
            if self.height >= final or not await self._listener.wants_blocks():
                await self._tracker.wait_heights(2**62, max(final, self.height), IDLE_S)
                continue
            started = loop.time()
            blocks = await self._reader.blocks(self.height + 1, BLOCKS_AT_ONCE, BYTES_AT_ONCE)
            blocks = [block for block in blocks if block.height <= final]
            if not await self._listener.take(blocks):
                await asyncio.sleep(RETRY_S)
                continue
            if blocks:
                self.height = blocks[-1].height
                await asyncio.to_thread(self._position.write, self.height)
            await asyncio.sleep(loop.time() - started)

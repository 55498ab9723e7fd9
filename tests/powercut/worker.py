"""The process whose power is cut: it lives through a history and says what is durable.

`python -m tests.powercut.worker SEED FOLDER [WEAKNESS]` writes one byte for each batch.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from consensus.stores.sqlite import open_sqlite_store
from tests.powercut.history import History


async def live(seed: int, folder: Path, weakness: str = "") -> None:
    """Append for ever; one byte to the standard output after each batch."""
    store = await open_sqlite_store(folder / "raft.db")
    if weakness == "log":  # as a store that acknowledges before it syncs
        await store._file.run(lambda connection: connection.execute("PRAGMA synchronous=OFF"))
    elif weakness == "marker":
        os.fdatasync = lambda fd: None  # only the marker calls it through Python
    try:
        await store.load()
        history = History(seed)
        while True:
            await store.append(history.next())
            os.write(1, b".")
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(live(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))

"""`piaolian` in a process that writes down every byte its peers send and get, in clear.

Run as `python -m tests.cluster.recorded_node start --config …`. The recording is taken inside the
encrypted channel, before sealing and after opening, and of the sealed records too: a search over
ciphertext alone would find nothing whatever was sent.
"""

from __future__ import annotations

import sys
from pathlib import Path

from node.command import main
from p2p.frames import Opener, Sealer

RECORDING = "traffic.bin"
"""Beside the node's `node.toml`."""


def record_traffic(path: Path) -> None:
    """Append everything that passes the channels of this process to `path`."""
    file = path.open("ab", buffering=0)
    seal, opened = Sealer.seal, Opener.open

    def recorded_seal(self: Sealer, plaintext: bytes) -> bytes:
        box = seal(self, plaintext)
        file.write(plaintext + box)
        return box

    def recorded_open(self: Opener, record: bytes) -> bytes:
        plaintext = opened(self, record)
        file.write(record + plaintext)
        return plaintext

    Sealer.seal = recorded_seal  # type: ignore[method-assign]
    Opener.open = recorded_open  # type: ignore[method-assign]


if __name__ == "__main__":
    record_traffic(Path(sys.argv[sys.argv.index("--config") + 1]).with_name(RECORDING))
    sys.exit(main())

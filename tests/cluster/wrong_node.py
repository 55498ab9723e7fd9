"""A daemon whose program is wrong: one height comes to other leaves than on any other node."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from node.command import main
from node.storage.block_builder import BlockBuilder


def plant(patch: pytest.MonkeyPatch, height: int) -> None:
    """Let the block of this height come out wrong."""
    right = BlockBuilder.build

    def build(self: Any, *args: Any) -> Any:
        made = right(self, *args)
        if made.context.height == height:
            made.leaves[-1] += b"\0"
        return made

    patch.setattr(BlockBuilder, "build", build)


if __name__ == "__main__":
    plant(pytest.MonkeyPatch(), int(sys.argv.pop(1)))
    sys.exit(main())

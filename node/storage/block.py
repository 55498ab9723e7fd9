"""A stored block as readers see it. Owns the interface only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class StoredBlock(Protocol):
    """A stored block, as node.storage.ledger reads it."""

    @property
    def height(self) -> int:
        """From 1."""
        ...

    @property
    def first_index(self) -> int:
        """Tree position of the first leaf."""
        ...

    @property
    def leaves(self) -> Sequence[bytes]:
        """Leaf bytes in tree order; the seal is the last."""
        ...

    @property
    def certificate(self) -> bytes | None:
        """The cosigned checkpoint of this height as a note, if this node has one."""
        ...

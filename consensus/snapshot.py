"""What names a snapshot, and where a log begins. Owns no bytes of a snapshot: stores do."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from consensus.membership import Membership
from consensus.types import ZERO_HASH, LogIndex, Term

SNAPSHOT_BYTES_MAX = 2**40
NUMBER_MAX = 2**62
"""Of terms and indexes that messages carry."""
AnyTerm: TypeAlias = Annotated[Term, msgspec.Meta(ge=0, le=NUMBER_MAX)]
AnyIndex: TypeAlias = Annotated[LogIndex, msgspec.Meta(ge=0, le=NUMBER_MAX)]
Hash: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Base(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The position before the first entry of a log: what compaction or a snapshot left behind."""

    index: AnyIndex = LogIndex(0)
    term: AnyTerm = Term(0)
    hash: Hash = ZERO_HASH
    membership: Membership | None = None
    """In force after that position; None: the one that the configuration names."""


BEGINNING = Base()
"""Of a log that was never cut."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A state of the embedder after the entry at `index`, as `size` bytes with a checksum."""

    index: AnyIndex
    term: AnyTerm
    hash: Hash
    """Hash of the entry at `index`."""
    membership: Membership
    """In force after that entry."""
    size: Annotated[int, msgspec.Meta(ge=0, le=SNAPSHOT_BYTES_MAX)]
    checksum: Hash
    """SHA-256 of the bytes."""

    @property
    def base(self) -> Base:
        """Where a log begins that follows this snapshot."""
        return Base(self.index, self.term, self.hash, self.membership)

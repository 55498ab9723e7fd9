"""What an embedder supplies. Owns the interfaces; the implementations live with the embedder."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from consensus.types import Entry, HardState, LogIndex, NodeId, Term


class Recovered(msgspec.Struct, frozen=True):
    """What a log store found on disk at start."""

    hard_state: HardState
    positions: Sequence[tuple[Term, bytes]]
    """(term, entry hash) of every stored entry, from index 1."""
    suspect: bool = False
    """True when the store is shorter than, or contradicts, its durable marker: the node must
    neither vote nor campaign until it has caught up with a leader. It stays so across restarts
    until a batch says `caught_up`."""


class AppendBatch(msgspec.Struct, frozen=True):
    """One ordered write. Everything in it is durable when `LogStore.append` returns."""

    hard_state: HardState | None
    entries: Sequence[Entry]
    """Consecutive; everything stored at or above the first one's index is discarded first."""
    caught_up: bool = False
    """True once when a suspect node has caught up: the store stops reporting it as suspect."""


class LogStore(Protocol):
    """Durable log and hard state. Calls never overlap; they are awaited one after another."""

    async def load(self) -> Recovered:
        """Read what is on disk. Called once, first."""
        ...

    async def append(self, batch: AppendBatch) -> None:
        """Write and fsync `batch`, all or nothing. Any exception stops the node for good."""
        ...

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries first..last (inclusive), at least one, cut when `bytes_max` is passed."""
        ...


class Sender(Protocol):
    """Carries messages to other voters; may drop, reorder or duplicate, never alter."""

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks, never raises."""
        ...


class Applier(Protocol):
    """Takes committed entries in log order, each exactly once per run of the process."""

    @property
    def applied_index(self) -> LogIndex:
        """The last entry whose effects are durable; delivery starts after it."""
        ...

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply `entries`; committed entries wait while this runs (back-pressure)."""
        ...


class Admission(IntEnum):
    """An authority's judgement of an entry that a follower is asked to acknowledge."""

    ACCEPT = 0
    REFUSE = 1
    """Not now: do not store, tell the leader. A leader so refused by a majority steps down."""
    FORGED = 2
    """The attestation does not verify: drop the message without an answer."""


class Authority(Protocol):
    """Signs and judges entries for the embedder. Pure as far as consensus can see."""

    def attest(self, header: bytes) -> bytes:
        """The signature of this node over an entry header, at most 256 bytes."""
        ...

    def admit(self, entry: Entry) -> Admission:
        """Judge an entry received from a leader, before it is stored or acknowledged."""
        ...

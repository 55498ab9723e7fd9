"""What an embedder supplies. Owns the interfaces; implementations live with the embedder.

`consensus.stores.memory` and `consensus.stores.sqlite` implement the stores for whoever has none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from consensus.membership import Membership
from consensus.snapshot import BEGINNING, Base, Snapshot
from consensus.types import Entry, HardState, LogIndex, NodeId, Rng, Term


class Recovered(msgspec.Struct, frozen=True):
    """What a log store found on disk at start."""

    hard_state: HardState
    positions: Sequence[tuple[Term, bytes]]
    """(term, entry hash) of every stored entry, from index `base.index + 1`."""
    suspect: bool = False
    """True when the store is shorter than, or contradicts, its durable marker, or is damaged: the
    node must neither vote nor campaign until it has caught up with a leader. It stays so across
    restarts until a batch says `caught_up`."""
    base: Base = BEGINNING
    memberships: Sequence[tuple[LogIndex, Membership]] = ()
    """Of the stored membership entries, in order."""


class AppendBatch(msgspec.Struct, frozen=True):
    """One ordered write. Everything in it is durable when `LogStore.append` returns."""

    hard_state: HardState | None
    entries: Sequence[Entry]
    """Consecutive; everything stored at or above the first one's index is discarded first."""
    caught_up: bool = False
    """True once when a suspect node has caught up: the store stops reporting it as suspect."""
    base: Base | None = None
    """The log begins after this position: what is stored at or below it is discarded."""
    reset: bool = False
    """With `base`: discard everything stored, also above it. A snapshot takes its place."""
    distrusted: bool = False
    """True when the node has become suspect: the store reports it so, until it has caught up."""


class LogStore(Protocol):
    """Durable log and hard state. Calls never overlap; they are awaited one after another."""

    async def load(self) -> Recovered:
        """Read what is on disk. Called once, first."""
        ...

    async def append(self, batch: AppendBatch) -> None:
        """Write and fsync `batch`, all or nothing.

        Raises:
            StoreFullError: nothing was written for want of room; the same batch comes again.
            Exception: any other stops the node for good.
        """
        ...

    async def read(self, first: LogIndex, last: LogIndex, bytes_max: int) -> list[Entry]:
        """Entries first..last (inclusive), at least one, cut when `bytes_max` is passed.

        Empty when they are compacted away.
        """
        ...


class SnapshotStore(Protocol):
    """Snapshots as bytes: those made here, and the one that is arriving.

    Calls never overlap with each other nor with those of the log store.
    """

    async def newest(self) -> Snapshot | None:
        """The newest complete snapshot."""
        ...

    async def read_chunk(self, snapshot: Snapshot, offset: int, size: int) -> bytes | None:
        """Up to `size` bytes from `offset`, fewer only at the end; None when it is gone."""
        ...

    async def write_chunk(self, snapshot: Snapshot, offset: int, data: bytes) -> int:
        """Make a part of an arriving snapshot durable; how many bytes of it are now held.

        Data that does not begin where the held bytes end is ignored. Another arriving snapshot's
        bytes are discarded, but those of the same one are kept across restarts. Empty data only
        asks. A complete snapshot of the same name counts as fully held.
        """
        ...

    async def complete(self, snapshot: Snapshot) -> bool:
        """All bytes are held: check them and make the snapshot the newest, durably.

        False when they do not match the checksum (or the embedder refuses them); then none are held
        any more.
        """
        ...

    async def create(
        self, base: Base, membership: Membership, data: AsyncIterator[bytes]
    ) -> Snapshot:
        """Store a snapshot of the state after `base`, durable when this returns: the newest then.

        The only call that may run beside others, of the log store too: it is long. Older snapshots
        may go, but for the one before. A partly written one is never `newest`.
        """
        ...


class Sender(Protocol):
    """Carries messages to other members; may drop, reorder or duplicate, never alter."""

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks, never raises."""
        ...


class Applier(Protocol):
    """The embedder's state machine.

    Takes committed entries in log order, each exactly once per run of the process.
    """

    @property
    def applied_index(self) -> LogIndex:
        """The last entry whose effects are durable; delivery starts after it."""
        ...

    async def apply(self, entries: Sequence[Entry]) -> Sequence[object] | None:
        """Apply `entries`; committed entries wait while this runs (back-pressure).

        Returns:
            One result for each entry, for who submitted it; or None: no results.
        """
        ...


class SnapshotApplier(Applier, Protocol):
    """A state machine that can be captured and replaced. Needed with a `SnapshotStore`."""

    @property
    def captured_index(self) -> LogIndex:
        """Where a capture would stand now: the last applied entry, or an earlier one.

        An earlier one only if nothing after it has changed the state.
        """
        ...

    async def capture(self) -> AsyncIterator[bytes]:
        """The state after the last applied entry, in parts of at most a mebibyte.

        Nothing is applied until this returns; entries are applied while the parts are read, and
        must not show in them. Reading may raise `SnapshotError`: not now, try again later.
        """
        ...

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        """Replace the state, all or nothing; `applied_index` is at least `snapshot.index` then.

        Entries after `snapshot.index` are delivered next, also those that the state includes.
        """
        ...


class Admission(IntEnum):
    """An authority's judgement of an entry that a follower is asked to acknowledge."""

    ACCEPT = 0
    REFUSE = 1
    """Not now: do not store, tell the leader. A leader so refused by a majority steps down."""
    FORGED = 2
    """No honest member stores it, so none sends it: drop the message without an answer."""


class Authority(Protocol):
    """Signs and judges entries for the embedder. Pure as far as consensus can see."""

    def attest(self, header: bytes) -> bytes:
        """The signature of this node over an entry header, at most 256 bytes."""
        ...

    def admit(self, sender: NodeId, entry: Entry) -> Admission:
        """Judge an entry received from a leader, before it is stored or acknowledged.

        What a forged one costs its sender is the embedder's to decide.
        """
        ...

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Entries arrived from any member; consensus judges later whether it takes them in.

        Called for every append, before anything else: it must be cheap for entries seen before.
        """
        ...

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """A leader offered, in the place of a protected entry, another one, which was refused.

        No honest majority elects such a leader: one that signed both entries lied. At most one call
        for a message received, and again when it is repeated; it must be cheap.

        Args:
            held_hash: Of the entry that stays; its index is that of `offered`.
            held: That entry, if it is still in memory; else the log store has it.
            offered: The entry that was refused. `admit` has accepted it.
        """
        ...


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a member, and all until it stops."""

    number: int | None = None
    """Greater at each start, also after the disk was lost; None: the system's clock."""
    rng: Rng | None = None
    """Draws timeouts, differently in each life; None: the system's."""
    secret: bytes = b""
    """The same in each life, known to this member alone and kept apart from its log: with it the
    member recognises what it acknowledged (`receipts`)."""


class NoAuthority:
    """Attests with nothing and admits everything: members trust one another."""

    def attest(self, header: bytes) -> bytes:  # noqa: ARG002 - a port's signature
        """Nothing."""
        return b""

    def admit(self, sender: NodeId, entry: Entry) -> Admission:  # noqa: ARG002 - as above
        """Always."""
        return Admission.ACCEPT

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Nobody is told."""

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """Nobody is told."""

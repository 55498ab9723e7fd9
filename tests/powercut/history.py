"""A seeded life of a log: the same batches, and the same states after each, in every process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random  # noqa: TID251 - seeded

from consensus.membership import Membership
from consensus.ports import AppendBatch
from consensus.snapshot import BEGINNING, Base
from consensus.types import ENTRY_FORMAT, Entry, EntryKind, HardState, LogIndex, NodeId, Term

_ME = NodeId(1)
_MEMBERS = Membership((_ME, NodeId(2), NodeId(3)))


@dataclass
class State:
    """What a store holds after so many batches."""

    hard_state: HardState = field(default_factory=HardState)
    base: Base = BEGINNING
    entries: list[Entry] = field(default_factory=list)

    @property
    def last_index(self) -> LogIndex:
        """End of the log."""
        return LogIndex(self.base.index + len(self.entries))

    @property
    def last_hash(self) -> bytes:
        """Hash of the last entry."""
        return self.entries[-1].hash if self.entries else self.base.hash

    @property
    def positions(self) -> list[tuple[Term, bytes]]:
        """As a store presents them."""
        return [(entry.term, entry.hash) for entry in self.entries]

    def write(self, batch: AppendBatch) -> None:
        """Take in a batch, as a store does."""
        if batch.base is not None:
            gone = len(self.entries) if batch.reset else batch.base.index - self.base.index
            self.entries = self.entries[gone:]
            self.base = batch.base
        if batch.entries:
            kept = batch.entries[0].index - self.base.index - 1
            self.entries = [*self.entries[:kept], *batch.entries]
        self.hard_state = batch.hard_state or self.hard_state


class History:
    """Makes one batch after another: entries, elections, lost tails, compactions, resets."""

    def __init__(self, seed: int, large_bytes: int = 60_000) -> None:
        self.state = State()
        self._large_bytes = large_bytes
        self._rng = Random(seed)

    def next(self) -> AppendBatch:
        """The next batch; `state` is the one after it."""
        batch = self._next()
        self.state.write(batch)
        return batch

    def after(self, batches: int) -> State:
        """The state after so many batches from here."""
        for _ in range(batches):
            self.next()
        return replace(self.state, entries=self.state.entries.copy())

    def _next(self) -> AppendBatch:
        state, rng = self.state, self._rng
        kind = rng.random()
        if state.hard_state.term == 0 or kind < 0.1:
            return AppendBatch(self._vote(), [])
        if kind < 0.2 and state.entries:  # a new leader replaces the end
            kept = max(0, len(state.entries) - rng.randrange(1, 12))
            hard_state = self._vote()
            return AppendBatch(hard_state, self._entries(hard_state.term, kept))
        if kind < 0.26 and state.entries:
            place = rng.randrange(len(state.entries))
            entry = state.entries[place]
            base = Base(entry.index, entry.term, entry.hash, _MEMBERS)
            return AppendBatch(None, [], base=base)
        if kind < 0.27:  # a snapshot of what this node never had
            index = LogIndex(state.last_index + rng.randrange(1, 50))
            base = Base(index, state.hard_state.term, rng.randbytes(32), _MEMBERS)
            return AppendBatch(None, [], base=base, reset=True)
        return AppendBatch(None, self._entries(state.hard_state.term, len(state.entries)))

    def _vote(self) -> HardState:
        term = Term(self.state.hard_state.term + self._rng.randrange(1, 3))
        return HardState(term, self._rng.choice([None, _ME, NodeId(2)]))

    def _entries(self, term: Term, kept: int) -> list[Entry]:
        state, rng = self.state, self._rng
        count = rng.choice([1, 1, 2, 5, 20, 100])
        bytes_max = self._large_bytes if rng.random() < 0.02 else 250
        index = LogIndex(state.base.index + kept)
        prev_hash = state.entries[kept - 1].hash if kept else state.base.hash
        entries: list[Entry] = []
        for _ in range(count):
            index = LogIndex(index + 1)
            payload = rng.randbytes(rng.randrange(bytes_max))
            entry = ENTRY_FORMAT.make(
                term, index, EntryKind.DATA, _ME, prev_hash, payload, lambda _: b""
            )
            entries.append(entry)
            prev_hash = entry.hash
        return entries

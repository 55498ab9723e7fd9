"""What a node may believe of its own disk at start. Owns the judgement; pure, knows no file format.

The log's file says what it holds, the marker says what was promised. Three rules:

- Term and vote never go back: the later of both sources counts, and no stored entry is of a later
  term than the result.
- A node whose disk may have lost something is suspect, and stays so until a leader has led it past
  everything that it can have acknowledged (see `core`).
- Nothing is cut off here. Entries after damage may be committed; they stay stored, unseen, until
  a leader's entries take their places.

A file that is ahead of its marker is a crash between the two writes, before anything was promised.
A marker that is ahead of its file is a loss. A file and a marker that were both put back from an
older copy look healthy: no local evidence can tell, and `rejoins` is for that.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.membership import Membership
from consensus.ports import Recovered
from consensus.snapshot import BEGINNING, Base
from consensus.stores.marker import Condition, Promises
from consensus.types import HardState, LogIndex, Term


class Found(msgspec.Struct, frozen=True):
    """What the log's file holds, as far as its checksums can tell."""

    hard_state: HardState | None = None
    """None when its record is missing or fails its checksum."""
    base: Base | None = BEGINNING
    """None when its record fails its checksum."""
    positions: Sequence[tuple[Term, bytes]] = ()
    """(term, hash) of the entries after the base, up to the first that is missing or damaged."""
    memberships: Sequence[tuple[LogIndex, Membership]] = ()
    """Of the membership entries among them."""
    damaged: bool = False
    """Something is missing or damaged after `positions`."""
    newest_term: Term = Term(0)
    """Of all readable entries, also after the damage."""
    replaced: bool = False
    """The write that came after the marker's newest one replaced entries at a leader's order, so
    the end that the marker promises need not be here."""

    @property
    def fresh(self) -> bool:
        """Nothing was ever written."""
        return (
            self.hard_state is None
            and self.base is not None
            and self.base.index == 0
            and not self.positions
            and not self.damaged
        )


def reconcile(
    found: Found, promises: Promises, condition: Condition, *, rejoins: bool = False
) -> Recovered:
    """Judge what was found by what was promised.

    Args:
        found: What the log's file holds.
        promises: What the marker holds; `Promises()` when it cannot be read.
        condition: Of the marker.
        rejoins: The node lost its disk, or was given an older one: who starts it says so.
    """
    if found.base is None:  # of what stands without its beginning nothing can be used
        found = msgspec.structs.replace(found, positions=[], memberships=[], damaged=True)
    base, positions = found.base or BEGINNING, found.positions
    suspect = (
        rejoins
        or promises.suspect
        or found.damaged
        or condition is Condition.DAMAGED
        # A marker is made before its log is written, and its second write comes after.
        or (condition is Condition.MISSING and not found.fresh)
        or (condition is Condition.TORN and found.fresh)
        or not (found.replaced or _holds(base, positions, promises))
    )
    stored = found.hard_state
    if stored is None:
        stored = HardState()
        end = (base.index + len(positions), positions[-1][1] if positions else base.hash)
        covered = condition is Condition.OK and (promises.last_index, promises.last_hash) == end
        suspect = suspect or not (covered or found.fresh)
    if stored.term == promises.term and len({stored.vote, promises.vote} - {None}) > 1:
        suspect = True  # two votes in one term: one of the records is not this node's
    hard_state = later(stored, promises.hard_state)
    known = max(found.newest_term, base.term, positions[-1][0] if positions else Term(0))
    if known > hard_state.term:
        hard_state, suspect = HardState(known), True  # its vote in that term is lost
    return Recovered(
        hard_state=hard_state,
        positions=positions,
        suspect=suspect,
        base=base,
        memberships=found.memberships,
    )


def later(one: HardState, other: HardState) -> HardState:
    """The state of the higher term; in one term, the one that has voted."""
    if one.term != other.term:
        return max(one, other, key=lambda state: state.term)
    return one if one.vote is not None else other


def _holds(base: Base, positions: Sequence[tuple[Term, bytes]], promises: Promises) -> bool:
    """Whether the promised end is here. What lies before the base cannot be compared."""
    place = promises.last_index - base.index
    if place < 0:
        return True
    if place == 0:
        return promises.last_hash == base.hash
    return place <= len(positions) and positions[place - 1][1] == promises.last_hash

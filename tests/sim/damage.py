"""Disks that lose or garble what was synced. Owns the kinds of damage, and where they may strike.

Every kind is one that the store's checksums or its marker can notice; the cluster must then lose
nothing and wake up again. That needs a quorum of nodes whose disks are whole: the atlas keeps the
number of untrusted disks below that, for every membership that may be in force.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random  # noqa: TID251 - seeded
from typing import TYPE_CHECKING

from consensus.membership import Membership, decode_membership
from consensus.types import EntryKind, NodeId
from tests.sim.checker import Checker
from tests.sim.disk import Disk
from tests.sim.violation import is_quorum
from tests.sim.world import World

if TYPE_CHECKING:
    from tests.sim.node import SimNode


class Atlas:
    """Which disks can be trusted."""

    def __init__(self, nodes: Sequence[SimNode], checker: Checker, founding: Membership) -> None:
        self._nodes = nodes
        self._checker = checker
        self._founding = founding

    def untrusted(self) -> set[NodeId]:
        """Nodes that do not vote until they have caught up, or would not if they restarted."""
        return {
            node.id
            for node in self._nodes
            if node.disk.tainted
            or node.disk.suspect
            or (node.core is not None and node.core.suspect)
            or any(stored.bad for stored in node.disk.snapshots)
        }

    def memberships(self) -> set[Membership]:
        """Every membership that may have to decide something from now on."""
        committed = len(self._checker.committed)
        found = {self._checker.membership or self._founding}
        found.update(change for index, change in self._checker.proposed if index > committed)
        for node in self._nodes:
            found.update(
                decode_membership(entry.payload)
                for entry in node.disk.log.entries
                if entry.kind is EntryKind.MEMBERSHIP and entry.index > committed
            )
            if node.core is not None and node.core.membership_index > committed:
                found.add(node.core.membership)
        return found

    def can_believe(self, core: set[NodeId]) -> bool:
        """Whether everybody in `core` can learn the terms of the others there.

        Who lags behind a change to fewer voters still reckons with as many liars as there may be
        among those that it knows, and believes no term that fewer of them hold.
        """
        trusted = core - self.untrusted()
        liars_max = (len(self._founding.voters) - 1) // 3
        for node in self._nodes:
            known = _known_to(node.disk)
            halves = [half for half in (known.voters, known.outgoing) if half]
            liars = min([liars_max, *((len(half) - 1) // 3 for half in halves)])
            others = (known.voting & trusted) - {node.id}
            if node.id in trusted & known.voting and liars and len(others) <= liars:
                return False
        return True

    def spares(self, *victims: NodeId) -> bool:
        """Whether a quorum is left if these disks cannot be trusted either."""
        without = self.untrusted().union(victims)
        return all(is_quorum(m, m.voting - without) for m in self.memberships())


def _known_to(disk: Disk) -> Membership:
    """The membership in force for whoever starts from this disk."""
    known = disk.log.base.membership or Membership((), (), ())
    for entry in disk.log.entries:
        if entry.kind is EntryKind.MEMBERSHIP:
            known = decode_membership(entry.payload)
    return known


def strike(disk: Disk, rng: Random) -> str | None:
    """Damage a disk, which its node does not use now; the name of what was done, if anything."""
    if disk.tainted or disk.suspect:
        return None  # two kinds at once may hide each other, and nobody promises for that
    name, kind = rng.choice(_KINDS)
    disk.distrust()
    if not kind(disk, rng):
        return None
    disk.tainted = True
    return name


def scratch_arriving(disk: Disk, rng: Random, world: World) -> None:
    """Garble a byte of an arriving snapshot: nothing is lost that cannot be sent again."""
    if disk.arriving is not None and disk.arriving[1]:
        data = disk.arriving[1]
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        world.note("damage: arriving snapshot")


def _scratch_snapshot(disk: Disk, rng: Random) -> bool:
    """A snapshot that the state may have to start from; if so, the disk is replaced."""
    if not disk.snapshots:
        return False
    rng.choice(disk.snapshots).bad = True
    return True


def _flip_entry(disk: Disk, rng: Random) -> bool:
    if not disk.log.entries:
        return False
    first = disk.log.base.index + 1
    disk.log.bad.add(rng.randrange(first, disk.log.last_index + 1))
    return True


def _flip_hard_state(disk: Disk, rng: Random) -> bool:
    disk.log.hard_state = None
    return True


def _flip_marker(disk: Disk, rng: Random) -> bool:
    disk.slots = [disk.slots[0], None]
    return True


def _lose_marker(disk: Disk, rng: Random) -> bool:
    disk.slots = [None, None]
    if rng.randrange(2):
        disk.generation = 0  # the file is gone
    return True


def _flip_base(disk: Disk, rng: Random) -> bool:
    """The record of where the log begins, and with it all places in the log."""
    del rng
    disk.log.base_bad = disk.log.base.index > 0
    return disk.log.base_bad


def _lose_newest(disk: Disk, rng: Random) -> bool:
    """The end of the log file, also its hard state, as when a write-ahead log is cut."""
    if disk.older is None or disk.older.base != disk.log.base:
        return False  # an older base means that the log was compacted since
    disk.log, disk.older = disk.older, None
    del rng
    return True


_KINDS: Sequence[tuple[str, Callable[[Disk, Random], bool]]] = (
    ("damage: entry", _flip_entry),
    ("damage: entry", _flip_entry),
    ("damage: snapshot", _scratch_snapshot),
    ("damage: hard state", _flip_hard_state),
    ("damage: base", _flip_base),
    ("damage: marker slot", _flip_marker),
    ("damage: marker", _lose_marker),
    ("damage: older log", _lose_newest),
    ("damage: older log", _lose_newest),
)

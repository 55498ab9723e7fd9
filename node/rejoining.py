"""When a voter that lost its memory may sign again. Owns the operator's word that it did.

Consensus holds a node whose disk lost something as suspect until it has caught up. What the node
cosigned may be lost too, so it signs nothing until a head is final that includes everything which
was committed when it had caught up. A lost marker shows by itself, unless everything else is lost
with it: a node with an empty folder looks like a new one, and would vote a second time in a term in
which it has voted. So who empties the folder of a node puts a file named `rejoin` into it. It goes
away when the node signs again, so that a restart in the middle changes nothing.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from consensus.status import RaftStatus
from node.cosigner import Cosigner
from node.storage.marker import Condition, Marker
from node.tracker import Tracker

FILE = "rejoin"

_log = structlog.get_logger("node.rejoining")


class Rejoining:
    """The way back of one voter."""

    def __init__(self, folder: Path, cosigner: Cosigner, tracker: Tracker) -> None:
        self._file = folder / FILE
        self._cosigner = cosigner
        self._tracker = tracker
        self._index: int | None = None
        """Commit index when consensus was caught up with."""
        self._height: int | None = None
        """The height of that. It must be final, but no later one: those may need this voter."""

    @staticmethod
    def is_asked(folder: Path) -> bool:
        """Whether the operator says that this node lost its files."""
        return (folder / FILE).exists()

    def begin(self, marker: Marker, head_height: int) -> None:
        """Decide at start whether this voter knows what it signed."""
        lost = marker.condition in (Condition.MISSING, Condition.DAMAGED) or (
            marker.promises.suspect and marker.signed is None  # since an earlier start
        )
        self._cosigner.suspended = (lost and head_height > 0) or self._file.exists()
        if self._cosigner.suspended:
            _log.warning("signing suspended", height=head_height)

    def on_status(self, status: RaftStatus) -> None:
        """Consensus changed; at that instant, because what is committed later does not count."""
        if self._index is None and status.leader is not None and not status.suspect:
            self._index = status.commit_index

    def on_applied(self, height: int, index: int) -> None:
        """A block was applied; its height, and the Raft index that it came from."""
        if self._height is None and self._index is not None and index >= self._index:
            self._height = height if index == self._index else height - 1

    def look(self, status: RaftStatus) -> None:
        """Sign again once caught up: with the leader's log, and to a final head."""
        if not self._cosigner.suspended or self._index is None:
            return
        if self._height is None:
            if status.applied_index < self._index:
                return
            self._height = self._tracker.height
        if self._tracker.final_height >= self._height:
            self._cosigner.suspended = False
            self._file.unlink(missing_ok=True)
            _log.warning("signing resumed", height=self._tracker.height)

"""Names the node's own head for a snapshot, once it is final and durable. Owns that wait."""

from __future__ import annotations

from node.chain.head import name_head
from node.following.tracker import Tracker
from node.storage.ledger import Head, Ledger
from node.storage.ledger_reader import LedgerReader

FINAL_S = 10.0
"""A head that is not final by then is not named; a later one will be."""
_ANY_HEIGHT = 2**62


class NoSnapshotError(Exception):
    """The head cannot be named now."""


class Snapshots:
    """Makes names of heads."""

    def __init__(
        self, network_id: bytes, ledger: Ledger, reader: LedgerReader, tracker: Tracker
    ) -> None:
        self._network_id = network_id
        self._ledger = ledger
        self._reader = reader
        self._tracker = tracker

    async def make(self, head: Head) -> bytes:
        """The name of a head of this ledger, which may have moved on meanwhile.

        Everything up to it is durable when this returns: the log that made it may be cut then.

        Raises:
            NoSnapshotError: it is not final after `FINAL_S`, or there is no block yet.
        """
        if head.height == 0:
            raise NoSnapshotError("there is no block yet")
        await self._tracker.wait_heights(_ANY_HEIGHT, head.height - 1, FINAL_S)
        proof = await self._reader.inclusion(head.tree_size - 1)
        if proof is None:
            raise NoSnapshotError(f"height {head.height} is not final")
        await self._ledger.sync()
        return name_head(
            self._network_id,
            proof.leaf,
            tuple(proof.path),
            proof.certificate.decode(),
        )

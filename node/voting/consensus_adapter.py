"""The node as consensus sees it: what carries its messages, and its state machine.

Owns the adapters only. Knows consensus and nothing of p2p.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from consensus.errors import SnapshotError
from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind, LogIndex, NodeId
from node.chain.head import FalseHeadError, parse_head
from node.chain.voters import VoterSet
from node.following.applier import Applier
from node.following.catchup import CatchUp
from node.storage.ledger import Head, Ledger
from node.storage.ledger_values import CommittedEntry
from node.voting.proposing import InFlight
from node.voting.snapshots import NoSnapshotError, Snapshots

_log = structlog.get_logger("node.voting.consensus_adapter")


def receipts_secret(identity_seed: bytes) -> bytes:
    """What this node seals its acknowledgements with: the same after its disk was lost."""
    return hashlib.sha256(b"piaolian/raft-receipts/v1\n" + identity_seed).digest()


class RaftSender:
    """Carries Raft messages over the links: implements `consensus.ports.Sender`."""

    def __init__(self, carry: Callable[[int, bytes], None]) -> None:
        self._carry = carry

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks."""
        self._carry(to, message)


class RaftApplier:
    """Hands committed entries to the applier: implements `consensus.ports.SnapshotApplier`.

    A snapshot is the name of a final head; who restores one gets the blocks from its peers.
    """

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        applier: Applier,
        in_flight: InFlight,
        snapshots: Snapshots,
        catch_up: CatchUp,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._applier = applier
        self._in_flight = in_flight
        self._snapshots = snapshots
        self._catch_up = catch_up

    @property
    def applied_index(self) -> LogIndex:
        """The last entry whose effects are durable."""
        return LogIndex(self._ledger.head.raft_index)

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply the entries that have a payload; a leader's opening entry has no height."""
        committed = [
            CommittedEntry(entry.index, entry.term, entry.leader, entry.payload, entry.hash)
            for entry in entries
            if entry.kind is EntryKind.DATA
        ]
        await self._applier.apply(committed)
        self._in_flight.settled(committed)

    @property
    def captured_index(self) -> LogIndex:
        """The entry of the newest block: its seal vouches for that place, and for no later one."""
        return LogIndex(self._ledger.head.raft_index)

    async def capture(self) -> AsyncIterator[bytes]:
        """The name of the present head; reading it waits until the head is final."""
        return self._name(self._ledger.head)

    async def restore(self, snapshot: Snapshot, data: AsyncIterator[bytes]) -> None:
        """Adopt blocks up to the named head.

        Raises:
            SnapshotError: the bytes do not name one.
            HaltedError: the ledger holds another history.
        """
        name = b"".join([part async for part in data])
        try:
            head = parse_head(name, self._voters)
        except FalseHeadError as error:
            raise SnapshotError(str(error)) from error
        await self._catch_up.reach(head, snapshot.index)

    async def _name(self, head: Head) -> AsyncIterator[bytes]:
        try:
            name = await self._snapshots.make(head)
        except NoSnapshotError as error:
            _log.warning("no snapshot", reason=str(error))
            raise SnapshotError(str(error)) from error
        _log.info("snapshot", height=head.height, index=head.raft_index)
        yield name

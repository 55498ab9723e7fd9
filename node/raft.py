"""What consensus needs of the node: an authority over entries, a sender, a state machine.

Owns the adapters only. Knows consensus and nothing of p2p; the wiring makes them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from consensus.errors import ConsensusError, SnapshotError
from consensus.ports import Admission as EntryAdmission
from consensus.ports import LogStore
from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind, LogIndex, NodeId
from node.catchup import CatchUp
from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import attest, verify_attestation
from node.chain.head import FalseHeadError, parse_head
from node.chain.voters import VoterSet
from node.clock import Clock
from node.engine import Engine
from node.ledger.signing import secret_key
from node.naming import Naming, NotNamedError
from node.storage.ledger import CommittedEntry, Head, Ledger

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""

OBSERVED_BYTES_MAX = 8 * 1_048_576
"""Of entries that are not applied yet; few, since applying is durable soon after a commit."""

_log = structlog.get_logger("node.raft")


class EntryAuthority:
    """Signs and judges entries: implements `consensus.ports.Authority`."""

    def __init__(
        self,
        voters: VoterSet,
        identity_seed: bytes,
        clock: Clock,
        observe: Callable[[bytes, bytes], None],
        on_forged: Callable[[], None],
    ) -> None:
        """Put it together.

        Args:
            voters: Who may sign entries.
            identity_seed: This node's key.
            clock: Bounds the time of entries.
            observe: Compares a verified header with others.
            on_forged: The leader sent what no honest node sends.
        """
        self._voters = voters
        self._key = secret_key(identity_seed)
        self._clock = clock
        self._observe = observe
        self._on_forged = on_forged

    def attest(self, header: bytes) -> bytes:
        """This node's signature over an entry header."""
        return attest(self._voters.network_id, header, self._key)

    def admit(self, entry: Entry) -> EntryAdmission:
        """Verify the leader's signature, keep it for comparison, check the entry's time."""
        if not verify_attestation(self._voters, entry.header, entry.attestation):
            self._on_forged()
            return EntryAdmission.FORGED
        self._observe(entry.header, entry.attestation)
        if entry.kind is EntryKind.MEMBERSHIP:
            self._on_forged()
            return EntryAdmission.FORGED  # no leader chooses the voters: the genesis does
        if entry.kind is EntryKind.DATA:
            try:
                block = decode_block(entry.payload)
            except MalformedBlockError:
                return EntryAdmission.REFUSE
            if block.time_ms > self._clock.time_ms() + AHEAD_MS_MAX:
                return EntryAdmission.REFUSE
        return EntryAdmission.ACCEPT

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """A leader asked to replace what is final here: compare what was signed."""
        if held is not None:
            self._observe(held.header, held.attestation)
        _log.error(
            "a leader asks to replace protected entries",
            leader=offered.leader,
            term=offered.term,
            index=offered.index,
            held=held_hash.hex(),
            offered=offered.hash.hex(),
        )


async def observe_stored(
    store: LogStore, first: LogIndex, last: LogIndex, observe: Callable[[bytes, bytes], None]
) -> None:
    """Compare later entries with those that leaders signed before a restart."""
    if first > last:
        return
    try:
        entries = await store.read(first, last, OBSERVED_BYTES_MAX)
    except ConsensusError as error:  # cut off meanwhile, or damaged: consensus sees to that
        _log.warning("stored entries are not compared", reason=str(error))
        return
    for entry in entries:
        observe(entry.header, entry.attestation)


class RaftSender:
    """Carries Raft messages over the links: implements `consensus.ports.Sender`."""

    def __init__(self, carry: Callable[[int, bytes], None]) -> None:
        self._carry = carry

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks."""
        self._carry(to, message)


class RaftApplier:
    """Hands committed entries to the engine: implements `consensus.ports.SnapshotApplier`.

    A snapshot is the name of a final head; who restores one gets the blocks from its peers.
    """

    def __init__(
        self, voters: VoterSet, engine: Engine, ledger: Ledger, naming: Naming, catch_up: CatchUp
    ) -> None:
        self._voters = voters
        self._engine = engine
        self._ledger = ledger
        self._naming = naming
        self._catch_up = catch_up

    @property
    def applied_index(self) -> LogIndex:
        """The last entry whose effects are durable."""
        return LogIndex(self._engine.applied_index)

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply the entries that have a payload; a leader's opening entry has no height."""
        await self._engine.apply(
            [
                CommittedEntry(entry.index, entry.term, entry.leader, entry.payload)
                for entry in entries
                if entry.kind is EntryKind.DATA
            ]
        )

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
            name = await self._naming.name(head)
        except NotNamedError as error:
            _log.warning("no snapshot", reason=str(error))
            raise SnapshotError(str(error)) from error
        _log.info("snapshot", height=head.height, index=head.raft_index)
        yield name

"""What consensus needs of the node: an authority over entries, a sender, a state machine.

Owns the adapters only. Knows consensus and nothing of p2p; the wiring makes them.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from consensus.errors import ConsensusError, SnapshotError
from consensus.ports import Admission as EntryAdmission
from consensus.ports import LogStore
from consensus.snapshot import Snapshot
from consensus.stores.inspection import newest_entries
from consensus.types import Entry, EntryKind, LogIndex, NodeId, header_bytes
from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import attest, decode_header, verify_attestation
from node.chain.evidence import EntryStatement, Evidence
from node.chain.head import FalseHeadError, parse_head
from node.chain.voters import VoterSet
from node.following.applier import Applier
from node.following.catchup import CatchUp
from node.following.dissent import find_payload_breach
from node.ledger.signing import secret_key
from node.storage.ledger import CommittedEntry, Head, Ledger
from node.system.clock import Clock
from node.voting.proposing import InFlight
from node.voting.snapshots import Naming, NotNamedError

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""

CONFLICT_MS = 10_000
"""Between two lines in the log about leaders that ask to replace what is protected."""
SALVAGED_MAX = 16
"""Entries looked at in a message that is malformed; it costs its sender the link anyway."""
SIGNATURE_BYTES = 64

OBSERVED_BYTES_MAX = 8 * 1_048_576
RECORDED_MAX = 128
"""Entries of a log set aside that are told of: twice the heights that a voter may sign ahead."""
"""Of entries that are not applied yet; few, since applying is durable soon after a commit."""

_log = structlog.get_logger("node.voting.consensus_adapter")


class Observer(Protocol):
    """Whoever compares what leaders signed (`node.following.evidence_keeper`)."""

    def knows_entry(self, said: EntryStatement) -> bool:
        """Whether it was taken note of before, byte for byte."""
        ...

    def observe_entry(self, header: bytes, attestation: bytes) -> None:
        """Take note of a verified header."""
        ...

    def report(self, evidence: Evidence | None) -> None:
        """Keep what was found."""
        ...


class Exchange(Protocol):
    """Where headers are compared with the log and those of others (`node.following.dissent`)."""

    def observed(self, said: EntryStatement) -> None:
        """A verified header came."""
        ...

    def look_up(self, said: EntryStatement) -> None:
        """Compare it with what the log holds in its place."""
        ...


def receipts_secret(identity_seed: bytes) -> bytes:
    """What this node seals its acknowledgements with: the same after its disk was lost."""
    return hashlib.sha256(b"piaolian/raft-receipts/v1\n" + identity_seed).digest()


class EntryAuthority:
    """Signs and judges entries: implements `consensus.ports.Authority`."""

    def __init__(
        self,
        voters: VoterSet,
        identity_seed: bytes,
        clock: Clock,
        observer: Observer,
        exchange: Exchange,
        takes_entry: Callable[[int], bool],
        on_forged: Callable[[int], None],
    ) -> None:
        """Put it together.

        Args:
            voters: Who may sign entries.
            identity_seed: This node's key.
            clock: Bounds the time of entries.
            observer: Compares verified headers.
            exchange: Compares them with the log and with those of other nodes.
            takes_entry: Whether one more entry of a peer may be verified at its arrival.
            on_forged: A peer sent what no honest node sends.
        """
        self._voters = voters
        self._key = secret_key(identity_seed)
        self._clock = clock
        self._observer = observer
        self._exchange = exchange
        self._takes_entry = takes_entry
        self._on_forged = on_forged
        self._told_ms = -CONFLICT_MS

    def attest(self, header: bytes) -> bytes:
        """This node's signature over an entry header."""
        return attest(self._voters.network_id, header, self._key)

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Take note of what was signed, also where consensus will not take it in."""
        for entry in entries:
            self._offered(sender, _said(entry), entry.payload)

    def salvage(self, sender: NodeId, message: bytes) -> None:
        """Take note of what is signed in a message that consensus cannot take in."""
        for said, payload in signed_entries(message):
            self._offered(sender, said, payload)

    def _offered(self, sender: NodeId, said: EntryStatement, payload: bytes) -> None:
        if self._observer.knows_entry(said) or not self._takes_entry(sender):
            return
        if not verify_attestation(self._voters, said.header, said.attestation):
            self._on_forged(sender)
            return
        self._observe(said)
        if _is_broken(said, payload):
            self._observer.report(find_payload_breach(said, payload, self._voters))

    def _observe(self, said: EntryStatement) -> None:
        self._observer.observe_entry(said.header, said.attestation)
        self._exchange.observed(said)

    def admit(self, sender: NodeId, entry: Entry) -> EntryAdmission:
        """Verify the leader's signature, keep it for comparison, check the entry's time.

        Whoever sends a forged one pays, also if another signed it: an honest node has in its log
        what it admitted itself, and nothing else.
        """
        said = _said(entry)
        if not self._observer.knows_entry(said):
            if not verify_attestation(self._voters, said.header, said.attestation):
                self._on_forged(sender)
                return EntryAdmission.FORGED
            self._observe(said)
        if entry.kind is EntryKind.MEMBERSHIP:
            self._on_forged(sender)  # no leader chooses the voters: the genesis does
            return EntryAdmission.FORGED
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
        if held is None:
            self._exchange.look_up(_said(offered))
        else:
            self._observer.observe_entry(held.header, held.attestation)
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._told_ms >= CONFLICT_MS:  # who repeats it fills no disk
            self._told_ms = now_ms
            _log.error(
                "a leader asks to replace protected entries",
                leader=offered.leader,
                term=offered.term,
                index=offered.index,
                held=held_hash.hex(),
                offered=offered.hash.hex(),
            )


def _said(entry: Entry) -> EntryStatement:
    return EntryStatement(entry.header, entry.attestation)


def _is_broken(said: EntryStatement, payload: bytes) -> bool:
    """Whether the payload as a whole is none that its leader may sign; cheap."""
    header = decode_header(said.header)
    if header.kind != EntryKind.DATA:
        return False
    try:
        return decode_block(payload).expected_term != header.term
    except MalformedBlockError:
        return True


_append_decoder = msgspec.msgpack.Decoder(
    tuple[int, object, object, object, object, object, list[msgspec.Raw]]
)
_entry_decoder = msgspec.msgpack.Decoder(tuple[int, int, int, int, bytes, bytes, bytes])


def signed_entries(message: bytes) -> list[tuple[EntryStatement, bytes]]:
    """The first entries in an append, with their payloads, however false its fields are."""
    found = []
    try:
        for raw in _append_decoder.decode(message)[-1][:SALVAGED_MAX]:
            term, index, kind, leader, prev_hash, payload, attestation = _entry_decoder.decode(raw)
            payload_hash = hashlib.sha256(payload).digest()
            header = header_bytes(term, index, kind, leader, prev_hash, payload_hash)
            if len(prev_hash) == len(payload_hash) and len(attestation) == SIGNATURE_BYTES:
                found.append((EntryStatement(header, attestation), payload))
    except (msgspec.MsgspecError, RecursionError, OverflowError, struct.error):
        pass  # what was read before counts
    return found


async def read_signed(store: LogStore, first: int, last: int) -> list[tuple[EntryStatement, bytes]]:
    """Applied entries of the log with their payloads; none where it was cut."""
    if not 0 < first <= last:
        return []
    try:
        entries = await store.read(LogIndex(first), LogIndex(last), OBSERVED_BYTES_MAX)
    except ConsensusError as error:  # damaged: consensus sees to that
        _log.warning("entries cannot be compared", reason=str(error))
        return []
    return [(_said(entry), entry.payload) for entry in entries]


def recorded_statements(path: Path) -> list[EntryStatement]:
    """What leaders signed of the newest entries in the file of a log that is no more in use."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            entries = newest_entries(connection, RECORDED_MAX, OBSERVED_BYTES_MAX)
    except (sqlite3.Error, ConsensusError) as error:
        _log.warning("a record of a log cannot be read", file=str(path), reason=str(error))
        return []
    return [_said(entry) for entry in entries]


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
    """Hands committed entries to the applier: implements `consensus.ports.SnapshotApplier`.

    A snapshot is the name of a final head; who restores one gets the blocks from its peers.
    """

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        applier: Applier,
        in_flight: InFlight,
        naming: Naming,
        catch_up: CatchUp,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._applier = applier
        self._in_flight = in_flight
        self._naming = naming
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
            name = await self._naming.name(head)
        except NotNamedError as error:
            _log.warning("no snapshot", reason=str(error))
            raise SnapshotError(str(error)) from error
        _log.info("snapshot", height=head.height, index=head.raft_index)
        yield name

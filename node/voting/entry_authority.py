"""Who may have proposed what: signs this leader's entries, and judges those of others.

Owns the rule of each entry that comes: signed by its leader, not stamped ahead of time, no change
of voters. What is verified is handed to those that compare it. Knows consensus, and no p2p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from consensus.ports import Admission as EntryAdmission
from consensus.types import Entry, EntryKind, NodeId
from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import attest, decode_header, verify_attestation
from node.chain.evidence.judgement import PAYLOAD
from node.chain.evidence.kinds import (
    PAYLOAD_BYTES_MAX,
    EntryStatement,
    Evidence,
    PayloadEvidence,
)
from node.chain.voters import VoterSet
from node.ledger.signing import secret_key
from node.system.clock import Clock
from node.system.logs import Seldom
from node.voting.signed_log import signed_entries, statement_of

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""
EXAMINED_BYTES = 1_024
"""Of a payload that are read for the price of a signature check: as many tiny transactions as fit
into them take 60 µs."""

_log = structlog.get_logger("node.voting.entry_authority")


class Observer(Protocol):
    """Whoever compares what leaders signed (`node.following.evidence_keeper`)."""

    def knows_entry(self, said: EntryStatement) -> bool:
        """Whether it was taken note of before, byte for byte."""
        ...

    def observe_entry(self, header: bytes, attestation: bytes) -> None:
        """Take note of a verified header."""
        ...

    def takes(self, voter: int, kind: str) -> bool:
        """Whether evidence of this kind against a voter may still be kept."""
        ...

    def report(self, evidence: Evidence | None) -> object:
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


class EntryAuthority:
    """Signs and judges entries: implements `consensus.ports.Authority`."""

    def __init__(
        self,
        voters: VoterSet,
        identity_seed: bytes,
        clock: Clock,
        observer: Observer,
        exchange: Exchange,
        takes_entry: Callable[[int, float], bool],
        on_forged: Callable[[int], None],
    ) -> None:
        """Put it together.

        Args:
            voters: Who may sign entries.
            identity_seed: This node's key.
            clock: Bounds the time of entries.
            observer: Compares verified headers.
            exchange: Compares them with the log and with those of other nodes.
            takes_entry: Whether a peer may cause so many checks at the arrival of its entries.
            on_forged: A peer sent what no honest node sends.
        """
        self._voters = voters
        self._key = secret_key(identity_seed)
        self._clock = clock
        self._observer = observer
        self._exchange = exchange
        self._takes_entry = takes_entry
        self._on_forged = on_forged
        self._seldom = Seldom(clock)

    def attest(self, header: bytes) -> bytes:
        """This node's signature over an entry header."""
        return attest(self._voters.network_id, header, self._key)

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Take note of what was signed, also where consensus will not take it in."""
        for entry in entries:
            self._offered(sender, statement_of(entry), entry.payload)

    def salvage(self, sender: NodeId, message: bytes) -> None:
        """Take note of what is signed in a message that consensus cannot take in."""
        for said, payload in signed_entries(message):
            self._offered(sender, said, payload)

    def _offered(self, sender: NodeId, said: EntryStatement, payload: bytes) -> None:
        if self._observer.knows_entry(said) or not self._takes_entry(sender, 1):
            return
        if not verify_attestation(self._voters, said.header, said.attestation):
            self._on_forged(sender)
            return
        self._observe(said)
        self._examine(sender, said, payload)

    def _examine(self, sender: NodeId, said: EntryStatement, payload: bytes) -> None:
        """Find out whether a payload as a whole is none that its leader may sign.

        Reading one costs more than its signature, so its sender pays for that too, and it is read
        only for what would be kept.
        """
        leader = decode_header(said.header).leader
        if len(payload) > PAYLOAD_BYTES_MAX or not self._observer.takes(leader, PAYLOAD):
            return
        if self._takes_entry(sender, len(payload) / EXAMINED_BYTES) and _is_broken(said, payload):
            self._observer.report(PayloadEvidence(said, payload, 0))

    def _observe(self, said: EntryStatement) -> None:
        self._observer.observe_entry(said.header, said.attestation)
        self._exchange.observed(said)

    def admit(self, sender: NodeId, entry: Entry) -> EntryAdmission:
        """Verify the leader's signature, keep it for comparison, check the entry's time.

        Whoever sends a forged one pays, also if another signed it: an honest node has in its log
        what it admitted itself, and nothing else.
        """
        said = statement_of(entry)
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
            self._exchange.look_up(statement_of(offered))
        else:
            self._observer.observe_entry(held.header, held.attestation)
        if self._seldom.due():
            _log.error(
                "a leader asks to replace protected entries",
                leader=offered.leader,
                term=offered.term,
                index=offered.index,
                held=held_hash.hex(),
                offered=offered.hash.hex(),
            )


def _is_broken(said: EntryStatement, payload: bytes) -> bool:
    """Whether the payload as a whole is none that its leader may sign; cheap."""
    header = decode_header(said.header)
    if header.kind != EntryKind.DATA:
        return False
    try:
        return decode_block(payload).expected_term != header.term
    except MalformedBlockError:
        return True

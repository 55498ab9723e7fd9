"""What consensus needs of the node: an authority over entries, a sender, an applier.

Owns the adapters only. Knows consensus and nothing of p2p; the wiring makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from consensus.ports import Admission as EntryAdmission
from consensus.types import Entry, EntryKind, LogIndex, NodeId
from node.chain.block import MalformedBlockError, decode_block
from node.chain.entry import attest, verify_attestation
from node.chain.voters import VoterSet
from node.clock import Clock
from node.engine import Engine
from node.ledger.signing import secret_key
from node.storage.ledger import CommittedEntry

AHEAD_MS_MAX = 5_000
"""An entry stamped further ahead of our clock is not acknowledged."""


class EntryAuthority:
    """Signs and judges entries: implements `consensus.ports.Authority`."""

    def __init__(
        self,
        voters: VoterSet,
        identity_seed: bytes,
        clock: Clock,
        observe: Callable[[bytes, bytes], None],
    ) -> None:
        self._voters = voters
        self._key = secret_key(identity_seed)
        self._clock = clock
        self._observe = observe

    def attest(self, header: bytes) -> bytes:
        """This node's signature over an entry header."""
        return attest(self._voters.network_id, header, self._key)

    def admit(self, entry: Entry) -> EntryAdmission:
        """Verify the leader's signature, keep it for comparison, check the entry's time."""
        if not verify_attestation(self._voters, entry.header, entry.attestation):
            return EntryAdmission.FORGED
        self._observe(entry.header, entry.attestation)
        if entry.kind is EntryKind.MEMBERSHIP:
            return EntryAdmission.FORGED  # no leader chooses the voters: the genesis does
        if entry.kind is EntryKind.DATA:
            try:
                block = decode_block(entry.payload)
            except MalformedBlockError:
                return EntryAdmission.REFUSE
            if block.time_ms > self._clock.time_ms() + AHEAD_MS_MAX:
                return EntryAdmission.REFUSE
        return EntryAdmission.ACCEPT


class RaftSender:
    """Carries Raft messages over the links: implements `consensus.ports.Sender`."""

    def __init__(self, carry: Callable[[int, bytes], None]) -> None:
        self._carry = carry

    def send(self, to: NodeId, message: bytes) -> None:
        """Queue `message`; never blocks."""
        self._carry(to, message)


class RaftApplier:
    """Hands committed entries to the engine: implements `consensus.ports.Applier`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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

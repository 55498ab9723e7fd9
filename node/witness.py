"""Evidence against liars: noticed, judged, stored, passed on. Owns what this node has found.

Comparing is `node.chain.watch`; judging is `node.chain.evidence`. Evidence is kept once by its id
and travels on its own, so a node that saw only one half of a lie still learns of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from node.chain.checkpoint import Checkpoint
from node.chain.evidence import Evidence, decode_evidence, encode_evidence, judge
from node.chain.voters import VoterSet
from node.chain.watch import EvidenceWatch
from node.clock import Clock
from node.storage.ledger import Ledger

QUEUE_MAX = 256
"""Findings that wait to be stored; there are at most a few kinds for each lying voter."""

_log = structlog.get_logger("node.witness")


class EvidenceKeeper:
    """Compares statements; implements `finality.Witness`."""

    def __init__(
        self, voters: VoterSet, ledger: Ledger, clock: Clock, spread: Callable[[bytes], None]
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._clock = clock
        self._spread = spread
        self._watch = EvidenceWatch(voters)
        self._found: asyncio.Queue[tuple[bytes, bytes, str]] = asyncio.Queue(QUEUE_MAX)
        self._known: set[bytes] = set()

    def observe_cosignature(self, voter: int, checkpoint: Checkpoint, cosignature: bytes) -> None:
        """Take note of a verified cosignature."""
        self._report(self._watch.observe_cosignature(voter, checkpoint, cosignature))

    def contradicts(self, voter: int, checkpoint: Checkpoint) -> bool:
        """True if the voter is known to have cosigned another root of this size."""
        return self._watch.contradicts(voter, checkpoint)

    def observe_entry(self, header: bytes, attestation: bytes) -> None:
        """Take note of a leader's verified attestation."""
        self._report(self._watch.observe_entry(header, attestation))

    def receive(self, body: bytes) -> None:
        """Evidence from a peer.

        Raises:
            EvidenceError: it is malformed or proves nothing.
        """
        self._report(decode_evidence(body))

    async def keep(self) -> None:
        """Store and pass on what is found; runs until cancelled."""
        while True:
            evidence_id, body, sentence = await self._found.get()
            if await self._ledger.store_evidence(evidence_id, self._clock.time_ms(), body):
                _log.error("evidence", sentence=sentence, id=evidence_id.hex())
                self._spread(body)

    def _report(self, evidence: Evidence | None) -> None:
        if evidence is None:
            return
        finding = judge(evidence, self._voters)
        if finding.id in self._known or self._found.full():
            return
        self._known.add(finding.id)
        self._found.put_nowait((finding.id, encode_evidence(evidence), finding.sentence))

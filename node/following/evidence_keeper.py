"""Evidence against liars: noticed, judged, stored, passed on. Owns what this node has found.

Comparing is `node.chain.evidence.watch`, statements about sizes that are none of ours are
`node.chain.evidence.pending_statements`; judging is `node.chain.evidence.judgement`. Evidence is
kept once by its id, and only so much against one voter: a liar can make as many lies as it likes.
It travels on its own, also to a peer that comes later, so a node that saw only one half of a lie
still learns of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec
import structlog

from node.chain.certificate import Certificate, parse_certificate
from node.chain.checkpoint import Checkpoint
from node.chain.evidence.judgement import Accusation, accuse, identify, judge
from node.chain.evidence.kinds import (
    EntryStatement,
    Evidence,
    EvidenceError,
    Finding,
    RootStatement,
    decode_evidence,
    encode_evidence,
)
from node.chain.evidence.pending_statements import PendingStatement, PendingStatements
from node.chain.evidence.watch import EvidenceWatch
from node.chain.voters import VoterSet
from node.following.evidence_views import EvidenceSummary
from node.following.excuses import Excuses
from node.following.finality import DivergedError
from node.peers.messages import EvidenceMessage, Kind
from node.peers.ports import Links
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.system.clock import Clock
from node.system.logs import Seldom

QUEUE_MAX = 256
"""Findings that wait to be stored; there are at most a few kinds for each lying voter."""
OFFENCES_MAX = 8
"""Kept of one kind against one voter: one convicts, and a liar could fill every disk with more."""
NEWEST = 3
SETTLE_S = 0.25
"""How often what our tree has grown to is compared; reading a path takes about a millisecond."""

_log = structlog.get_logger("node.following.evidence_keeper")


class Kept(msgspec.Struct, frozen=True):
    """Stored evidence."""

    found_ms: int
    body: bytes
    finding: Finding


class EvidenceKeeper:
    """Compares statements; implements `comparing.StatementObserver`."""

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        reader: LedgerReader,
        clock: Clock,
        spread: Callable[[bytes], None],
        on_diverged: Callable[[DivergedError], None],
        excuses: Excuses,
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._spread = spread
        self._on_diverged = on_diverged
        self._excuses = excuses
        self._seldom = Seldom(clock)
        self._watch = EvidenceWatch(voters)
        self._found: asyncio.Queue[tuple[Finding, bytes]] = asyncio.Queue(QUEUE_MAX)
        self._kept: dict[bytes, Kept] = {}
        self._known: set[bytes] = set()
        self._offences: Counter[tuple[int, str]] = Counter()

    def attach(self, links: Links) -> None:
        """Take evidence from now on, and tell all of it to each peer that comes."""
        links.on(
            Kind.EVIDENCE,
            EvidenceMessage,
            lambda _, message: self.receive(message.body),
            price=4.0,  # two signatures and two paths
        )
        links.when_up(lambda number: self._tell_all(links, number))

    def _tell_all(self, links: Links, number: int) -> None:
        for body in self.bodies():
            links.send(number, EvidenceMessage(body))

    # --- What voters sign --------------------------------------------------------------------

    @property
    def pending(self) -> PendingStatements:
        """What is not known to be of our history."""
        return self._watch.pending

    def observe_cosignature(
        self, voter: int, checkpoint: Checkpoint, cosignature: bytes
    ) -> Evidence | None:
        """Take note of a verified cosignature; evidence, if it contradicts an earlier one."""
        return self.report(self._watch.observe_cosignature(voter, checkpoint, cosignature))

    def contradicts(self, voter: int, checkpoint: Checkpoint) -> bool:
        """True if the voter is known to have cosigned another root of this size."""
        return self._watch.contradicts(voter, checkpoint)

    def knows_entry(self, said: EntryStatement) -> bool:
        """Whether a leader's attestation was taken note of before, byte for byte."""
        return self._watch.knows_entry(said)

    def observe_entry(self, header: bytes, attestation: bytes) -> None:
        """Take note of a leader's verified attestation."""
        self.report(self._watch.observe_entry(header, attestation))

    def hear_entry(self, said: EntryStatement) -> bool:
        """As `observe_entry`, of one that a peer tells of; True if it is evidence."""
        return self.report(self._watch.hear_entry(said.header, said.attestation)) is not None

    def receive(self, body: bytes) -> None:
        """Evidence from a peer.

        Raises:
            EvidenceError: it is malformed or proves nothing.
        """
        if not any(kept.body == body for kept in self._kept.values()):
            self._judge(decode_evidence(body))

    # --- What was found ----------------------------------------------------------------------

    def bodies(self) -> list[bytes]:
        """All evidence kept, for a peer that comes."""
        return [kept.body for kept in self._kept.values()]

    def summary(self) -> EvidenceSummary:
        """How much there is, and the newest."""
        newest = sorted(
            self._kept.values(), key=lambda kept: (kept.found_ms, kept.finding.id), reverse=True
        )
        sentences = tuple(kept.finding.sentence for kept in newest[:NEWEST])
        return EvidenceSummary(len(self._kept), sentences)

    async def load(self) -> None:
        """Remember what is stored; once, at the start."""
        await self._excuses.load()
        after: bytes | None = None
        while rows := await self._reader.evidence(after, QUEUE_MAX):
            for identity, found_ms, body in rows:
                after = identity
                try:
                    evidence = decode_evidence(body)
                    finding = judge(evidence, self._voters)
                except EvidenceError as error:
                    _log.error("stored evidence is damaged", id=identity.hex(), reason=str(error))
                    continue
                self._admit(accuse(evidence))
                self._kept[finding.id] = Kept(found_ms, body, finding)
        newest = await self._reader.newest_certificate()
        if newest is not None:
            self._agree(parse_certificate(newest[1].decode()))

    def _agree(self, certificate: Certificate) -> None:
        """Remember who signed a head of ours, from before the restart."""
        checkpoint = certificate.checkpoint
        for line in certificate.cosignatures:
            number = self._voters.by_cosigner[line.cosigner].number
            said = RootStatement(checkpoint.size, checkpoint.root, line.blob)
            self.pending.agree(number, said)

    async def keep(self) -> None:
        """Store and pass on what is found; runs until cancelled."""
        while True:
            finding, body = await self._found.get()
            found_ms = self._clock.time_ms()
            self._kept[finding.id] = Kept(found_ms, body, finding)
            if await self._ledger.store_evidence(finding.id, found_ms, body):
                _log.error("evidence", sentence=finding.sentence, id=finding.id.hex())
                self._spread(body)

    def report(self, evidence: Evidence | None) -> Evidence | None:
        """Judge what this node noticed, and keep it; None if it proves nothing."""
        if evidence is None:
            return None
        try:
            self._judge(evidence)
        except EvidenceError as error:  # somebody fed what does not verify: blame nobody
            _log.error("what was noticed proves nothing", reason=str(error))
            return None
        return evidence

    def _judge(self, evidence: Evidence) -> None:
        """Judge and keep evidence; what would not be kept is not judged either.

        Who lies can go on for ever: once that is shown, more of the same costs no signature check.

        Raises:
            EvidenceError: it proves nothing.
        """
        if not self._is_news(accuse(evidence)):
            return
        finding = judge(evidence, self._voters)
        if not self._excuses.hold(evidence):
            self._keep(finding, evidence)

    def takes(self, voter: int, kind: str) -> bool:
        """Whether evidence of this kind against a voter may still be kept."""
        return self._offences[voter, kind] < OFFENCES_MAX

    def _is_news(self, accusation: Accusation) -> bool:
        known = identify(accusation, self._voters) in self._known
        return self.takes(accusation.voter, accusation.kind) and not known

    def _keep(self, finding: Finding, evidence: Evidence) -> None:
        if not self._found.full() and self._admit(accuse(evidence)):
            self._found.put_nowait((finding, encode_evidence(evidence)))

    def _admit(self, accusation: Accusation) -> bool:
        """Whether this is to be kept: new, and not one more of very many."""
        if not self._is_news(accusation):
            return False
        self._known.add(identify(accusation, self._voters))
        self._offences[accusation.voter, accusation.kind] += 1
        return True

    def _give_up(self, evidence: Evidence) -> None:
        """It convicts nobody any more, so it takes no place of what may come against the voter."""
        accusation = accuse(evidence)
        self._known.discard(identify(accusation, self._voters))
        self._offences[accusation.voter, accusation.kind] -= 1

    # --- Other histories ---------------------------------------------------------------------

    async def settle(self) -> None:
        """Compare pending statements with our tree as it grows; runs until cancelled."""
        while True:
            await asyncio.sleep(SETTLE_S)
            await self.settle_now()

    async def settle_now(self) -> None:
        """Compare what our tree can tell of by now."""
        await self._excuse()
        for certificate in self.pending.due_certificates():
            checkpoint = certificate.checkpoint
            root = await self._root(checkpoint.size)
            if root is not None and self.pending.certificate_told(certificate, root):
                names = ", ".join(certificate.cosigner_nodes(self._voters))
                self._on_diverged(
                    DivergedError(
                        f"{names} certified another tree of {checkpoint.size} leaves than ours",
                        certificate,
                        root,
                    )
                )
        for _ in range(2):  # what is told in the first pass may be proven at once
            for statement in self.pending.due():
                await self._settle(statement)

    async def _excuse(self) -> None:
        """Decide what a resumption may excuse, and drop what one excuses that came later."""
        for evidence in self._excuses.held():
            excused = await self._excuses.decide(evidence)
            if excused is None:
                self._excuses.hold(evidence)
            elif not excused:
                self._keep(judge(evidence, self._voters), evidence)
        if not await self._excuses.store_new():
            return
        for identity, kept in list(self._kept.items()):
            evidence = decode_evidence(kept.body)
            if await self._excuses.decide(evidence):
                _log.warning("excused", sentence=kept.finding.sentence, id=identity.hex())
                del self._kept[identity]
                self._give_up(evidence)
                await self._ledger.drop_evidence(identity)

    async def _settle(self, statement: PendingStatement) -> None:
        said, under = statement.said, statement.under
        prefix = await self._reader.prefix(said.size, said.size if under is None else under.size)
        if prefix is None:
            return
        if under is not None:
            self.report(self.pending.prove(statement, *prefix))
        elif self.pending.told(statement, prefix[0]) and self._seldom.due(statement.voter):
            voter = self._voters.voters[statement.voter].node
            _log.error("another history", voter=voter, size=said.size, root=said.root.hex())

    async def _root(self, size: int) -> bytes | None:
        prefix = await self._reader.prefix(size, size)
        return None if prefix is None else prefix[0]

"""All parts of a voter, each made from those before it, and what is registered where.

Owns the order of construction; and, before anything is started, who takes which message and who
hears of a stored block. Runs nothing. What programs ask of the node is `node.runtime.serving`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from consensus.core.status import RaftStatus
from node.chain.certificate import Certificate
from node.chain.checkpoint import sign_origin
from node.custody.credentials import Credentials
from node.custody.signer import Signer
from node.following.applier import Applier
from node.following.observers import Observers
from node.following.parts import Following, Share, build_following
from node.following.peer_states import OwnStatus
from node.ledger.signing import secret_key
from node.peers.messages import NONCE_BYTES, QuestionMessage
from node.peers.router import Router
from node.runtime.files import VoterFiles
from node.runtime.given import Given
from node.runtime.links import build_router
from node.runtime.ordering import Ordering, build_ordering
from node.storage.ledger_values import AppliedBlock
from node.submission.admission import Admission
from node.submission.handing_in import FromObservers
from node.submission.intake import Intake
from node.submission.pool import Pool, PoolLimits
from node.submission.spreading import Spreading
from node.voting.answering import Answering
from node.voting.proposing import InFlight, Proposer
from node.voting.rejoining import Effects, Rejoining
from node.voting.signed_log import read_signed


class SubmissionParts(NamedTuple):
    """From bytes to transactions that wait, and to those of other nodes."""

    intake: Intake
    spreading: Spreading


class VoterParts(NamedTuple):
    """The parts."""

    router: Router
    following: Following
    ordering: Ordering
    submission: SubmissionParts
    rejoining: Rejoining
    proposer: Proposer
    own_status: OwnStatus
    observers: Observers
    signer: Signer

    @property
    def intake(self) -> Intake:
        """Where transactions are taken in."""
        return self.submission.intake

    @property
    def applier(self) -> Applier:
        """What brings blocks into the ledger."""
        return self.ordering.applier


def build_parts(given: Given, files: VoterFiles) -> VoterParts:
    """Put the parts together and register them with one another; nothing runs yet."""
    identity, clock = given.identity, given.clock
    router, due, pool = build_router(given), asyncio.Event(), _make_pool(given)
    share = Share(due.set, publisher(given.keys.origin), partial(read_signed, files.log_store))
    following = build_following(identity, files.books, router, clock, share)
    in_flight = InFlight(pool)
    ordering = build_ordering(given, files, router, following, in_flight)
    consensus = ordering.consensus
    number = identity.me.number
    spreading = Spreading(identity.voters, number, pool, router, consensus.leader, clock)
    intake = Intake(
        Admission(identity.genesis, following.participants, given.verified, pool.knows),
        pool,
        files.outbox,
        following.tracker,
        clock,
        given.config.limits.outbox_transactions,
        spreading.spread,
        due.set,
    )
    rejoining = _build_rejoining(given, files, router, following, ordering)

    def has_work() -> bool:
        # A voter that rejoins waits for heights above what it may have signed.
        return len(pool) > 0 or intake.promised > 0 or rejoining.waits

    parts = VoterParts(
        router=router,
        following=following,
        ordering=ordering,
        submission=SubmissionParts(intake, spreading),
        rejoining=rejoining,
        observers=Observers(
            Credentials(identity.voters.network_id, following.participants),
            router.guests,
            following,
            clock,
        ),
        own_status=OwnStatus(router, following.tracker, clock, has_work),
        proposer=Proposer(
            pool,
            in_flight,
            following.certificates,
            consensus,
            following.halt,
            due,
            lambda: has_work() or following.peers.work_reported,
            clock,
        ),
        signer=Signer(given.key_file, identity.participant, following.participants, given.keyring),
    )
    _route(parts, Answering(identity.voters, files.cosigner, following.finality, clock))
    _listen(parts, in_flight, due)
    return parts


def _make_pool(given: Given) -> Pool:
    limits = given.config.limits
    return Pool(PoolLimits(transactions_max=limits.pool_transactions, bytes_max=limits.pool_bytes))


def _build_rejoining(
    given: Given, files: VoterFiles, router: Router, following: Following, ordering: Ordering
) -> Rejoining:
    return Rejoining(
        files.vouch,
        given.identity.voters,
        files.cosigner,
        following.finality,
        files.books.ledger,
        files.books.reader,
        given.clock,
        Effects(
            make_nonce=lambda: given.rng.randbytes(NONCE_BYTES),
            ask=lambda number, nonce: router.send(number, QuestionMessage(nonce)),
            publish=following.evidence.excuses.publish,
            on_forgotten=ordering.consensus.distrust,
            on_signing=ordering.signing.wake,
        ),
    )


def _route(parts: VoterParts, answering: Answering) -> None:
    """Who takes which message. A peer that comes is told things in this order too."""
    router, following = parts.router, parts.following
    router.on_raft(parts.ordering.consensus.receive)
    parts.submission.spreading.attach(router, parts.intake)
    parts.own_status.attach(router)
    parts.rejoining.attach(router)
    answering.attach(router)
    following.attach(router)
    parts.ordering.ranges.attach(router)
    parts.observers.attach()
    FromObservers(parts.intake).attach(router.guests)


def _listen(parts: VoterParts, in_flight: InFlight, due: asyncio.Event) -> None:
    """Who hears of a stored block, of a final height and of consensus, in this order."""
    following, ordering = parts.following, parts.ordering

    def follow_keys(block: AppliedBlock) -> None:
        if block.participants:
            parts.signer.follow()

    ordering.applier.listen(
        in_flight.applied,
        *following.listeners,
        follow_keys,
        ordering.consensus.applied,
        parts.intake.applied,
        lambda _: due.set(),
        parts.observers.on_block,
        ordering.signing.applied,  # told last, and counted then
    )
    following.certificates.listen(due.set)
    following.certificates.listen(ordering.signing.final_moved)

    def on_news(status: RaftStatus) -> None:
        due.set()
        if status.leader is not None:
            parts.intake.resend(at_once=True)

    ordering.news.listen(on_news)


def publisher(origin_seed: bytes) -> Callable[[Certificate], Certificate]:
    """Adds to a certificate the signature of a voter's origin key."""
    key = secret_key(origin_seed)

    def publish(certificate: Certificate) -> Certificate:
        return certificate.published(sign_origin(certificate.checkpoint, key))

    return publish

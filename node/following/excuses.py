"""Resumptions of voters that were led astray: kept, passed on, and what evidence they excuse.

Judging one is `node.chain.evidence.excuse`. Whether evidence is excused is read off the own tree,
so some of it waits until that has grown: it convicts nobody before. Resumptions travel before
evidence, and a voter publishes its own before it signs anything again, so that no node holds the
pair without it.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from node.chain.certificate import Certificate
from node.chain.evidence.excuse import (
    ExcuseError,
    Resumption,
    contradiction,
    decode_resumption,
    encode_resumption,
    may_excuse,
    verify_resumption,
)
from node.chain.evidence.kinds import Evidence
from node.chain.merkle import verify_consistency
from node.chain.voters import VoterSet
from node.peers.messages import Kind, ResumptionMessage
from node.peers.ports import Links
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader

RESUMPTIONS_MAX = 32
"""Of one voter. A liar may publish many; an honest one is led astray once in a long time."""
HELD_MAX = 64
"""Against one voter. Over it that with the largest tree is given up: ours reaches it last, and
another voter's is none of it."""

_log = structlog.get_logger("node.following.excuses")


class Excuses:
    """What one node knows of resumptions."""

    def __init__(
        self,
        voters: VoterSet,
        ledger: Ledger,
        reader: LedgerReader,
        spread: Callable[[bytes], None],
    ) -> None:
        self._voters = voters
        self._ledger = ledger
        self._reader = reader
        self._spread = spread
        self._known: dict[tuple[int, int], tuple[Resumption, Certificate]] = {}
        """By voter and tree size."""
        self._new: list[tuple[int, int, bytes]] = []
        """To be stored and passed on."""
        self._held: list[list[Evidence]] = [[] for _ in voters.voters]
        """True evidence against each voter that may be excused."""

    def attach(self, links: Links) -> None:
        """Take resumptions from now on, and tell all of them to each peer that comes."""
        links.on(
            Kind.RESUMPTION,
            ResumptionMessage,
            lambda _, message: self.receive(message.body),
            price=9.0,  # a certificate, and the voter's signature
        )
        links.when_up(lambda number: self._tell_all(links, number))

    def _tell_all(self, links: Links, number: int) -> None:
        for body in self.bodies():
            links.send(number, ResumptionMessage(body))

    async def load(self) -> None:
        """Remember what is stored; once, at the start."""
        for body in await self._reader.resumptions():
            try:
                resumption = decode_resumption(body)
                certificate = verify_resumption(resumption, self._voters)
            except ExcuseError as error:
                _log.error("a stored resumption is damaged", reason=str(error))
                continue
            self._known[resumption.voter, certificate.checkpoint.size] = (resumption, certificate)

    def bodies(self) -> list[bytes]:
        """All of them, for a peer that comes."""
        return [encode_resumption(resumption) for resumption, _ in self._known.values()]

    def receive(self, body: bytes) -> None:
        """A resumption from a peer.

        Raises:
            ExcuseError: it is none.
        """
        resumption = decode_resumption(body)
        if any(known == resumption for known, _ in self._known.values()):
            return
        certificate = verify_resumption(resumption, self._voters)
        place = (resumption.voter, certificate.checkpoint.size)
        of_voter = sum(voter == resumption.voter for voter, _ in self._known)
        if place in self._known or of_voter >= RESUMPTIONS_MAX:
            return
        self._known[place] = (resumption, certificate)
        self._new.append((*place, body))
        _log.warning("a voter resumed", voter=self._name(resumption.voter), size=place[1])

    async def publish(self, resumption: Resumption) -> None:
        """Make the own resumption durable and tell all others; signing may go on after that."""
        self.receive(encode_resumption(resumption))
        await self.store_new()
        await self._ledger.sync()

    async def store_new(self) -> bool:
        """Store and pass on what is new; whether anything was."""
        new, self._new = self._new, []
        for voter, size, body in new:
            await self._ledger.store_resumption(voter, size, body)
            self._spread(body)
        return bool(new)

    # --- Evidence -----------------------------------------------------------------------------

    def hold(self, evidence: Evidence) -> bool:
        """Keep back true evidence that may be excused; False: nothing excuses it."""
        pair = contradiction(evidence)
        if pair is None or not self._covering(evidence):
            return False
        held = self._held[pair[0]]
        if evidence not in held:
            held.append(evidence)
        if len(held) > HELD_MAX:
            held.remove(max(held, key=_larger_size))
        return True

    def held(self) -> list[Evidence]:
        """What is kept back and can be decided by our tree; it is given up here.

        The rest is not looked at: it may be of a tree that ours never grows to.
        """
        size = self._ledger.head.tree_size
        due: list[Evidence] = []
        for held in self._held:
            due += [evidence for evidence in held if _larger_size(evidence) <= size]
            held[:] = [evidence for evidence in held if _larger_size(evidence) > size]
        return due

    async def decide(self, evidence: Evidence) -> bool | None:
        """Whether a resumption excuses true evidence; None: our tree cannot tell yet."""
        pair = contradiction(evidence)
        covering = self._covering(evidence)
        if pair is None or not covering:
            return False
        large = pair[2]
        if large.size > self._ledger.head.tree_size:
            return None
        undecided = False
        for certificate in covering:
            base = certificate.checkpoint
            prefix = await self._reader.prefix(base.size, large.size)
            if prefix is None:
                undecided = True
                continue
            root, path = prefix
            if root == base.root and verify_consistency(
                base.size, large.size, base.root, large.root, path
            ):
                return True
        return None if undecided else False

    def _covering(self, evidence: Evidence) -> list[Certificate]:
        """The certificates of resumptions, all verified, that lie between the two statements."""
        return [
            certificate
            for (voter, size), (_, certificate) in self._known.items()
            if may_excuse(evidence, voter, size)
        ]

    def _name(self, number: int) -> str:
        return self._voters.voters[number].node


def _larger_size(evidence: Evidence) -> int:
    pair = contradiction(evidence)
    assert pair is not None, "only what a resumption may excuse is held"
    return pair[2].size

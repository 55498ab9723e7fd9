"""The way back of a voter that may have forgotten what it signed. Owns when it is taken.

A marker that is missing or damaged, an operator's file `rejoin`, or a valid cosignature of its own
over a larger tree than it remembers: then it is rejoining, which is noted before anything else and
holds over restarts. What it may do again, and when, decides `node.voting.resumption`; no leader is
believed. At each start it asks the others what they hold of its signatures, and signs nothing
before as many have answered as finality needs of them: a folder put back from an older copy shows
so before it signs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import structlog

from node.chain.certificate import parse_certificate
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint, verify_cosignature
from node.chain.evidence.excuse import Resumption
from node.chain.merkle import Frontier
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.peers.messages import AnswerMessage, HeldSignature, Kind
from node.peers.ports import Routing
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader, OtherTreeError
from node.storage.marker import MarkerFullError
from node.system.clock import Clock
from node.system.logs import Seldom
from node.voting.cosigner import Cosigner
from node.voting.rejoin_word import Vouch
from node.voting.resumption import Answer, Inquiry, is_base
from node.voting.signing_view import SigningView

LOOK_S = 0.25
ASK_MS = 1_000
"""A voter that did not answer is asked again so often."""

_log = structlog.get_logger("node.voting.rejoining")


class Effects(NamedTuple):
    """What the way back does, and takes, outside of the voter's memory."""

    make_nonce: Callable[[], bytes]
    """Draws one that was never used."""
    ask: Callable[[int, bytes], bool]
    """Ask a voter what it knows; False when that cannot be sent."""
    publish: Callable[[Resumption], Awaitable[None]]
    """Make a resumption durable and tell it, which excuses what was signed before."""
    on_forgotten: Callable[[], None]
    """More was signed than is remembered."""
    on_signing: Callable[[], None]
    """What had to wait may be signed now."""


class Rejoining:
    """One voter's memory of its signatures, as the others can confirm it."""

    def __init__(
        self,
        vouch: Vouch,
        voters: VoterSet,
        cosigner: Cosigner,
        finality: Finality,
        ledger: Ledger,
        reader: LedgerReader,
        clock: Clock,
        effects: Effects,
    ) -> None:
        """Put it together; `run` is the work.

        Args:
            vouch: An operator's word.
            voters: Who is asked.
            cosigner: This voter's memory of what it signed.
            finality: Shows what others hold of this voter's signatures, and what is certified.
            ledger: Its own, in whose thread it resumes.
            reader: Of the same.
            clock: Paces the asking.
            effects: What happens outside.
        """
        self._vouch = vouch
        self._vouched = vouch.height
        self._voters = voters
        self._number = cosigner.voter.number
        self._cosigner = cosigner
        self._finality = finality
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._seldom = Seldom(clock)
        self._effects = effects
        self._rules = cosigner.rules
        self._inquiry: Inquiry | None = self._new_inquiry()
        self._cosigner.held_back = not cosigner.rejoining and voters.q > 1
        self._own_size = 0
        """Of the largest tree that this voter is shown to have signed."""
        self._settled_size = 0
        """Up to there it is known what it is shown to have signed, and it may sign again."""
        self._asked_ms: dict[int, int] = {}
        self._strangers: set[int] = set()
        """Voters whose certificates are of another history than this ledger's."""
        self._misused = False
        self._lacked_room = False

    def attach(self, routes: Routing) -> None:
        """Take answers from now on, and ask each peer that comes."""
        # A certificate, and one of our own signatures.
        routes.on(Kind.ANSWER, AnswerMessage, self.receive, price=9.0)
        routes.when_up(self.link_up)

    @property
    def waits(self) -> bool:
        """It needs blocks above those it may have signed, so some must be made."""
        return self._cosigner.rejoining

    # --- Asking ------------------------------------------------------------------------------

    def link_up(self, number: int) -> None:
        """A voter can be asked."""
        if self._inquiry is not None and number in self._inquiry.missing:
            self._ask(self._inquiry, number)

    def receive(self, number: int, message: AnswerMessage) -> None:
        """A voter answered.

        Raises:
            CertificateError: with a certificate that does not verify.
        """
        inquiry = self._inquiry
        if inquiry is None or message.nonce != inquiry.nonce:
            return  # to an earlier question
        certificate = parse_certificate(message.note) if message.note else None
        if not inquiry.hear(number, message.nonce, Answer(certificate, message.signed)):
            return
        _log.info("answered", peer=self._name(number), signed=message.signed)
        held = message.held
        if held is not None and held.size > self._cosigner.signed_size and self._is_own(held):
            self._own_size = max(self._own_size, held.size)
        self._look()

    def _is_own(self, held: HeldSignature) -> bool:
        """Whether it is this voter's signature: who holds it need not have verified it."""
        me = self._voters.voters[self._number]
        checkpoint = Checkpoint(me.origin, held.size, held.root)
        return verify_cosignature(checkpoint, me.cosigner, me.cosign_key, held.cosignature)

    def _ask(self, inquiry: Inquiry, number: int) -> None:
        if self._effects.ask(number, inquiry.nonce):
            self._asked_ms[number] = self._clock.monotonic_ms()

    def _new_inquiry(self) -> Inquiry:
        return Inquiry(self._rules, self._voters, self._number, self._effects.make_nonce())

    # --- Deciding ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Ask, watch and come back; runs until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(LOOK_S)

    async def step(self) -> None:
        """Whatever can be done now. What the disk has no room for is done later."""
        try:
            await self._step()
        except MarkerFullError as error:
            self._cosigner.held_back = True  # what was to be noted may not be acted against
            if not self._lacked_room:
                _log.error("nothing is signed", reason=str(error))
            self._lacked_room = True
        else:
            if self._lacked_room or self._cosigner.lacks_room:
                self._effects.on_signing()
            self._lacked_room = False

    async def _step(self) -> None:
        self._look()
        now, inquiry = self._clock.monotonic_ms(), self._inquiry
        for number in inquiry.missing if inquiry is not None else ():
            if inquiry is not None and now - self._asked_ms.get(number, -ASK_MS) >= ASK_MS:
                self._ask(inquiry, number)
        if self._cosigner.rejoining:
            await self._place()
            await self._resume()

    def _look(self) -> None:
        """Compare what was heard of this voter with what it remembers."""
        shown = self._finality.newest_of(self._number)
        self._own_size = max(self._own_size, 0 if shown is None else shown.size)
        if self._cosigner.rejoining:
            return
        if self._own_size > max(self._cosigner.signed_size, self._settled_size):
            # Signatures made since the last question may be among the forgotten ones: ask anew.
            try:
                self._cosigner.forget()
            except MarkerFullError:
                if not self._cosigner.rejoining:
                    raise  # it is tried again; one of two slots is enough to go on
            self._inquiry = self._new_inquiry()
            self._asked_ms.clear()
            _log.critical("signed more than is remembered", size=self._own_size)
            self._effects.on_forgotten()
        elif self._inquiry is not None and self._has_asked:
            self._inquiry = None
            self._cosigner.held_back = False
            self._effects.on_signing()

    async def _place(self) -> None:
        """Find the told certificates in the own ledger, as far as it has come."""
        inquiry = self._inquiry
        assert inquiry is not None, "kept until signing is resumed"
        for number, checkpoint in inquiry.unplaced().items():
            try:
                height = await self._reader.height_of(checkpoint.size, checkpoint.root)
            except OtherTreeError as error:
                if number not in self._strangers:
                    self._strangers.add(number)
                    _log.critical("another history", peer=self._name(number), reason=str(error))
                continue
            void = height is not None and not inquiry.place(number, height)
            if void and self._seldom.due(number):
                _log.error("void answer", peer=self._name(number), height=height)

    async def _resume(self) -> None:
        """Sign again, once there is a base."""
        head, least = self._finality.certified, self._height_min()
        if head is None or least is None:
            return
        told, known = self._told(), self._known()
        if is_base(head, told, known, own=self._number, own_size=self._own_size):
            await self.resume_above(head)
        elif head.height > least and head.is_signed_by(self._number) and not self._misused:
            self._misused = True
            _log.critical("somebody else signs with this voter's key", height=head.height)

    async def resume_above(self, base: CertifiedHead) -> None:
        """Sign again, only above a certificate that fits this ledger, however it was chosen."""
        held = self._cosigner.memory.certified
        try:
            if held is not None:
                await self._reader.height_of(held.size, held.root)
        except OtherTreeError as error:
            if not self._misused:
                self._misused = True
                _log.critical("what was final is not of this history", reason=str(error))
            return
        if not base.is_signed_by(self._number):
            await self._effects.publish(self._cosigner.sign_resumption(self._voters, base))

        # Before it takes effect: after a crash in between, the voter is still rejoining, and asks.
        await asyncio.to_thread(self._vouch.consume)

        def note(_: int, frontier: Frontier) -> None:
            self._cosigner.resume_above(base, frontier)

        await self._ledger.revisit(lambda _: range(base.height, base.height + 1), note)
        self._settled_size = self._own_size
        self._cosigner.held_back = False  # what the others hold has been asked for by now
        self._vouched = self._inquiry = None
        self._strangers.clear()
        _log.warning("signing resumed", above=base.height)
        self._effects.on_signing()

    def _height_min(self) -> int | None:
        """The least height of a base. Each of these is safe, so the least of them is enough."""
        return _least(self._told(), self._known())

    def _told(self) -> int | None:
        return None if self._inquiry is None else self._inquiry.base_height()

    def _known(self) -> int | None:
        # What a torn marker bounds is what this copy of it had signed, and the copy may be an older
        # one. So it counts once enough others had the chance to show what they hold.
        above = self._cosigner.memory.above if self._has_asked else None
        return _least(self._vouched, above)

    @property
    def _has_asked(self) -> bool:
        """Whether as many others have answered as finality needs of them."""
        return self._inquiry is None or self._inquiry.answered >= self._voters.q - 1

    # --- Telling -----------------------------------------------------------------------------

    def view(self) -> SigningView:
        """What is waited for, if anything."""
        lacks_room = self._lacked_room or self._cosigner.lacks_room
        return msgspec.structs.replace(self._view(), lacks_room=lacks_room)

    def _view(self) -> SigningView:
        inquiry = self._inquiry
        if inquiry is None:
            return SigningView("signing")
        missing = tuple(self._name(number) for number in inquiry.missing)
        if not self._cosigner.rejoining:
            if not self._cosigner.held_back:
                return SigningView("signing")
            needed = self._voters.q - 1
            return SigningView("asking", inquiry.answered, needed, missing)
        return SigningView(
            "rejoining", inquiry.answered, inquiry.needed, missing, self._height_min()
        )

    def _name(self, number: int) -> str:
        return self._voters.voters[number].node


def _least(one: int | None, other: int | None) -> int | None:
    return min((height for height in (one, other) if height is not None), default=None)

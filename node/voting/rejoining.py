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
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from node.chain.certificate import parse_certificate
from node.chain.certified import CertifiedHead
from node.chain.checkpoint import Checkpoint, verify_cosignature
from node.chain.excuse import Resumption
from node.chain.merkle import Frontier
from node.chain.voters import VoterSet
from node.following.finality import Finality
from node.peers.messages import AnswerMessage, HeldSignature
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader, OtherTreeError
from node.storage.marker import Condition, Marker, MarkerFullError
from node.system.clock import Clock
from node.voting.cosigner import Cosigner
from node.voting.rejoin_word import FILE, SAY_AGAIN, RejoinFileError, consume, read_word
from node.voting.resumption import Answer, Inquiry, Rules, is_base
from node.voting.signing_view import SigningView

LOOK_S = 0.25
ASK_MS = 1_000
"""A voter that did not answer is asked again so often."""
ANSWER_MS_MIN = 200
"""No peer is answered more often."""

_log = structlog.get_logger("node.voting.rejoining")


class Carrier(Protocol):
    """What rejoining needs of the links."""

    def ask(self, number: int, nonce: bytes) -> bool:
        """Ask a voter what it knows; False when that cannot be sent."""
        ...


def recall(folder: Path, marker: Marker, cosigner: Cosigner) -> int | None:
    """Decide at start whether this voter knows what it signed, before anything uses the answer.

    Returns:
        The height that an operator vouches for: this voter signed nothing above it.

    Raises:
        RejoinFileError: the file `rejoin` is malformed, or below what is known to be signed.
    """
    asked, vouched, void = read_word(folder)
    if void:
        _log.error("an operator's word of another time is not taken", reason=void, remedy=SAY_AGAIN)
    if vouched is not None and vouched < cosigner.signed_height:
        raise RejoinFileError(
            f"{folder / FILE}: this voter signed height {cosigner.signed_height}, above {vouched}"
        )
    if marker.condition in (Condition.MISSING, Condition.DAMAGED):
        cosigner.forget()
    elif cosigner.rejoining:
        pass  # since an earlier start
    elif asked:
        cosigner.forget()
    elif marker.condition is Condition.TORN:
        # The other slot is whole and at most one write older, and a write carries one height.
        cosigner.forget(above=cosigner.signed_height + 1)
    if cosigner.rejoining:
        _log.warning("signing suspended", signed=cosigner.signed_height, vouched=vouched)
    return vouched


class Rejoining:
    """One voter's memory of its signatures, as the others can confirm it."""

    def __init__(
        self,
        folder: Path,
        vouched: int | None,
        voters: VoterSet,
        number: int,
        cosigner: Cosigner,
        rules: Rules,
        finality: Finality,
        ledger: Ledger,
        reader: LedgerReader,
        clock: Clock,
        make_nonce: Callable[[], bytes],
        on_forgotten: Callable[[], None],
        on_signing: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._vouched = vouched
        self._voters = voters
        self._number = number
        self._cosigner = cosigner
        self._finality = finality
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._make_nonce = make_nonce
        self._on_forgotten = on_forgotten
        self._on_signing = on_signing
        self._rules = rules
        self._inquiry: Inquiry | None = self._new_inquiry()
        self._cosigner.held_back = not cosigner.rejoining and voters.q > 1
        self._own_size = 0
        """Of the largest tree that this voter is shown to have signed."""
        self._settled_size = 0
        """Up to there it is known what it is shown to have signed, and it may sign again."""
        self._asked_ms: dict[int, int] = {}
        self._answered_ms: dict[int, int] = {}
        self._strangers: set[int] = set()
        """Voters whose certificates are of another history than this ledger's."""
        self._misused = False
        self._lacked_room = False
        self.carrier: Carrier | None = None
        self.publish: Callable[[Resumption], Awaitable[None]] | None = None
        """Makes a resumption durable and tells it, which excuses what was signed before."""

    @property
    def waits(self) -> bool:
        """It needs blocks above those it may have signed, so some must be made."""
        return self._cosigner.rejoining

    # --- Answering ---------------------------------------------------------------------------

    def answer(self, number: int, nonce: bytes) -> AnswerMessage | None:
        """The answer to a voter; None while this one cannot give one, which is asked again."""
        now = self._clock.monotonic_ms()
        if now - self._answered_ms.get(number, -ANSWER_MS_MIN) < ANSWER_MS_MIN:
            return None
        signed = self._cosigner.signed_height  # read first: certificates only get newer
        head = self._certified()
        certified = 0 if head is None else head.height
        rejoining = self._cosigner.rejoining
        if not self._rules.may_answer(rejoining=rejoining, signed=signed, certified=certified):
            return None
        self._answered_ms[number] = now
        note = "" if head is None else head.certificate(self._voters).encode()
        newest = self._finality.newest_of(number)
        held = None
        if newest is not None:
            held = HeldSignature(newest.size, newest.root, newest.cosignature)
        return AnswerMessage(nonce, signed, note, held)

    def _certified(self) -> CertifiedHead | None:
        remembered, held = self._cosigner.memory.certified, self._finality.certified
        heads = [head for head in (remembered, held) if head is not None]
        return max(heads, key=lambda head: head.height, default=None)

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
        if self.carrier is not None and self.carrier.ask(number, inquiry.nonce):
            self._asked_ms[number] = self._clock.monotonic_ms()

    def _new_inquiry(self) -> Inquiry:
        return Inquiry(self._rules, self._voters, self._number, self._make_nonce())

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
                self._on_signing()
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
            self._on_forgotten()
        elif self._inquiry is not None and self._has_asked:
            self._inquiry = None
            self._cosigner.held_back = False
            self._on_signing()

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
            if height is not None and not inquiry.place(number, height):
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
        if self.publish is not None and not base.is_signed_by(self._number):
            await self.publish(self._cosigner.sign_resumption(self._voters, base))

        # Before it takes effect: after a crash in between, the voter is still rejoining, and asks.
        await asyncio.to_thread(consume, self._folder)

        def note(_: int, frontier: Frontier) -> None:
            self._cosigner.resume_above(base, frontier)

        await self._ledger.revisit(lambda _: range(base.height, base.height + 1), note)
        self._settled_size = self._own_size
        self._cosigner.held_back = False  # what the others hold has been asked for by now
        self._vouched = self._inquiry = None
        self._strangers.clear()
        _log.warning("signing resumed", above=base.height)
        self._on_signing()

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

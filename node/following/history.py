"""Whether the own newest head is part of what the others certify.

A node that a lying leader led astray holds blocks that nobody else has, and refuses to replace
them. So it never sees a certificate of a size that its own tree has. Any one honest peer ends that:
it shows the root which a certified tree had at the asker's size, with the consistency proof.

Asks only when its head does not become final although peers say that they are past it. Owns the
question, its answer and their pace.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from node.chain.certificate import Certificate, parse_certificate
from node.chain.merkle import verify_consistency
from node.chain.voters import VoterSet
from node.following.finality import DivergedError, Finality
from node.peers.messages import DishonestError, HistoryMessage, HistoryWantedMessage, Kind
from node.peers.ports import Neighbours, Routing
from node.storage.ledger import Head
from node.storage.ledger_reader import LedgerReader
from node.system.clock import Clock

LOOK_S = 0.5
STUCK_MS = 3_000
"""Without a final height, and heights applied above it: ordinary finality takes a tenth of that."""
ANSWER_MS = 200
"""Between answers to one peer."""
UNANSWERED_MAX = 64
"""Questions to one peer: three minutes of them. As many answers cost a peer two seconds."""

_log = structlog.get_logger("node.following.history")


class HistoryCheck:
    """Both sides of the question, at one node."""

    def __init__(
        self,
        voters: VoterSet,
        finality: Finality,
        head: Callable[[], Head],
        reader: LedgerReader,
        clock: Clock,
        on_diverged: Callable[[DivergedError], None],
        neighbours: Neighbours,
        certified: Callable[[], str | None],
    ) -> None:
        """Put it together; `run` is the work.

        Args:
            voters: Who certifies.
            finality: What of the own ledger is final.
            head: Of the own ledger.
            reader: Where the tree is.
            clock: Its monotonic time sets the pace.
            on_diverged: Told that another history is certified.
            neighbours: Who is asked, and answered.
            certified: The newest certificate of this ledger, as a note.
        """
        self._voters = voters
        self._finality = finality
        self._head = head
        self._reader = reader
        self._clock = clock
        self._on_diverged = on_diverged
        self._neighbours = neighbours
        self._certified = certified
        self._final_height = -1
        self._final_since_ms = clock.monotonic_ms()
        self._asked: dict[int, deque[tuple[int, bytes]]] = {}
        """Size and own root, of the questions to each peer that are not answered, oldest first."""
        self._told = False
        self._wanted: dict[int, int] = {}
        self._answered_ms: dict[int, int] = {}

    def attach(self, routes: Routing) -> None:
        """Take questions and answers from now on."""
        routes.on(
            Kind.HISTORY_WANTED,
            HistoryWantedMessage,
            lambda peer, message: self.want(peer, message.size),
            price=3.0,
        )
        routes.on(Kind.HISTORY, HistoryMessage, self._on_answer, price=8.0)

    async def run(self) -> None:
        """Ask and answer; runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.step()

    async def step(self) -> None:
        """Whatever is due."""
        now = self._clock.monotonic_ms()
        self._look(now)
        for peer, size in list(self._wanted.items()):
            if now - self._answered_ms.get(peer, -ANSWER_MS) >= ANSWER_MS:
                self._answered_ms[peer] = now
                del self._wanted[peer]
                await self._tell(peer, size)

    # --- Asking -------------------------------------------------------------------------------

    def _look(self, now: int) -> None:
        finality = self._finality
        if finality.final_height != self._final_height or not finality.unfinal:
            self._final_height, self._final_since_ms = finality.final_height, now
        if now - self._final_since_ms < STUCK_MS:
            return
        self._final_since_ms = now
        head = self._head()
        for peer, height in self._neighbours.final_heights().items():
            if height >= head.height:
                asked = self._asked.setdefault(peer, deque(maxlen=UNANSWERED_MAX))
                asked.append((head.tree_size, head.root()))
                self._neighbours.send(peer, HistoryWantedMessage(head.tree_size))

    def _on_answer(self, peer: int, message: HistoryMessage) -> None:
        try:
            self.receive(peer, message)
        except ValueError as error:
            raise DishonestError(str(error)) from error

    def receive(self, peer: int, message: HistoryMessage) -> None:
        """An answer.

        Raises:
            CertificateError: its certificate does not verify.
            ValueError: nobody asked for it, or it proves nothing.
        """
        size, root = message.size, self._root_of(peer, message.size)
        certificate = parse_certificate(message.note)
        certificate.verify(self._voters)
        if not _holds(certificate, message):
            raise ValueError("a root that the certified tree did not have")
        if message.root != root and not self._told:
            self._told = True
            _log.critical("another history is certified", size=size)
            reason = f"the certified tree had another root at {size} leaves than ours"
            self._on_diverged(DivergedError(reason, certificate, root))

    def _root_of(self, peer: int, size: int) -> bytes:
        """The own root in the question that is answered.

        An answer may be as late as this node is busy, and come after another question. A peer
        passes over a question when the next one comes first, and answers in order.

        Raises:
            ValueError: there is no such question.
        """
        asked = self._asked.get(peer, deque())
        if all(size != known for known, _ in asked):
            raise ValueError("a history that was not asked for")
        while True:
            known, root = asked.popleft()
            if known == size:
                return root

    # --- Answering ----------------------------------------------------------------------------

    def want(self, peer: int, size: int) -> None:
        """A peer asks; a newer question replaces its older one."""
        self._wanted[peer] = size

    async def _tell(self, peer: int, size: int) -> None:
        note = self._certified()
        if note is None:
            return
        told = parse_certificate(note).checkpoint
        if not 0 < size <= told.size:
            return
        prefix = await self._reader.prefix(size, told.size)
        if prefix is not None:
            answer = HistoryMessage(size, prefix[0], tuple(prefix[1]), note)
            self._neighbours.send(peer, answer)


def _holds(certificate: Certificate, message: HistoryMessage) -> bool:
    told = certificate.checkpoint
    return verify_consistency(message.size, told.size, message.root, told.root, message.path)

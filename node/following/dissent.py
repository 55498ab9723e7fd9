"""What nodes tell one another when their histories differ: signed headers, and signed roots.

A lying leader shows one entry to one node and another to the rest; a lying voter signs one root
here and another there. No single node sees both halves, so each tells the others what it was
shown: the headers of its own entries from the height on at which somebody dissents, those of
entries that did not get into the log, and cosignatures that are not of its history. Whoever holds
the other half has evidence.

Owns what is told, how often, and the comparison with the own log. A message holds a few statements,
is paid for by its sender before (`node.peers.allowance`), and nobody passes on what was only told
to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from node.chain.entry import decode_header, verify_attestation
from node.chain.evidence.breaches import first_payload_breach
from node.chain.evidence.judgement import PAYLOAD
from node.chain.evidence.kinds import (
    PAYLOAD_BYTES_MAX,
    EntryEvidence,
    EntryStatement,
    PayloadEvidence,
)
from node.chain.evidence.pending_statements import PendingStatements
from node.chain.voters import VoterSet
from node.following.evidence_keeper import EvidenceKeeper
from node.ledger.codes import Code
from node.peers.messages import STATEMENTS_MAX, DissentMessage
from node.peers.ports import Links
from node.storage.ledger import Head
from node.storage.ledger_values import AppliedBlock
from node.system.clock import Clock
from node.system.logs import Seldom

INDEXES_MAX = 4_096
"""Newest heights whose Raft index is remembered."""
QUEUE_MAX = 256
TOLD_MAX = 1_024
RECENT_MAX = 4
"""Messages that a peer which comes later is told too."""
TELL_S = 0.25
"""Between messages: with eight statements each, a liar causes 32 checks a second at each peer."""
UNSETTLED_MAX = 4_096
STILL_MS = 2_000
"""When nothing was applied for so long, what waits in the log may be no part of any history."""
MISPROPOSED = frozenset({Code.BAD_SIGNATURE, Code.WRONG_NETWORK})
"""Of transactions that left no leaf: their leader cannot have verified them."""

Log = Callable[[int, int], Awaitable[Sequence[tuple[EntryStatement, bytes]]]]
"""Applied entries first..last with their payloads; none where the log was cut."""

_log = structlog.get_logger("node.following.dissent")


class Dissent:
    """The exchange, as one node takes part in it."""

    def __init__(
        self,
        voters: VoterSet,
        keeper: EvidenceKeeper,
        head: Callable[[], Head],
        log: Log,
        tell: Callable[[DissentMessage], None],
        clock: Clock,
    ) -> None:
        self._voters = voters
        self._keeper = keeper
        self._head = head
        self._log = log
        self._tell = tell
        self._clock = clock
        self._seldom = Seldom(clock)
        self._indexes: OrderedDict[int, int] = OrderedDict()
        """Raft index of each of the newest heights."""
        self._told: OrderedDict[object, None] = OrderedDict()
        """Heights and statements that were told, or are about to be."""
        self._heights: deque[int] = deque(maxlen=QUEUE_MAX)
        self._heard: deque[EntryStatement] = deque(maxlen=QUEUE_MAX)
        """Verified, to be compared with the log."""
        self._late: deque[EntryStatement] = deque(maxlen=QUEUE_MAX)
        """The same, made to this node for a place that is applied."""
        self._unsettled: list[OrderedDict[int, list[EntryStatement]]] = [
            OrderedDict() for _ in voters.voters
        ]
        """Of each signer, by index, what came and is not applied yet."""
        self._stray: deque[EntryStatement] = deque(maxlen=QUEUE_MAX)
        """What did not get into the log, to be told."""
        self._still_since_ms = clock.monotonic_ms()
        self._applied_index = 0
        self._payloads: deque[int] = deque(maxlen=QUEUE_MAX)
        """Raft indexes of blocks with a transaction that no leader may propose."""
        self._recent: deque[DissentMessage] = deque(maxlen=RECENT_MAX)

    def attach(self, links: Links) -> None:
        """Tell each peer that comes what was told lately."""
        links.when_up(lambda number: self._tell_recent(links, number))

    def _tell_recent(self, links: Links, number: int) -> None:
        for message in self.recent():
            links.send(number, message)

    @property
    def pending(self) -> PendingStatements:
        """Where cosignatures of other histories are."""
        return self._keeper.pending

    # --- What this node sees ------------------------------------------------------------------

    def on_block(self, block: AppliedBlock) -> None:
        """A block is stored: note its place, and whether its leader cannot have verified it."""
        self.applied(block.height, block.raft_index)
        if any(code in MISPROPOSED for _, code in block.skipped):
            self.misproposed(block.raft_index)

    def applied(self, height: int, raft_index: int) -> None:
        """A block of the log is stored."""
        self._indexes[height] = raft_index
        if len(self._indexes) > INDEXES_MAX:
            self._indexes.popitem(last=False)

    def observed(self, said: EntryStatement) -> None:
        """A leader's verified header came with a Raft message."""
        header = decode_header(said.header)
        if header.index <= self._head().raft_index:
            self.look_up(said)
            return
        unsettled = self._unsettled[header.leader]
        there = unsettled.setdefault(header.index, [])
        if said not in there and len(there) < STATEMENTS_MAX:
            there.append(said)
        if len(unsettled) > UNSETTLED_MAX:
            unsettled.popitem(last=False)

    def notice(self, height: int) -> None:
        """A voter signed another root at a height of ours."""
        if self._news(height):
            self._heights.append(height)

    def misproposed(self, raft_index: int) -> None:
        """A block held a transaction that its leader cannot have verified."""
        self._payloads.append(raft_index)

    def retell(self, said: Sequence[EntryStatement]) -> None:
        """Tell what leaders signed in a log that was set aside: the others hold the other half."""
        self._stray.extend(said)

    def recent(self) -> list[DissentMessage]:
        """For a peer that comes."""
        return list(self._recent)

    def look_up(self, said: EntryStatement) -> None:
        """Compare a header that came to this node with the entry that the own log has there."""
        self._late.append(said)

    # --- What others tell ---------------------------------------------------------------------

    def hear(self, message: DissentMessage) -> None:
        """Compare entry headers that a peer tells of.

        Raises:
            ValueError: one is not signed by its leader: no honest node passes it on.
        """
        for header, attestation in message.entries:
            said = EntryStatement(header, attestation)
            if self._keeper.knows_entry(said):
                continue
            if not verify_attestation(self._voters, header, attestation):
                raise ValueError("a header that its leader did not sign")
            if not self._keeper.hear_entry(said):
                self._heard.append(said)

    # --- The work -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell and compare; runs until cancelled."""
        while True:
            await asyncio.sleep(TELL_S)
            await self.turn()

    async def turn(self) -> None:
        """One message at most, and a few look-ups in the log."""
        self._sort_out()
        entries = await self._own_entries(self._heights.popleft()) if self._heights else ()
        if not entries:
            strays = [self._stray.popleft() for _ in range(min(STATEMENTS_MAX, len(self._stray)))]
            entries = [said for said in strays if self._news(said)]
        roots = self._foreign_roots()
        if entries or roots:
            message = DissentMessage(
                tuple((said.header, said.attestation) for said in entries), roots
            )
            self._recent.append(message)
            self._tell(message)
        for _ in range(min(len(self._heard), STATEMENTS_MAX)):
            await self._differs(self._heard.popleft())
        for _ in range(min(len(self._late), STATEMENTS_MAX)):
            said = self._late.popleft()
            if await self._differs(said):
                self._stray.append(said)
        if self._payloads:
            await self._examine(self._payloads.popleft())

    def _sort_out(self) -> None:
        """Find the headers that did not get into the log: at an index with two, or of none."""
        applied, now_ms = self._head().raft_index, self._clock.monotonic_ms()
        if applied != self._applied_index:
            self._applied_index, self._still_since_ms = applied, now_ms
        still = now_ms - self._still_since_ms >= STILL_MS
        seen: Counter[int] = Counter()
        for unsettled in self._unsettled:
            seen.update({index: len(there) for index, there in unsettled.items()})
        for unsettled in self._unsettled:
            for index in [index for index in unsettled if still or index <= applied]:
                there = unsettled.pop(index)
                if index > applied or seen[index] > 1:
                    self._stray.extend(there)

    async def _own_entries(self, height: int) -> Sequence[EntryStatement]:
        """The entries from a height on: where two logs part, every later header differs too."""
        head = self._head()
        if height > head.height:
            return ()
        guess = head.raft_index - (head.height - height)  # after a restart: no entry has two
        first = self._indexes.get(height, guess)
        if self._seldom.due("root"):
            _log.warning("another root is signed", height=height, index=first)
        last = min(first + STATEMENTS_MAX - 1, head.raft_index)
        return [said for said, _ in await self._log(first, last)][:STATEMENTS_MAX]

    def _foreign_roots(self) -> tuple[tuple[int, int, bytes, bytes], ...]:
        fresh = self.pending.fresh(STATEMENTS_MAX)
        return tuple(
            (voter, said.size, said.root, said.cosignature)
            for voter, said in fresh
            if self._news((voter, said.size, said.root))
        )

    async def _differs(self, said: EntryStatement) -> bool:
        """Whether the own log has another entry in this place, of whichever leader."""
        told = decode_header(said.header)
        if not 1 <= told.index <= self._head().raft_index:
            return True
        for held, _ in await self._log(told.index, told.index):
            own = decode_header(held.header)
            if held.header == said.header:
                return False
            if (own.term, own.leader) == (told.term, told.leader):
                self._keeper.report(EntryEvidence(*sorted((held, said))))
        return True

    async def _examine(self, raft_index: int) -> None:
        for said, payload in await self._log(raft_index, raft_index):
            if not self._keeper.takes(decode_header(said.header).leader, PAYLOAD):
                continue  # its leader is convicted of that many times over
            if len(payload) > PAYLOAD_BYTES_MAX:
                if self._seldom.due("payload"):
                    _log.error("a leader proposed what it cannot have verified", index=raft_index)
                continue
            evidence = await asyncio.to_thread(find_payload_breach, said, payload, self._voters)
            self._keeper.report(evidence)

    def _news(self, what: object) -> bool:
        if what in self._told:
            return False
        self._told[what] = None
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)
        return True


def find_payload_breach(
    said: EntryStatement, payload: bytes, voters: VoterSet
) -> PayloadEvidence | None:
    """Evidence of what is wrong with an entry's payload, if anything is and it is small enough.

    Its signature is the caller's; each transaction is looked at once.
    """
    if len(payload) > PAYLOAD_BYTES_MAX:
        return None
    at = first_payload_breach(decode_header(said.header), payload, voters.network_id)
    return None if at is None else PayloadEvidence(said, payload, at)

"""The liar as an elected leader: how it comes to lead, and what it does with that.

What it shows to one voter alone it never calls committed: a voter that is led astray so is the
matter of other tests, and three that are led apart that of governance.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from consensus.messages import AppendRequest, Heartbeat, SnapshotChunk, TimeoutNow, VoteRequest
from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind, LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from tests.cluster.liar import Liar

BEAT_S = 0.08
FORGET_S = 1.5


async def lead(liar: Liar) -> None:
    """Campaign, as if no leader were heard; lead as drawn, if the votes are there, and stop."""
    if await elected(liar):
        await reign(liar)


async def reign(liar: Liar) -> None:
    """Lead as drawn; and again, for who falls silent may campaign before others do."""
    for _ in range(liar.rng.randint(1, 4)):
        liar.reigns += 1
        await liar.rng.choice((lead_well, lead_well, lead_apart, lead_nowhere, hand_over))(liar)
        if not await elected(liar):
            break
    liar.leads = 0
    liar.behaves = False
    await liar.pause(FORGET_S)  # until nobody follows: what comes next is no leader's word
    liar.behaves = True


async def inherit(liar: Liar) -> bool:
    """Behave until a leader hands over to this member, and win; True if that happened in time."""
    for _ in range(400):
        if liar.chosen:
            return await elected(liar)
        await asyncio.sleep(0.02)
    return False


async def elected(liar: Liar) -> bool:
    """Ask for votes until two of three have given theirs."""
    known = liar.known
    liar.chosen = False
    for _ in range(40):
        liar.campaign, liar.votes = known.term + 1, set()
        term, _hash = known.place(known.last)
        place = (LogIndex(known.last), Term(term), LogIndex(known.last), known.place(known.last)[1])
        for name in liar.honest():
            liar.raft(name, VoteRequest(Term(liar.campaign), False, *place))
        await asyncio.sleep(0.03)
        if len(liar.votes) >= 2:
            known.term = liar.leads = liar.campaign
            liar.matched = {}
            return True
    return False


class Reign:
    """A log that the liar leads with."""

    def __init__(self, liar: Liar) -> None:
        self.liar = liar
        self.term = Term(liar.leads)
        self.index = liar.known.last
        self.start = self.index
        self.commit = LogIndex(0)

    def make(self, payload: bytes, kind: EntryKind = EntryKind.DATA) -> Entry:
        """The next entry."""
        known = self.liar.known
        prev = known.place(self.index)[1]
        entry = self.liar.menu.entry(self.term, self.index + 1, prev, payload, kind)
        self.index += 1
        known.places[self.index] = (entry.term, entry.hash)
        known.last = self.index
        return entry

    def block(self) -> Entry:
        """A block that can be applied, with what others sent."""
        known = self.liar.known
        wires, known.wires = tuple(known.wires[:20]), known.wires[20:]
        return self.make(encode_block(Block(self.term, time.time_ns() // 1_000_000, wires)))

    def append(self, entries: Sequence[Entry]) -> AppendRequest:
        """To follow what came before the first of them."""
        prev = LogIndex(entries[0].index - 1)
        term, entry_hash = self.liar.known.place(prev)
        return AppendRequest(self.term, prev, Term(term), entry_hash, self.commit, tuple(entries))

    async def agree(self) -> None:
        """Beat until two of the three hold all; only then is it committed."""
        for _ in range(20):
            if (
                sorted(self.liar.matched.values())[-2:][:1] >= [self.index]
                and len(self.liar.matched) > 1
            ):
                self.commit = LogIndex(self.index)
                self.liar.known.commit = self.index
                break
            await asyncio.sleep(0.02)
        self.beat()

    def beat(self) -> None:
        """A heartbeat to all."""
        beat = Heartbeat(self.term, self.commit, LogIndex(self.index))
        for name in self.liar.honest():
            self.liar.raft(name, beat)


async def lead_well(liar: Liar) -> None:
    """As an honest leader, for a while."""
    reign = Reign(liar)
    noop = reign.append([reign.make(b"", EntryKind.NOOP)])
    for name in liar.honest():
        liar.sign(name, noop)
    for _ in range(10):
        await reign.agree()
        append = reign.append([reign.block()])
        for name in liar.honest():
            liar.sign(name, append)
        await asyncio.sleep(BEAT_S / 2)
    await reign.agree()
    await asyncio.sleep(BEAT_S)


async def lead_apart(liar: Liar) -> None:
    """Other entries for each, none committed; then one of the logs is filled up, or none."""
    reign = Reign(liar)
    base = reign.index
    appends = {}
    for name in liar.honest():
        reign.index = base
        appends[name] = reign.append([reign.make(b"", EntryKind.NOOP), reign.block()])
    for name, append in appends.items():
        liar.sign(name, append)
    for _ in range(5):
        reign.beat()
        await asyncio.sleep(BEAT_S)
    if liar.rng.random() < 0.5:
        for name in liar.honest():
            liar.sign(name, append)
    await asyncio.sleep(BEAT_S)


async def lead_nowhere(liar: Liar) -> None:
    """Heartbeats alone: nothing is proposed, and nobody else leads."""
    reign = Reign(liar)
    for _ in range(20):
        reign.beat()
        await asyncio.sleep(BEAT_S)


async def hand_over(liar: Liar) -> None:
    """Name heirs, ask all to campaign at once, offer snapshots that are none."""
    reign = Reign(liar)
    known = liar.known
    for name in liar.honest():
        heir = NodeId(liar.rng.choice(list(liar.names)))
        beat = Heartbeat(reign.term, LogIndex(0), LogIndex(known.last), 0, heir)
        liar.raft(name, beat)
        liar.raft(name, TimeoutNow(reign.term))
        snapshot: Snapshot = liar.menu.struct(Snapshot)
        data = liar.rng.randbytes(min(snapshot.size, 100))
        if 0 < snapshot.term <= reign.term and snapshot.index and len(data) <= snapshot.size:
            liar.raft(name, SnapshotChunk(reign.term, snapshot, 0, data))
    await asyncio.sleep(1.0)

"""What a liar does on purpose, course by course. Owns the courses and the choice among them.

A course ends by itself within seconds; whatever it leaves behind, the next may begin.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

from consensus import codec
from consensus.errors import ProtocolError
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    Heartbeat,
    HeartbeatResponse,
    VoteRequest,
)
from consensus.types import LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from node.peers.messages import CertificateMessage, EvidenceMessage, encode_control
from node.peers.router import RAFT_MESSAGE
from p2p.types import Link
from tests.cluster.liar import Liar
from tests.cluster.menu import TOLERATED, Said
from tests.cluster.reigns import lead

ROUND = 40
FLOOD = 1_500
CLIMB = 200
LEAP = (1 << 20) - 5


async def taste(liar: Liar) -> None:
    """Every kind a few times, to some or all, with any value."""
    draws = liar.menu.kinds()
    for _ in range(3 * len(draws)):
        say(liar, liar.rng.choice(draws)(), liar.some())
        await asyncio.sleep(0.002)


async def flood(liar: Liar) -> None:
    """One kind, as fast as the link takes it: each time another value, or one value for ever."""
    draw = liar.rng.choice(liar.menu.kinds())
    same = draw() if liar.rng.random() < 0.5 else None
    names = liar.some()
    for number in range(FLOOD):
        said = same or draw()
        say(liar, said, names)
        if number % 20 == 0 or len(said[2]) > 10_000:
            await asyncio.sleep(0.001)


async def replay(liar: Liar) -> None:
    """What others said, as one's own, old and out of order."""
    heard = list(liar.known.heard)
    liar.rng.shuffle(heard)
    for said in heard[:ROUND]:
        for _ in range(liar.rng.choice((1, 1, 3))):
            say(liar, said, liar.some())
        await asyncio.sleep(0.005)


async def nonsense(liar: Liar) -> None:
    """What no decoder takes; each costs the link, so a few only."""
    liar.menu.tolerated = 0.0
    for _ in range(3):
        drawn = liar.rng.choice(liar.menu.kinds())()
        say(liar, liar.rng.choice((drawn, liar.menu.out_of_range(drawn))), liar.some())
        await asyncio.sleep(0.2)
    liar.menu.tolerated = TOLERATED
    for link in Link:
        kind = liar.rng.choice((5, 15, 19, 200))
        say(liar, (link, kind, liar.rng.randbytes(20)), liar.some()[:1])
    await asyncio.sleep(0.5)


async def behave(liar: Liar) -> None:
    """Nothing wrong at all."""
    await liar.pause(liar.rng.uniform(0.5, 2.0))


async def withhold(liar: Liar) -> None:
    """Links up, and not a word."""
    liar.behaves = False
    await liar.pause(liar.rng.uniform(0.5, 1.5))
    liar.behaves = True


async def enter_again(liar: Liar) -> None:
    """Gone and back, a few times in a row."""
    for _ in range(liar.rng.randint(1, 3)):
        await liar.restart()
        await asyncio.sleep(liar.rng.uniform(0.0, 0.3))
    await asyncio.sleep(0.5)


# --- Terms and answers -----------------------------------------------------------------------


async def climb(liar: Liar) -> None:
    """Claims of one term after another."""
    term = liar.known.term
    for number in range(1, CLIMB + 1):
        beat = Heartbeat(Term(term + number), LogIndex(0), LogIndex(0))
        for name in liar.honest():
            liar.raft(name, beat)
        await asyncio.sleep(0.001)


async def leap(liar: Liar) -> None:
    """Terms as far ahead as a receiver might take for elections, and further."""
    for ahead in (2, 1_000, 1 << 16, LEAP, 1 << 20, (1 << 20) + 1):
        term = Term(liar.known.term + ahead)
        place = LogIndex(liar.known.last)
        messages = (
            Heartbeat(term, LogIndex(0), LogIndex(0)),
            HeartbeatResponse(term, 0, life=liar.life),
            AppendResponse(term, AppendStatus.MISMATCH, LogIndex(0)),
            VoteRequest(term, False, place, term, LogIndex(0), bytes(32)),
        )
        for name in liar.some():
            liar.raft(name, liar.rng.choice(messages))
        await asyncio.sleep(0.05)


async def lives(liar: Liar) -> None:
    """Ever new lives, trusted or not, with answers about entries that it holds or does not."""
    for number in range(ROUND * 5):
        life = liar.life + number if liar.rng.random() < 0.7 else liar.rng.choice((0, 2**62))
        term, counted = Term(liar.known.term), liar.rng.random() < 0.5
        index = LogIndex(liar.menu.number("index"))
        status = liar.rng.choice(list(AppendStatus))
        say_all = liar.rng.choice(
            (
                HeartbeatResponse(term, liar.menu.number("round"), counted, life),
                AppendResponse(term, status, index, index, term, counted, life),
            )
        )
        for name in liar.honest():
            liar.raft(name, say_all)
        await asyncio.sleep(0.001)


# --- Entries ---------------------------------------------------------------------------------


async def contradict(liar: Liar) -> None:
    """Two entries in one place, to one node or to two, where they fit and where they do not."""
    known, rng = liar.known, liar.rng
    term = known.term + rng.choice((0, 1, 1))
    index = rng.choice((known.last, known.last, max(1, known.last - 1), known.last + 50, 1))
    prev_term, prev_hash = known.place(index)
    if index and not prev_term:
        prev_term, prev_hash = 1, rng.randbytes(32)
    now_ms = time.time_ns() // 1_000_000
    names = liar.honest()
    rng.shuffle(names)
    for number in range(2):
        block = encode_block(Block(term, now_ms + number, ()))
        entry = liar.menu.entry(term, index + 1, prev_hash, block)
        append = AppendRequest(
            Term(term), LogIndex(index), Term(prev_term), prev_hash, LogIndex(0), (entry,)
        )
        told = names[:1] if rng.random() < 0.5 else names[number : number + 1]
        for name in told:
            liar.sign(name, append)
    await asyncio.sleep(0.3)


async def two_roots(liar: Liar) -> None:
    """Two roots for one size: final, next, far ahead, or at no height at all."""
    known, rng = liar.known, liar.rng
    heads = list(known.heads.items())[-20:]
    height, (size, root) = rng.choice(heads) if heads else (1, (1, bytes(32)))
    height = rng.choice((height, height, height + 1, height + 5_000, 2**53, 0))
    false = hashlib.sha256(b"another %d" % rng.randrange(2**32)).digest()
    roots = [root, false] if rng.random() < 0.7 else [false, hashlib.sha256(false).digest()]
    rng.shuffle(roots)
    names = liar.some()
    for told in roots:
        for name in names:
            if liar.state(name, height, size, told):
                liar.note(name, Link.GOSSIP, liar.roots[size], told)
        await asyncio.sleep(0.02)


async def state_truth(liar: Liar) -> None:
    """What honest voters stated, also by this one; under their heights or others."""
    for height, (size, root) in list(liar.known.heads.items())[-ROUND:]:
        stated = liar.rng.choice((height, height, height, height + 1))
        for name in liar.honest():
            if liar.state(name, stated, size, root):
                liar.note(name, Link.GOSSIP, liar.roots[size], root)
        await asyncio.sleep(0.002)


async def certify(liar: Liar) -> None:
    """True certificates under other heights, and evidence that others kept."""
    for note in liar.known.notes[-5:]:
        for height in (liar.known.height + liar.rng.randrange(3_000), 0, 2**53):
            message = CertificateMessage(height, note)
            say(liar, (Link.GOSSIP, *encode_control(message)), liar.some())
        await asyncio.sleep(0.02)
    for member in liar.cluster.living[:1]:
        for item in (await asyncio.to_thread(member.evidence))[:4]:
            told = encode_control(EvidenceMessage(item["body"]))
            say(liar, (Link.GOSSIP, *told), liar.some())


# --- The choice ------------------------------------------------------------------------------

Course = Callable[[Liar], Awaitable[None]]
COURSES: Sequence[Course] = (
    taste,
    taste,
    flood,
    replay,
    nonsense,
    behave,
    behave,
    withhold,
    enter_again,
    climb,
    leap,
    lives,
    contradict,
    contradict,
    two_roots,
    state_truth,
    certify,
    lead,
    lead,
    lead,
)


async def lie(liar: Liar, seconds: float) -> None:
    """Every course once, in any order, and then whatever comes, for so long."""
    end = time.monotonic() + seconds
    first = list(COURSES)
    liar.rng.shuffle(first)
    while time.monotonic() < end:
        course = first.pop() if first else liar.rng.choice(COURSES)
        liar.courses[course.__name__] += 1
        await course(liar)
        await liar.arrivals.settle()
    await liar.arrivals.finish(seconds)


def say(liar: Liar, said: Said, names: Sequence[str]) -> None:
    """The same to some; what it signs is remembered."""
    link, kind, body = said
    if link is Link.RAFT and kind == RAFT_MESSAGE:
        try:
            message = codec.decode(body, NodeId(liar.me.number), liar.config)
        except ProtocolError:
            message = None
        if isinstance(message, AppendRequest):
            for name in names:
                liar.sign(name, message)
            return
    for name in names:
        if liar.tell(name, said):
            liar.note_control(name, link, kind, body)

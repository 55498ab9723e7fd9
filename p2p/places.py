"""What is known of one link of one peer: its session, its dials, its faults. Owns the table's rows.

Owns also which of two connections of one place stays (`check_claim`). Opens and closes nothing.

             dial             last message of the handshake goes out           it is accepted
    down ─────────▶ dialling ───────────────────────────────────▶ committed ─────────────────▶ up
     ▲ ▲               │                                              │                        │
     │ └── no handshake, refused, or the peer's connection came first ┘                        │
     └──────────────────────────── the session ends ───────────────────────────────────────────┘

    up ◀── from any state: the peer dials, and `check_claim` lets it in; an older session ends
"""

from __future__ import annotations

import asyncio

from p2p.config import P2PConfig
from p2p.errors import CloseCode, HandshakeError
from p2p.handshake import Secrets
from p2p.limits import Backoff, Penalty, TokenBucket
from p2p.session import Session
from p2p.types import KnownPeer, Link, PeerId, PeerStatus


class Place:
    """What is known of one link of one peer."""

    def __init__(self, known: KnownPeer, link: Link, config: P2PConfig) -> None:
        self.known = known
        self.link = link
        self.session: Session | None = None
        self.remote_static = b""
        """Of the present session, or of the dial that has sent its last handshake message."""
        self.dialled = False
        """The present session is our own dial."""
        self.up_at = 0.0
        self.committed = False
        """Our dial has sent its last handshake message and awaits the answer."""
        self.down = asyncio.Event()
        self.down.set()
        self.addressed = asyncio.Event()
        if known.address is not None:
            self.addressed.set()
        self.backoff = Backoff(config.backoff_initial_s, config.backoff_max_s)
        # A voter is slowed down on the Raft link, never shut out of it.
        penalty_max_s = config.penalty_max_s if link is Link.GOSSIP else config.penalty_initial_s
        self.penalty = Penalty(config.penalty_initial_s, penalty_max_s, config.penalty_memory_s)
        self.comings = TokenBucket(config.links_per_s, config.links_burst, 0.0)
        """Connections by the peer: one that comes and goes must cost little."""
        self.strikes = 0
        self.last_error: str | None = None

    def check_claim(self, keys: Secrets, own: PeerId, now: float, crossing_s: float) -> None:
        """Whether a new inbound connection may take this place.

        Args:
            keys: What its handshake came to.
            own: This node's identity.
            now: The event loop's time.
            crossing_s: How long a dial counts as crossing another.

        Raises:
            HandshakeError: our own dial stays, or the peer has to wait.
        """
        if self.penalty.remaining(now) > 0:
            raise HandshakeError(
                f"{self.known.name} broke the rules a moment ago", CloseCode.PENALISED
            )
        ours_crosses = self.committed or (
            self.session is not None and self.dialled and now - self.up_at < crossing_s
        )
        if (
            ours_crosses
            and own < keys.peer
            and self.remote_static == keys.remote_static  # not a dial to a killed predecessor
        ):
            raise HandshakeError("two dials crossed", CloseCode.REPLACED)
        if not self.comings.take(1, now):
            raise HandshakeError(f"{self.known.name} connects too often", CloseCode.PENALISED)


def status_of(gossip: Place, raft: Place | None) -> PeerStatus:
    """A peer as a snapshot, of all of its links: there may be no Raft link to be had."""
    places = (gossip,) if raft is None else (gossip, raft)
    sessions = [place.session for place in places if place.session is not None]
    rtts = [s.rtt_ms for s in sessions if s.rtt_ms is not None]
    return PeerStatus(
        peer=gossip.known.peer,
        name=gossip.known.name,
        connected=len(sessions) == len(places),
        gossip=gossip.session is not None,
        raft=raft is not None and raft.session is not None,
        rtt_ms=rtts[0] if rtts else None,
        queued_bytes=sum(s.queued_bytes for s in sessions),
        last_error=next((place.last_error for place in places if place.last_error), None),
        strikes=sum(place.strikes for place in places),
    )

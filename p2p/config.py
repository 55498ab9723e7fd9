"""Every limit of the package in one place. Validates itself."""

from __future__ import annotations

from dataclasses import dataclass

from p2p.errors import ConfigError
from p2p.types import ID_BYTES, MESSAGE_BYTES_MAX, Link

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of one link, per peer."""

    queue_bytes_max: int
    """What may wait to be sent; beyond it `send` says False."""
    messages_per_s: float
    """Sustained rate that is read from a peer; above it the reading slows down."""
    messages_burst: float
    bytes_per_s: float
    bytes_burst: float


GOSSIP_LIMITS = LinkLimits(
    queue_bytes_max=8 * MIB,
    messages_per_s=10_000,  # twice the honest peak: ITEMS and HAVE carry many items each
    messages_burst=20_000,
    bytes_per_s=64e6,
    bytes_burst=64e6,
)
RAFT_LIMITS = LinkLimits(
    queue_bytes_max=16 * MIB,
    messages_per_s=20_000,
    messages_burst=40_000,
    bytes_per_s=64e6,  # an honest leader peaks near 40 MB/s; a lagging follower is fed faster
    bytes_burst=128e6,
)

GUEST_LIMITS = LinkLimits(
    queue_bytes_max=6 * MIB,
    messages_per_s=400,
    messages_burst=800,
    bytes_per_s=4e6,
    bytes_burst=8e6,
)
"""Of a guest, who is never as trusted as a known peer."""


@dataclass(frozen=True, slots=True)
class P2PConfig:
    """Where to listen, and the limits. Sizes in bytes, times in seconds."""

    network_id: bytes
    host: str
    port: int
    """0 takes a free port; see `PeerNetwork.port`."""

    listens: bool = True
    """False: nobody can connect, and nothing is bound; the known peers are dialled."""
    links: tuple[Link, ...] = tuple(Link)
    """Which links there are to known peers."""
    guests_max: int = 0
    """Identities beyond the known peers that may have a gossip link at a time. They are never
    dialled, and what they may say is the embedder's affair."""

    gossip: LinkLimits = GOSSIP_LIMITS
    raft: LinkLimits = RAFT_LIMITS
    guest: LinkLimits = GUEST_LIMITS

    handshake_timeout_s: float = 5.0
    """From accepting or dialling a TCP connection to the end of the handshake."""
    keepalive_timeout_s: float = 10.0
    """aiohttp's own limit for reading a request; its default is an hour."""
    unauthenticated_max: int = 32
    unauthenticated_per_ip_max: int = 4
    unauthenticated_loopback_max: int = 28
    """Seven nodes on one machine restart at once: six peers with two links, each dialled from
    both sides, are 24."""
    unauthenticated_bytes_max: int = 4_096
    accept_per_s: float = 50.0
    """A refused handshake costs about 0.3 ms: this keeps a flood of them under 2 % of a core."""
    accept_burst: float = 100.0
    accept_per_source_per_s: float = 10.0
    """Of one source (`limits.source_of`), so that none uses up all; loopback may."""
    accept_per_source_burst: float = 40.0
    sources_max: int = 1_024
    """Sources whose rate is remembered."""
    links_per_s: float = 1.0
    """New connections for one link of a peer. At each, a node says what a peer that comes must
    know; an honest one waits longer between two, but for a few after a restart."""
    links_burst: float = 10.0

    tick_s: float = 1.0
    ping_ticks: int = 2
    silent_ticks_max: int = 8
    """Ticks without a byte after which a peer is dead. Counted, not timed: a process that was
    paused does not blame its peers."""
    send_ticks_max: int = 10
    """Ticks that one record of 64 KiB may take to leave."""
    pings_per_s: float = 5.0
    pings_burst: float = 64.0
    """A handler that was busy finds the pings of all that time at once: two minutes' worth."""

    backoff_initial_s: float = 0.1
    backoff_max_s: float = 2.0
    crossing_s: float = 5.0
    """How long after a dial a connection dialled from the other side may have crossed it."""
    penalty_initial_s: float = 1.0
    penalty_max_s: float = 10.0
    """A node that is honest again, in the place of one that lied, is back within that time."""
    penalty_memory_s: float = 600.0
    close_timeout_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: a value is out of range.
        """
        if len(self.network_id) != ID_BYTES:
            raise ConfigError("a network id is 32 bytes")
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"no such port: {self.port}")
        for limits in (self.gossip, self.raft, self.guest):
            if limits.queue_bytes_max < MESSAGE_BYTES_MAX + MIB:
                raise ConfigError("a queue must hold the largest message and a reserve")
        if self.ping_ticks >= self.silent_ticks_max:
            raise ConfigError("a peer must be pinged before it is called silent")

    def limits(self, link: Link) -> LinkLimits:
        """The bounds of `link`."""
        return self.gossip if link is Link.GOSSIP else self.raft

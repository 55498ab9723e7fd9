"""Token buckets, the door for strangers, rates of gossip, backoff and penalties.

Pure: the time is an argument.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict

from p2p.config import P2PConfig
from p2p.types import Rng

IDS_PER_S = 40_000.0
IDS_BURST = 120_000.0
"""Announced ids read from one peer, ids that it asks for, and items that it sends, each; more are
ignored. Honest peers tell their whole pool once, then what is new."""
REFUSED_PER_S = 2_000.0
REFUSED_BURST = 4_096.0
"""Items from one peer that the embedder refuses without calling the peer a liar, as when this node
is behind: beyond it none of that peer are looked at. Each costs some 15 µs, and no signature."""


class TokenBucket:
    """A sustained rate with a burst. Times are seconds of any one monotonic clock."""

    __slots__ = ("_burst", "_rate", "_time", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._time = now

    def _refill(self, now: float) -> None:
        if now > self._time:
            self._tokens = min(self._burst, self._tokens + (now - self._time) * self._rate)
            self._time = now

    def take(self, amount: float, now: float) -> bool:
        """Take `amount` if it is there; False and nothing taken if not."""
        self._refill(now)
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True

    def spend(self, amount: float, now: float) -> float:
        """Take `amount` in any case; the seconds to wait until the debt is paid, 0 if none."""
        self._refill(now)
        self._tokens -= amount
        return 0.0 if self._tokens >= 0 else -self._tokens / self._rate


class GossipRates:
    """What one peer may cause by gossip; kept while its links come and go."""

    __slots__ = ("asked", "items", "refused", "told")

    def __init__(self, now_s: float) -> None:
        self.told = TokenBucket(IDS_PER_S, IDS_BURST, now_s)
        self.asked = TokenBucket(IDS_PER_S, IDS_BURST, now_s)
        self.items = TokenBucket(IDS_PER_S, IDS_BURST, now_s)
        self.refused = TokenBucket(REFUSED_PER_S, REFUSED_BURST, now_s)


def source_of(ip: str) -> str:
    """What counts as one source: an IPv4 address, a /64 of IPv6, `loopback`, else `unknown`."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            if address.is_loopback:
                return "loopback"
            return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return "loopback" if address.is_loopback else str(address)


class Door:
    """Bounds the connections that have not yet proved who they are."""

    def __init__(self, config: P2PConfig, now: float) -> None:
        self._config = config
        self._accepts = TokenBucket(config.accept_per_s, config.accept_burst, now)
        self._sources: OrderedDict[str, TokenBucket] = OrderedDict()
        self._inside: Counter[str] = Counter()

    @property
    def unauthenticated(self) -> int:
        """Connections inside that have not left."""
        return self._inside.total()

    def enter(self, ip: str, now: float) -> bool:
        """Whether a connection from `ip` may start a handshake; if so, `leave` must follow."""
        source = source_of(ip)
        config = self._config
        bound = (
            config.unauthenticated_loopback_max
            if source == "loopback"
            else config.unauthenticated_per_ip_max
        )
        if self.unauthenticated >= config.unauthenticated_max or self._inside[source] >= bound:
            return False
        if source != "loopback" and not self._rate(source, now).take(1, now):
            return False
        if not self._accepts.take(1, now):
            return False
        self._inside[source] += 1
        return True

    def _rate(self, source: str, now: float) -> TokenBucket:
        config = self._config
        rate = self._sources.pop(source, None)
        if rate is None:
            rate = TokenBucket(config.accept_per_source_per_s, config.accept_per_source_burst, now)
        self._sources[source] = rate
        if len(self._sources) > config.sources_max:
            self._sources.popitem(last=False)
        return rate

    def leave(self, ip: str) -> None:
        """The connection has authenticated or is gone."""
        source = source_of(ip)
        self._inside[source] -= 1
        if self._inside[source] <= 0:
            del self._inside[source]


class Backoff:
    """Doubling waits with jitter, so that nodes that fell together do not dial together."""

    __slots__ = ("_initial_s", "_max_s", "_next_s")

    def __init__(self, initial_s: float, max_s: float) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._next_s = initial_s

    def next(self, rng: Rng) -> float:
        """The wait before the next attempt: between half and all of the present step."""
        step = self._next_s
        self._next_s = min(self._max_s, step * 2)
        return step * (0.5 + rng.random() / 2)

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next_s = self._initial_s


class Penalty:
    """How long a peer that broke rules stays without a link: doubling, forgotten with time."""

    __slots__ = ("_initial_s", "_max_s", "_memory_s", "_next_s", "until")

    def __init__(self, initial_s: float, max_s: float, memory_s: float) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._memory_s = memory_s
        self._next_s = initial_s
        self.until = float("-inf")

    def strike(self, now: float) -> None:
        """The peer broke a rule."""
        if now - self.until > self._memory_s:
            self._next_s = self._initial_s
        self.until = now + self._next_s
        self._next_s = min(self._max_s, self._next_s * 2)

    def remaining(self, now: float) -> float:
        """Seconds left; 0 if none."""
        return max(0.0, self.until - now)

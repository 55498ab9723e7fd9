"""What an embedder may set. Owns the limits and the reason of each number."""

from __future__ import annotations

import msgspec

from p2p.errors import ConfigError

MIB = 1_048_576


class P2PConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen, and a bound for everything a peer can send."""

    network_id: bytes
    """32 bytes; goes into the handshake, so nodes of two networks never talk."""
    host: str = "127.0.0.1"
    port: int = 0
    handshake_timeout_s: float = 5.0
    unauthenticated_max: int = 32
    """Connections that have not proved who they are."""
    unauthenticated_per_address_max: int = 16
    """Seven nodes on one machine redial two links each after a restart."""
    accepts_per_second: float = 20.0
    accepts_burst: float = 64.0
    ping_interval_s: float = 2.0
    silence_max_s: float = 8.0
    """A link that brought nothing for so long is dead."""
    send_timeout_s: float = 10.0
    """A stalled send is not released by any heartbeat, so it has a limit of its own."""
    redial_min_s: float = 0.1
    redial_max_s: float = 1.0
    bytes_per_second: float = 40 * MIB
    bytes_burst: float = 64 * MIB
    messages_per_second: float = 10_000.0
    messages_burst: float = 20_000.0
    gossip_queue_bytes_max: int = 8 * MIB
    raft_queue_bytes_max: int = 16 * MIB

    def __post_init__(self) -> None:
        if len(self.network_id) != 32:
            raise ConfigError("a network id is 32 bytes")
        for name in self.__struct_fields__[3:]:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive")

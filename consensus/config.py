"""What an embedder may set. Owns the limits and checks that they fit together."""

from __future__ import annotations

import msgspec

from consensus.errors import ConfigError
from consensus.types import NodeId

MIB = 1_048_576
ATTESTATION_BYTES_MAX = 256
ENTRY_OVERHEAD_BYTES = 384
"""More than the encoding of an entry with an empty payload."""
MESSAGE_OVERHEAD_BYTES = 256
"""More than the encoding of an append without entries."""


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who votes, the pace, and a bound for everything that grows.

    Times are in ticks of `tick_ms`; only the driver knows milliseconds.

    Raises:
        ConfigError: when values contradict each other.
    """

    node: NodeId
    """This node; one of `voters`."""
    voters: tuple[NodeId, ...]
    tick_ms: int = 50
    election_ticks: int = 10
    """Timeouts are drawn from [election_ticks, 2 · election_ticks). A leader is fresh, and keeps
    its quorum, for election_ticks."""
    heartbeat_ticks: int = 2
    disk_stall_ticks: int = 40
    """A leader whose write takes longer steps down: heartbeats do not wait for the disk, so a hung
    disk would otherwise keep a leader that can commit nothing of its own."""
    catch_up_ticks_max: int = 5
    """Ticks made up for after the event loop was blocked; the rest is forgotten, so that a pause
    of this process does not look like silence of the leader."""
    window_messages: int = 64
    """Append messages on their way to one follower."""
    window_bytes: int = 8 * MIB
    message_bytes_max: int = MIB
    """An append carries at least one entry, and more while they fit here."""
    message_entries_max: int = 1_024
    """Bounds what one message costs its receiver to about 10 ms."""
    payload_bytes_max: int = 4 * MIB - 4_096
    """One entry and its message fit into 4 MiB, the bound of common transports."""
    uncommitted_entries_max: int = 65_536
    uncommitted_bytes_max: int = 16 * MIB
    """Proposals wait (WindowFullError) while the leader has more than this uncommitted."""
    unstable_bytes_max: int = 32 * MIB
    """A follower drops appends while more than this waits for its disk; honest leaders stop at
    `window_bytes`."""
    tail_bytes_max: int = 32 * MIB
    """Newest entries kept in memory; followers further behind are served from the log store."""
    apply_entries_max: int = 1_024
    apply_bytes_max: int = 4 * MIB
    """One call of `Applier.apply` gets no more, but at least one entry."""
    inbox_messages_max: int = 4_096
    """Received messages waiting for the next loop turn; more are dropped."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__[2:]:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")
        if len(set(self.voters)) != len(self.voters) or self.node not in self.voters:
            raise ConfigError("voters must be distinct and contain this node")
        if not all(0 <= voter < 2**32 for voter in self.voters):
            raise ConfigError("a voter's number must fit 32 bits")
        if self.heartbeat_ticks * 2 > self.election_ticks:
            raise ConfigError("an election timeout must span at least two heartbeats")
        if self.catch_up_ticks_max >= self.election_ticks:
            raise ConfigError("catching up on ticks alone must not end in an election")
        if self.message_bytes_max > self.window_bytes:
            raise ConfigError("a message must fit into the window")
        if self.payload_bytes_max > min(self.uncommitted_bytes_max, self.unstable_bytes_max):
            raise ConfigError("the largest entry must fit into the bounds of unfinished entries")

    @property
    def peers(self) -> tuple[NodeId, ...]:
        """The other voters, in order."""
        return tuple(voter for voter in sorted(self.voters) if voter != self.node)

    @property
    def majority(self) -> int:
        """Voters that make a quorum."""
        return len(self.voters) // 2 + 1

    @property
    def wire_bytes_max(self) -> int:
        """No message of an honest peer is longer."""
        entries = max(self.message_bytes_max, self.payload_bytes_max + ENTRY_OVERHEAD_BYTES)
        return entries + MESSAGE_OVERHEAD_BYTES

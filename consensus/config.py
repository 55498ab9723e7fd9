"""What an embedder may set. Owns the limits and checks that they fit together."""

from __future__ import annotations

import msgspec

from consensus.errors import ConfigError
from consensus.membership import MEMBERS_MAX, Membership
from consensus.messages import CHUNK_BYTES_MAX
from consensus.types import ENTRY_FORMAT, EntryFormat, NodeId

MIB = 1_048_576
PRIORITY_MAX = 8
ATTESTATION_BYTES_MAX = 256
ENTRY_OVERHEAD_BYTES = 384
"""More than the encoding of an entry with an empty payload."""
MESSAGE_OVERHEAD_BYTES = 256
"""More than the encoding of an append without entries."""


SNAPSHOT_OVERHEAD_BYTES = 256 + 3 * 5 * MEMBERS_MAX
"""More than the encoding of a snapshot's name."""
_MAY_BE_ZERO = {
    "node",
    "voters",
    "entries",
    "priority",
    "liars_max",
    "lease_reads",
    "trailing_entries",
    "trailing_bytes",
}


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who votes, the pace, and a bound for everything that grows.

    Times are in ticks of `tick_ms`; only the driver knows milliseconds.

    Raises:
        ConfigError: when values contradict each other.
    """

    node: NodeId
    voters: tuple[NodeId, ...]
    """The founding voters, equal on every node: in force until a membership entry says otherwise.
    Empty on a node that joins later and learns from the log who its fellows are."""
    entries: EntryFormat = ENTRY_FORMAT
    """What entries are bound to, equal on every member and in each store of theirs."""
    priority: int = 0
    """0 is first choice as leader; for each step above, timeouts are half an `election_ticks`
    longer (at most 8 steps)."""
    liars_max: int = 0
    """Voters that may lie about their term, at most (n - 1) / 3 of n; fewer members count as
    fewer liars. See `terms`. 0: the crash model, in which every claim is true."""
    tick_ms: int = 25
    election_ticks: int = 16
    """Timeouts are drawn from [election_ticks, 2 · election_ticks). A leader is fresh, and keeps
    its quorum, for election_ticks."""
    heartbeat_ticks: int = 4
    disk_stall_ticks: int = 80
    """A leader whose write takes longer steps down: heartbeats do not wait for the disk, so a hung
    disk would otherwise keep a leader that can commit nothing of its own."""
    catch_up_ticks_max: int = 8
    """Ticks made up for after the event loop was blocked; the rest is forgotten, so that a pause
    of this process does not look like silence of the leader."""
    window_messages: int = 64
    """Append messages on their way to one follower."""
    window_bytes: int = 8 * MIB
    message_bytes_max: int = MIB
    """An append carries at least one entry, and more while they fit here."""
    message_entries_max: int = 256
    """Bounds what one message costs its receiver to about 2 ms."""
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
    apply_entries_max: int = 256
    apply_bytes_max: int = 4 * MIB
    """One call of `Applier.apply` gets no more, but at least one entry."""
    inbox_messages_max: int = 4_096
    inbox_bytes_max: int = 64 * MIB
    """Received messages waiting for the next loop turn; more are dropped."""
    reads_max: int = 4_096
    """Linearizable reads that wait for confirmation; more are refused."""
    lease_reads: bool = False
    """Answer reads without asking the others while a lease lasts. Linearizable only if no node's
    clock runs more than a quarter faster or slower than another's."""
    chunk_bytes: int = 262_144
    """Part of a snapshot in one message; one is on its way to a follower at a time."""
    snapshot_entries: int = 100_000
    snapshot_bytes: int = 64 * MIB
    """With a snapshot store: capture the state when so much was applied since the last snapshot."""
    trailing_entries: int = 10_000
    trailing_bytes: int = 64 * MIB
    """Kept below a snapshot, so that a slow follower need not load it: so many entries, fewer if
    they weigh more than that."""

    def __post_init__(self) -> None:
        for name in set(self.__struct_fields__) - _MAY_BE_ZERO:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1")
        if len(set(self.voters)) != len(self.voters):
            raise ConfigError("voters must be distinct")
        if not all(0 <= node < 2**32 for node in (*self.voters, self.node)):
            raise ConfigError("a member's number must fit 32 bits")
        if not 0 <= self.priority <= PRIORITY_MAX:
            raise ConfigError("priority is out of range")
        if self.trailing_entries < 0 or self.trailing_bytes < 0:
            raise ConfigError("trailing_entries or trailing_bytes is out of range")
        if self.liars_max < 0 or (self.voters and 3 * self.liars_max >= len(self.voters)):
            raise ConfigError("fewer than a third of the voters may lie")
        if self.chunk_bytes > CHUNK_BYTES_MAX:
            raise ConfigError("a chunk must fit into a message")
        if self.wire_bytes_max > self.inbox_bytes_max:
            raise ConfigError("the largest message must fit into the inbox")
        if self.heartbeat_ticks * 2 > self.election_ticks:
            raise ConfigError("an election timeout must span at least two heartbeats")
        if self.catch_up_ticks_max >= self.election_ticks:
            raise ConfigError("catching up on ticks alone must not end in an election")
        if self.message_bytes_max > self.window_bytes:
            raise ConfigError("a message must fit into the window")
        if self.payload_bytes_max > min(self.uncommitted_bytes_max, self.unstable_bytes_max):
            raise ConfigError("the largest entry must fit into the bounds of unfinished entries")

    @property
    def founding(self) -> Membership:
        """The membership of a log without membership entries."""
        return Membership(tuple(sorted(self.voters)))

    @property
    def wire_bytes_max(self) -> int:
        """No message of an honest peer is longer."""
        entries = max(self.message_bytes_max, self.payload_bytes_max + ENTRY_OVERHEAD_BYTES)
        return max(entries, self.chunk_bytes + SNAPSHOT_OVERHEAD_BYTES) + MESSAGE_OVERHEAD_BYTES

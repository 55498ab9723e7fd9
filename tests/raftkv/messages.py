"""What clients and servers say, and what goes into the log. Owns formats, decides nothing."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

LOAD_TAG = b"L"
"""First byte of a payload of the load: then an 8-byte key, then the value."""
COMMAND_TAG = b"C"
"""First byte of a payload that is a command of a client."""


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Fields in order."""


# --- In the log -----------------------------------------------------------------------------------


class Put(_Record, frozen=True, tag="put"):
    """Write. `number` counts the client's commands, so that a repetition is recognised."""

    client: int
    number: int
    key: str
    value: str


class Cas(_Record, frozen=True, tag="cas"):
    """Write if the key holds `expected`; the result is what it held."""

    client: int
    number: int
    key: str
    expected: str | None
    value: str


class Address(_Record, frozen=True, tag="address"):
    """Where a member listens."""

    node: int
    host: str
    port: int


Command: TypeAlias = Put | Cas | Address

# --- Requests -------------------------------------------------------------------------------------


class Execute(_Record, frozen=True, tag="execute"):
    """Commit a command."""

    command: Command


class Get(_Record, frozen=True, tag="get"):
    """Read linearizably, on whatever node is asked."""

    key: str


class Dump(_Record, frozen=True, tag="dump"):
    """Every key with its value, as this node has it."""


class ChangeMembers(_Record, frozen=True, tag="members"):
    """Make these the members. Leader only."""

    voters: tuple[int, ...]
    learners: tuple[int, ...] = ()


class Transfer(_Record, frozen=True, tag="transfer"):
    """Hand leadership over."""

    to: int | None = None


class TakeSnapshot(_Record, frozen=True, tag="snapshot"):
    """Capture the state and compact the log."""


class Status(_Record, frozen=True, tag="status"):
    """The state of the node; `reset` forgets the longest gaps and slices of the loop."""

    reset: bool = False


class Load(_Record, frozen=True, tag="load"):
    """Submit entries in this process, `window` at a time unanswered, for so long."""

    seconds: float
    window: int
    value_bytes: int
    keys: int = 4_096


class Profile(_Record, frozen=True, tag="profile"):
    """Where the process spends its time, for so long."""

    seconds: float


class Stop(_Record, frozen=True, tag="stop"):
    """Stop; a leader hands over first."""


Request: TypeAlias = (
    Execute | Get | Dump | ChangeMembers | Transfer | TakeSnapshot | Status | Load | Profile | Stop
)


class Call(_Record, frozen=True):
    """A request with its name on this connection."""

    id: int
    request: Request


# --- Replies --------------------------------------------------------------------------------------


class Done(_Record, frozen=True, tag="done"):
    """It is done; the result, if there is one."""

    result: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))


class Refused(_Record, frozen=True, tag="refused"):
    """It is not done and never will be."""

    reason: str
    leader: int | None = None


class Unsure(_Record, frozen=True, tag="unsure"):
    """Nobody here knows what becomes of it."""

    reason: str


Answer: TypeAlias = Done | Refused | Unsure


class Reply(_Record, frozen=True):
    """The answer to the call of that id."""

    id: int
    answer: Answer


class LoadReport(msgspec.Struct, frozen=True):
    """What a load measured. Times in milliseconds, from submission to the answer."""

    entries: int
    seconds: float
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class NodeReport(msgspec.Struct, frozen=True):
    """What `Status` answers."""

    node: int
    role: str
    term: int
    leader: int | None
    commit: int
    applied: int
    last: int
    base: int
    suspect: bool
    voters: tuple[int, ...]
    outgoing: tuple[int, ...]
    learners: tuple[int, ...]
    followers: dict[int, tuple[int, str]]
    """Match index and state, of a leader."""
    restored: int
    """Snapshots that replaced the state."""
    writes: int
    """Batches that the store made durable."""
    cpu_s: float
    """Of the process, user and system."""
    loop_cpu_s: float
    """Of the thread of the event loop."""
    rss_mib: float
    gap_ms: float
    """The longest time between two beats of the event loop, without the beat's own interval."""
    gap_own_ms: float
    """The longest such time counted in this thread's own work."""
    slice_ms: float | None
    """The longest callback of the loop; None when they are not timed."""
    slice_own_ms: float | None
    """The longest callback, counted in this thread's own work."""
    slice_of: str
    """Which callback that was."""
    dropped: int
    """Messages to peers that were too slow."""


encode = msgspec.msgpack.Encoder().encode
decode_call = msgspec.msgpack.Decoder(Call).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
decode_command = msgspec.msgpack.Decoder(Command).decode

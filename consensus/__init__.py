"""Raft over opaque bytes: a sans-IO core and one async driver.

Knows nothing of p2p or node. An embedder supplies a log store, a sender, an applier and an
authority (see `consensus.ports`) and gets entries in one agreed order.

What an embedder needs has its name here (`__all__`); the other modules are this package's own.
A name is loaded when it is first used: whoever takes an error from here loads no event loop, and
only the SQLite store needs `aiosqlite`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consensus.config import RaftConfig
    from consensus.core.status import FollowerStatus, RaftStatus
    from consensus.driver.node import RaftNode
    from consensus.errors import (
        ConfigError,
        ConsensusError,
        MembershipError,
        NotLeaderError,
        PayloadTooLargeError,
        ProposalError,
        ProtocolError,
        ReadError,
        SnapshotError,
        StoppedError,
        StoreFullError,
        TermChangedError,
        TransferringError,
        WindowFullError,
    )
    from consensus.membership import Membership, decode_membership
    from consensus.outcomes import (
        Committed,
        Outcome,
        Rejected,
        RejectReason,
        Unknown,
        UnknownReason,
    )
    from consensus.ports import (
        Admission,
        AppendBatch,
        Applier,
        Authority,
        Life,
        LogStore,
        NoAuthority,
        Recovered,
        Sender,
        SnapshotApplier,
        SnapshotStore,
    )
    from consensus.snapshot import BEGINNING, Base, Snapshot
    from consensus.stores.frames import DamagedLogError
    from consensus.stores.marker import Marker, MarkerError, MarkerFullError
    from consensus.stores.memory import MemoryStore
    from consensus.stores.sqlite import SqliteStore, open_sqlite_store
    from consensus.stores.sqlite_file import StoreFailedError, WrongFileError
    from consensus.types import (
        Entry,
        EntryFormat,
        EntryKind,
        HardState,
        LogIndex,
        NodeId,
        Rng,
        Role,
        Term,
    )

__all__ = [
    "BEGINNING",
    "Admission",
    "AppendBatch",
    "Applier",
    "Authority",
    "Base",
    "Committed",
    "ConfigError",
    "ConsensusError",
    "DamagedLogError",
    "Entry",
    "EntryFormat",
    "EntryKind",
    "FollowerStatus",
    "HardState",
    "Life",
    "LogIndex",
    "LogStore",
    "Marker",
    "MarkerError",
    "MarkerFullError",
    "Membership",
    "MembershipError",
    "MemoryStore",
    "NoAuthority",
    "NodeId",
    "NotLeaderError",
    "Outcome",
    "PayloadTooLargeError",
    "ProposalError",
    "ProtocolError",
    "RaftConfig",
    "RaftNode",
    "RaftStatus",
    "ReadError",
    "Recovered",
    "RejectReason",
    "Rejected",
    "Rng",
    "Role",
    "Sender",
    "Snapshot",
    "SnapshotApplier",
    "SnapshotError",
    "SnapshotStore",
    "SqliteStore",
    "StoppedError",
    "StoreFailedError",
    "StoreFullError",
    "Term",
    "TermChangedError",
    "TransferringError",
    "Unknown",
    "UnknownReason",
    "WindowFullError",
    "WrongFileError",
    "decode_membership",
    "open_sqlite_store",
]

_HOMES = {
    "config": "RaftConfig",
    "driver.node": "RaftNode",
    "errors": "ConfigError ConsensusError MembershipError NotLeaderError PayloadTooLargeError"
    " ProposalError ProtocolError ReadError SnapshotError StoppedError StoreFullError"
    " TermChangedError TransferringError WindowFullError",
    "stores.frames": "DamagedLogError",
    "stores.marker": "Marker MarkerError MarkerFullError",
    "membership": "Membership decode_membership",
    "stores.memory": "MemoryStore",
    "outcomes": "Committed Outcome RejectReason Rejected Unknown UnknownReason",
    "ports": "Admission AppendBatch Applier Authority Life LogStore NoAuthority Recovered Sender"
    " SnapshotApplier SnapshotStore",
    "snapshot": "BEGINNING Base Snapshot",
    "stores.sqlite": "SqliteStore open_sqlite_store",
    "stores.sqlite_file": "StoreFailedError WrongFileError",
    "core.status": "FollowerStatus RaftStatus",
    "types": "Entry EntryFormat EntryKind HardState LogIndex NodeId Rng Role Term",
}
"""The imports above, for the interpreter; a test compares the two."""
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # else a misspelt name would pass as an object of any type

    def __getattr__(name):  # noqa: ANN001, ANN202 - a type checker does not look here
        """Load an exported name (PEP 562), once."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What the ledger's writer takes and gives, and how it fails. Owns the values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.chain.leaf import Origin
from node.chain.merkle import Frontier
from node.ledger.codes import Code, Table
from node.ledger.execution.execute import RuleFault
from node.storage.block_builder import AppliedTransaction


class LedgerError(RuntimeError):
    """The stored ledger does not fit the network, the log or itself. The node must stop."""


class WrongNetworkError(RuntimeError):
    """The file is a ledger of another network."""


class NotReproducedError(LedgerError):
    """A certified block comes to something else here. Nothing of it was stored.

    Its leaves are what the voters signed, so the fault is in this ledger or in this program, or
    more than f voters lie.
    """


class AppliedBlock(msgspec.Struct, frozen=True):
    """What applying one entry made."""

    height: int
    raft_index: int
    time_ms: int
    first_index: int
    size: int
    root: bytes
    frontier: Frontier
    state_digest: bytes
    transactions: Sequence[AppliedTransaction]
    skipped: Sequence[tuple[bytes, Code]]
    """Txids that left no leaf, and why (duplicates, expired …)."""
    payload_bytes: int
    participants: Sequence[bytes] = ()
    """Rows of participants that the block changed, as it left them."""
    rows: Mapping[Table, Mapping[bytes, object]] = {}
    """Decoded rows of the state that the block wrote, as it left them, by table and key: those
    that the query index is made from."""
    rows_bytes: int = 0
    """Size of all rows that it changed."""
    faults: Sequence[RuleFault] = ()
    """Transactions over which the rules failed."""


class CommittedEntry(msgspec.Struct, frozen=True):
    """A committed Raft entry with a payload, as the ledger needs it."""

    index: int
    term: int
    leader: int
    payload: bytes
    hash: bytes

    @property
    def origin(self) -> Origin:
        """What the seal of its block says of it."""
        return Origin(self.term, self.leader, self.index, self.hash)

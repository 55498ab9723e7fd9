"""Which rows a block may read, as its operations name them. Owns the list; knows no operation.

It saves reads and decides nothing: a row that is not named is read when a rule asks for it, one by
one, and told as a fault of this program. So a law says beside each rule what it reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from node.ledger.codes import Table
from node.ledger.context import BlockContext
from node.ledger.row_codec import RULES_KEY
from node.ledger.stored import Scan

Naming = Callable[["Reads", str, Any], None]
"""(reads, who acts, operation): names the rows that the operation's rule may read."""


class Reads:
    """Rows and scans in the order of first mention."""

    __slots__ = ("_namings", "author", "home", "month", "participants", "rows", "scans", "seen")

    def __init__(self, context: BlockContext, namings: Mapping[type, Naming]) -> None:
        self.rows: dict[Table, dict[bytes, None]] = {table: {} for table in Table}
        self.rows[Table.META][RULES_KEY] = None
        self.participants = self.rows[Table.PARTICIPANT]
        self.scans: dict[Scan, None] = {}
        self.seen: defaultdict[type, set[str]] = defaultdict(set)
        """By operation: for whom it has named what it needs once a block only."""
        self.author = ""
        """Of the transaction, whoever acts in it."""
        self.month = context.month
        self.home = context.home_currency
        self._namings = namings

    def party(self, reference: str) -> None:
        """The row of a participant; a bare key has none."""
        if len(reference) == 18:
            self.participants[reference.encode()] = None

    def of(self, actor: str, operation: object) -> None:
        """Whatever an operation of `actor` may read."""
        self._namings[type(operation)](self, actor, operation)

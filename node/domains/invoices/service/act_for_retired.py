"""The tax bureau's node stands in for issuers that have retired.

Red-letter operations on their invoices are wrapped, so that the ledger takes them as the issuer's.
Knows no signature.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.following.participants import Participants
from node.ledger.codes import Table
from node.ledger.invoices.operations import ActForRetired, RetiredOperation
from node.ledger.invoices.rows import decode_invoice
from node.ledger.operations import Operation
from node.ledger.participants import ParticipantState
from node.ledger.types import Role
from node.storage.ledger_reader import LedgerReader


class ActingForRetired:
    """Wraps operations of one participant."""

    def __init__(self, participant: str, participants: Participants, reader: LedgerReader) -> None:
        self._participant = participant
        self._participants = participants
        self._reader = reader

    async def wrap(self, operations: Sequence[Operation]) -> list[Operation]:
        """The operations, those for a retired issuer wrapped if this is a tax bureau."""
        row = self._participants.get(self._participant)
        if row is None or Role.TAX_BUREAU not in row.roles:
            return list(operations)
        return [await self._wrap(operation) for operation in operations]

    async def _wrap(self, operation: Operation) -> Operation:
        if not isinstance(operation, RetiredOperation):
            return operation
        key = operation.invoice.encode()
        rows = await self._reader.rows(Table.INVOICE, [key])
        if key not in rows:
            return operation
        invoice = decode_invoice(rows[key])
        issuer = self._participants.get(invoice.issuer)
        retired = issuer is not None and issuer.state is ParticipantState.RETIRED
        # What the bureau asks as the buyer, it asks for itself.
        if not retired or self._participant == invoice.buyer:
            return operation
        return ActForRetired(invoice.issuer, operation)

"""What goes along with operations on invoices when this participant signs them.

Owns two additions: whoever is offered an invoice, or is to reimburse it, gets the key of its
details in the same transaction; and a tax bureau acts for a retired issuer. Signs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.domains.invoices.service.act_for_retired import ActingForRetired
from node.domains.invoices.service.unsealing import Unsealer
from node.ledger.invoices.operations import OfferInvoice, SubmitInvoice
from node.ledger.operations import Operation


class InvoiceCompanions:
    """Completes operations of one participant; implements `node.services.submitter.Companions`."""

    def __init__(self, unsealer: Unsealer, acting: ActingForRetired) -> None:
        self._unsealer = unsealer
        self._acting = acting

    async def complete(
        self, operations: Sequence[Operation], party: str, *, by_key: bool
    ) -> list[Operation]:
        """The operations, as they are to be signed, and what goes along with them."""
        shares: list[Operation] = []
        for operation in operations:
            if isinstance(operation, OfferInvoice) or (
                isinstance(operation, SubmitInvoice) and operation.amount
            ):
                shares += await self._unsealer.share(operation.invoice, party, (operation.to,))
        if not by_key:
            operations = await self._acting.wrap(operations)
        return [*operations, *shares]

"""A node's issuing holds for tests of the API: what is sealed stands open in its memory."""

from __future__ import annotations

import msgspec

from node.following.outcomes import Idempotency, Submission
from node.ledger.codes import Table
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, UpholdHold
from node.ledger.invoices.holds.rows import HoldRow, decode_hold, hold_key
from tests.api.fake_node import FakeNode


class FakeHolds:
    """Implements `HoldFacade`."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self.causes: list[bytes] = []
        self.grounds_of: list[bytes] = []
        self.opens = True

    async def put(
        self, operation: HoldIssuing, cause: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        self.causes.append(cause)
        return await self._node.submit_operations((operation,), (), idempotency)

    async def uphold(
        self, operation: UpholdHold, idempotency: Idempotency | None = None
    ) -> Submission:
        return await self._node.submit_operations((operation,), (), idempotency)

    async def appeal(
        self, reference: str, grounds: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        self.grounds_of.append(grounds)
        operation = AppealHold(reference, bytes(32), ())
        return await self._node.submit_operations((operation,), (), idempotency)

    async def hold(self, issuer: str) -> HoldRow | None:
        key = hold_key(issuer)
        rows = await self._node.state_rows(Table.HOLD, [key])
        return decode_hold(rows[key]) if key in rows else None

    async def cause(self, row: HoldRow) -> bytes | None:
        assert row.cause
        return msgspec.json.encode({"cause": "books"}) if self.opens else None

    async def grounds(self, row: HoldRow) -> bytes | None:
        return msgspec.json.encode({"grounds": "shown"}) if self.opens and row.appealed_at else None

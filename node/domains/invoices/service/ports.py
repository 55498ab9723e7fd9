"""What the API of invoices needs of a node beyond the ledger. Owns the interfaces.

Amounts are minor units, ids and hashes raw bytes. Every method may be called by many requests at
once, from the event loop only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from node.domains.invoices.details.drafts import InvoiceDraft, Issued, RedDraft
from node.following.outcomes import Idempotency, Submission
from node.ledger.invoices.holds.operations import HoldIssuing, UpholdHold
from node.ledger.invoices.holds.rows import HoldRow
from node.ledger.invoices.operations import RequestRedLetter

SERVICE = "invoices"
HOLDS = "invoices/holds"
"""Names under which the routes find them."""


class HoldFacade(Protocol):
    """A running node's issuing holds as their API sees them."""

    async def put(
        self, operation: HoldIssuing, cause: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        """Put a hold; `cause`, canonical JSON, is sealed to the firm and this bureau.

        Raises: as `NodeFacade.submit_operations`.
        """
        ...

    async def uphold(
        self, operation: UpholdHold, idempotency: Idempotency | None = None
    ) -> Submission:
        """Uphold a hold; a `second_key` of zeros: a second key of this node signs too.

        Raises: as `NodeFacade.submit_operations`; RefusedError(SECOND_KEY_NEEDED) without one.
        """
        ...

    async def appeal(
        self, reference: str, grounds: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        """Appeal against this participant's hold; `grounds`, canonical JSON, are sealed.

        Raises: as `NodeFacade.submit_operations`; RefusedError(NOT_HELD) when there is none.
        """
        ...

    async def hold(self, issuer: str) -> HoldRow | None:
        """An issuer's newest hold, live or not."""
        ...

    async def cause(self, row: HoldRow) -> bytes | None:
        """The cause as JSON, if this participant can open it."""
        ...

    async def grounds(self, row: HoldRow) -> bytes | None:
        """The firm's grounds as JSON, if this participant can open them."""
        ...


class InvoiceFacade(Protocol):
    """A running node's invoices as their API sees them."""

    async def request_red(
        self,
        operation: RequestRedLetter,
        details: bytes,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Ask for a red letter with details, which are sealed to the invoice's parties.

        Raises: as `NodeFacade.submit_operations`.
        """
        ...

    async def issue(
        self,
        drafts: Sequence[InvoiceDraft | RedDraft],
        idempotency: Idempotency | None = None,
    ) -> Issued:
        """Draw numbers from the participant's segments, seal details, sign and store.

        Raises: as `NodeFacade.submit_operations`; RefusedError(NUMBER_NOT_ALLOTTED) when numbers
        run out.
        """
        ...

    async def share(
        self,
        number: str,
        party: str,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Let `party` read an invoice's details: pass their key on, in one transaction.

        Raises: as `NodeFacade.submit_operations`; NotDisclosableError when this participant cannot
        open them, or the party has no key to seal to.
        """
        ...

    def claim_buyer(self, order: bytes) -> str:
        """The party reference of the claim key that belongs to an order of this participant."""
        ...

    def details_commitment(self, order: bytes, details: bytes) -> bytes:
        """The commitment that this node makes to the details of an order: always the same."""
        ...

    def claim_key(self, order: bytes, buyer: str) -> str | None:
        """The claim key of an order, if `buyer` is the key that was made for it."""
        ...

    async def details(self, number: str) -> bytes | None:
        """Opened details of an invoice as JSON; None unless this participant can open them."""
        ...

    async def keep_attachment(self, content: bytes) -> bytes:
        """Keep a file until an invoice names it, in memory, for an hour; its SHA-256."""
        ...

    async def attachment(self, number: str, file_hash: bytes) -> bytes | None:
        """A file that the invoice's details name; None unless this participant can open it."""
        ...

    async def form_details(self, number: str, form: int) -> bytes | None:
        """What a red-letter form wants to take back, as JSON; None as above, or without lines."""
        ...

    async def detail_paths(self, number: str) -> Sequence[str] | None:
        """Paths of the items of an invoice's details that a receipt may show; None as above."""
        ...

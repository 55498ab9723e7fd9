"""Invoices as programs on this node handle them: issued, shared, opened.

Owns what the ledger's rules leave to the participant: numbers drawn, details sealed and opened,
files kept until an invoice names them, claim keys of orders. What is signed goes through the
submitter. Implements `InvoiceFacade`; knows no HTTP, no p2p and no consensus.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.chain.disclosure import commit, items_of
from node.custody.keyring import Keyring
from node.custody.wallet import claim_seed, claim_text
from node.domains.invoices.details.drafts import InvoiceDraft, Issued, RedDraft
from node.domains.invoices.service.issuance import Issuance
from node.domains.invoices.service.unsealing import Unsealer
from node.following.outcomes import Idempotency, NotDisclosableError, Submission
from node.ledger.invoices.operations import RequestRedLetter
from node.ledger.signing import public_key
from node.sealing.attachments import WaitingFiles
from node.sealing.format import details_salt
from node.services.submitter import Drawn, Submitter


class InvoiceService:
    """The invoices of one participant."""

    def __init__(
        self,
        submitter: Submitter,
        unsealer: Unsealer,
        issuance: Issuance,
        keyring: Keyring,
        files: WaitingFiles,
    ) -> None:
        self._submitter = submitter
        self._unsealer = unsealer
        self._issuance = issuance
        self._keyring = keyring
        self._files = files

    # --- Writes -------------------------------------------------------------------------------

    async def issue(
        self,
        drafts: Sequence[InvoiceDraft | RedDraft],
        idempotency: Idempotency | None = None,
    ) -> Issued:
        """Draw numbers from the participant's segments, seal details, sign and store."""

        async def draw() -> Drawn:
            numbers, serials = await self._issuance.draw(len(drafts))
            operations, blobs = await self._issuance.operations(drafts, numbers)
            return Drawn(
                operations, blobs, tuple(numbers), serials, lambda: self._issuance.drawn(serials)
            )

        return Issued(*await self._submitter.submit_drawn(draw, idempotency))

    async def request_red(
        self,
        operation: RequestRedLetter,
        details: bytes,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Ask for a red letter with details, sealed to the invoice's parties."""
        commitment, sealed = await self._issuance.seal_form(operation.invoice, details)
        operation = msgspec.structs.replace(
            operation, details=commitment, blobs=(sealed.blob_hash,)
        )
        return await self._submitter.submit_operations(
            (operation,), (sealed.blob,), idempotency, actor
        )

    async def share(
        self,
        number: str,
        party: str,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Let `party` read an invoice's details."""
        self._submitter.check_writable()
        self._submitter.check_actor(actor)
        operations = await self._unsealer.share(
            number, self._submitter.party_of(actor), (party,), again=True
        )
        if not operations:
            raise NotDisclosableError(
                "this node cannot open the details, or may not share them, or there is no key"
            )
        return await self._submitter.submit_operations(operations, (), idempotency, actor)

    async def keep_attachment(self, content: bytes) -> bytes:
        """Keep a file until an invoice names it; its SHA-256."""
        return self._files.add(content)

    # --- Claim keys ---------------------------------------------------------------------------

    def claim_buyer(self, order: bytes) -> str:
        """The party reference of the claim key that belongs to an order of this participant."""
        return public_key(claim_seed(self._keyring.salt_secret, order)).hex()

    def claim_key(self, order: bytes, buyer: str) -> str | None:
        """The claim key of an order, if `buyer` is the key made for it."""
        seed = claim_seed(self._keyring.salt_secret, order)
        return claim_text(seed) if public_key(seed).hex() == buyer else None

    def details_commitment(self, order: bytes, details: bytes) -> bytes:
        """The commitment that sealing the details of an order makes, whenever it is done."""
        return commit(items_of(details), details_salt(self._keyring.salt_secret, order))

    # --- Readings -----------------------------------------------------------------------------

    async def details(self, number: str) -> bytes | None:
        """Opened details of an invoice as JSON, if this participant can open them."""
        opened = await self._unsealer.open(number)
        return None if opened is None else opened.details

    async def attachment(self, number: str, file_hash: bytes) -> bytes | None:
        """A file that the invoice's details name, if this participant can open it."""
        return await self._unsealer.attachment(number, file_hash)

    async def form_details(self, number: str, form: int) -> bytes | None:
        """What a red-letter form wants to take back, as JSON, if this participant can open it."""
        opened = await self._unsealer.open_form(number, form)
        return None if opened is None else opened.details

    async def detail_paths(self, number: str) -> Sequence[str] | None:
        """Paths of the items of an invoice's details, in the order of the commitment."""
        opened = await self._unsealer.open(number)
        return None if opened is None else [path for path, _ in opened.items]

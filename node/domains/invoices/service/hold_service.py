"""Issuing holds as programs on this node handle them: put, upheld, appealed against, read.

Owns what the ledger leaves to the participant: that a cause and the firm's grounds are sealed to
firm and acting bureau alone, and that the second key which upholds a hold is another of this
node's. Implements `HoldFacade`; knows no HTTP, no p2p and no consensus.
"""

from __future__ import annotations

import os

import msgspec

from node.custody.keyring import Keyring
from node.custody.signer import Signer
from node.following.outcomes import Idempotency, RefusedError, Submission
from node.ledger.codes import Code, Table
from node.ledger.invoices.holds.operations import (
    AppealHold,
    HoldIssuing,
    UpholdHold,
    uphold_message,
)
from node.ledger.invoices.holds.rows import HoldRow, decode_hold, hold_key
from node.ledger.signing import sign
from node.sealing.format import RANDOM_BYTES, BlobSealer, Sealed
from node.sealing.opener import BlobOpener
from node.sealing.padding import padded, unpadded
from node.sealing.recipients import Recipients
from node.services.submitter import Submitter
from node.storage.ledger_reader import LedgerReader


class HoldService:
    """The holds that one participant puts or is under."""

    def __init__(
        self,
        network_id: bytes,
        submitter: Submitter,
        signer: Signer,
        keyring: Keyring,
        recipients: Recipients,
        reader: LedgerReader,
    ) -> None:
        self._network_id = network_id
        self._submitter = submitter
        self._signer = signer
        self._keyring = keyring
        self._recipients = recipients
        self._reader = reader

    async def put(
        self, operation: HoldIssuing, cause: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        """Put a hold, with its cause sealed to the firm and this bureau."""
        commitment, sealed = self._seal(operation.issuer, cause)
        operation = msgspec.structs.replace(operation, cause=commitment, blobs=(sealed.blob_hash,))
        return await self._submitter.submit_operations((operation,), (sealed.blob,), idempotency)

    async def uphold(
        self, operation: UpholdHold, idempotency: Idempotency | None = None
    ) -> Submission:
        """Uphold a hold; unless another officer's signature comes along, a second key here signs.

        Raises:
            RefusedError: SECOND_KEY_NEEDED when this node holds no second key that may.
        """
        if not any(operation.second_key):
            secret = self._signer.second_key(UpholdHold)
            message = uphold_message(self._network_id, self._submitter.participant, operation)
            operation = msgspec.structs.replace(
                operation, second_key=secret[32:], second_signature=sign(secret, message)
            )
        return await self._submitter.submit_operations((operation,), (), idempotency)

    async def appeal(
        self, reference: str, grounds: bytes, idempotency: Idempotency | None = None
    ) -> Submission:
        """Appeal against this firm's hold, with the grounds sealed to it and the bureau.

        Raises:
            RefusedError: NOT_HELD when there is no hold of this reference.
        """
        row = await self.hold(self._submitter.participant)
        if row is None or row.reference != reference:
            raise RefusedError(Code.NOT_HELD, "this participant is under no such hold")
        commitment, sealed = self._seal(row.bureau, grounds)
        operation = AppealHold(reference, commitment, (sealed.blob_hash,))
        return await self._submitter.submit_operations((operation,), (sealed.blob,), idempotency)

    async def hold(self, issuer: str) -> HoldRow | None:
        """An issuer's newest hold, live or not."""
        key = hold_key(issuer)
        rows = await self._reader.rows(Table.HOLD, [key])
        return decode_hold(rows[key]) if key in rows else None

    async def cause(self, row: HoldRow) -> bytes | None:
        """The cause as JSON, if this participant can open it."""
        return await self._open(row.height, row.cause, row.blobs)

    async def grounds(self, row: HoldRow) -> bytes | None:
        """The firm's grounds as JSON, if this participant can open them."""
        return await self._open(row.appeal_height, row.appeal, row.appeal_blobs)

    def _seal(self, other: str, text: bytes) -> tuple[bytes, Sealed]:
        sealer = BlobSealer(self._keyring.present, os.urandom(RANDOM_BYTES))
        # Of both sides alone: another bureau is a bystander here, as everybody is.
        readers = self._recipients.keys_of_all((self._submitter.participant, other))
        # Causes are a few usual sentences: by their lengths a bystander would tell them apart.
        commitment, _ = sealer.add(padded(text), readers, os.urandom(32))
        return commitment, sealer.seal()

    async def _open(self, height: int, commitment: bytes, blobs: tuple[bytes, ...]) -> bytes | None:
        for blob_hash in blobs[:1]:
            blob = await self._reader.blob(height, blob_hash)
            opened = None if blob is None else BlobOpener(blob).open(self._keyring.keys, commitment)
            return None if opened is None else unpadded(opened.details)
        return None

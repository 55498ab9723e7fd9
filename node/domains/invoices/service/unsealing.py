"""Opening sealed details of the ledger, passing their key on, and disclosing single items.

Owns where the blob and the wraps of an invoice are found. Knows no HTTP and signs nothing; the
operations that it makes are for the submitter to sign.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from node.chain.disclosure import Disclosure, disclose
from node.custody.keyring import Keyring
from node.following.outcomes import NotDisclosableError
from node.ledger.codes import Table
from node.ledger.execution.bykey import decode_operation
from node.ledger.invoices.operations import (
    ActForRetired,
    IssueInvoice,
    IssueRedLetter,
    RequestRedLetter,
    ShareDetails,
)
from node.ledger.invoices.rows import (
    SHARERS_MAX,
    SHARES_OF_ONE_MAX,
    InvoiceRow,
    decode_invoice,
    decode_share,
    share_range,
)
from node.ledger.operations import ByKey, Operation
from node.ledger.transaction import MalformedTransactionError, TransactionBody
from node.sealing.attachments import named_attachments, open_attachment
from node.sealing.format import NONCE_BYTES, LaterWrap, wrap_later
from node.sealing.opener import BlobOpener, Opened
from node.sealing.recipients import Recipients
from node.storage.ledger_reader import LedgerReader

_SHARES_READ_MAX = SHARERS_MAX * SHARES_OF_ONE_MAX
READER_BYTES = 32

Sealing = IssueInvoice | IssueRedLetter | RequestRedLetter
"""Operations that commit to details."""


class MissingBlobError(LookupError):
    """The sealed bytes are not stored here: erased, or never received."""


class Unsealer:
    """Opens what is sealed to this node."""

    def __init__(self, keyring: Keyring, recipients: Recipients, reader: LedgerReader) -> None:
        self._keyring = keyring
        self._recipients = recipients
        self._reader = reader

    async def open(self, number: str) -> Opened | None:
        """The details of an invoice; None unless this node has them and can open them."""
        row = await self._row(number)
        try:
            return None if row is None else await self.open_row(row)
        except MissingBlobError:
            return None

    async def open_form(self, number: str, form: int) -> Opened | None:
        """What a red-letter form of an invoice wants to take back; None as in `open`."""
        row = await self._row(number)
        found = next((f for f in row.forms if f.id == form), None) if row is not None else None
        if found is None:
            return None
        return await self._open(number, found.height, found.details, found.blobs)

    async def open_row(self, row: InvoiceRow) -> Opened | None:
        """The details by the invoice's state row; None when they do not open for this node.

        Raises:
            MissingBlobError: the invoice names sealed bytes, and this node does not have them.
        """
        return await self._open(row.number, row.height, row.details, row.blobs)

    async def blobs_of(self, rows: Sequence[InvoiceRow]) -> list[BlobOpener | None]:
        """The sealed details of several invoices, in one read; None where there are none here.

        Invoices of one transaction share a blob, which is read and decoded once.
        """
        places = [(row.height, row.blobs[0]) if row.blobs else None for row in rows]
        wanted = [place for place in dict.fromkeys(places) if place is not None]
        blobs = await self._reader.blobs(wanted)
        found = {
            place: BlobOpener(blob)
            for place, blob in zip(wanted, blobs, strict=True)
            if blob is not None
        }
        return [None if place is None else found.get(place) for place in places]

    def open_blob(self, row: InvoiceRow, blob: BlobOpener) -> Opened | None:
        """Details from their blob, for one to whom they were sealed at first; else None.

        Reads nothing and may run in any thread.
        """
        return blob.open(self._keyring.keys, row.details)

    async def open_decoded(self, row: InvoiceRow, blob: BlobOpener) -> Opened | None:
        """Details from their blob, also for one with whom they were shared later; else None."""
        return await self._open_sealed(row.number, row.details, blob)

    async def attachment(self, number: str, file_hash: bytes) -> bytes | None:
        """A file that the details of an invoice name; None unless this node can open it."""
        row, opened = await self._row(number), await self.open(number)
        if row is None or opened is None:
            return None
        named = [named_hash for named_hash, _ in named_attachments(opened.details)]
        for named_hash, blob_hash in zip(named, row.blobs[1:], strict=False):
            if named_hash == file_hash:
                blob = await self._reader.blob(row.height, blob_hash)
                return (
                    None
                    if blob is None
                    else open_attachment(blob, opened.content_key, opened.commitment, file_hash)
                )
        return None

    async def share(
        self, number: str, actor: str, parties: Sequence[str], *, again: bool = False
    ) -> list[ShareDetails]:
        """Operations by which `actor` lets parties read the details of an invoice.

        Nothing for those who read them already (unless `again`), and nothing at all when this node
        cannot open them, or the ledger would not take another wrap from `actor`.
        """
        row = await self._row(number)
        if row is None or row.details is None:
            return []
        readers = self._recipients.keys_of_all(parties)
        wanted = [key for key in readers if again or not await self._reads(row, key, actor)]
        made = next((sharer.readers for sharer in row.sharers if sharer.party == actor), 0)
        others = sum(sharer.party != actor for sharer in row.sharers)
        wanted = wanted[: SHARES_OF_ONE_MAX - made] if others < SHARERS_MAX else []
        opened = await self.open(number) if wanted else None
        if opened is None:
            return []
        # A bare key passes on with its own: the participant's would say who it is.
        bare = self._keyring.of_bare(bytes.fromhex(actor)) if len(actor) == 64 else None
        operations = []
        for key in wanted:
            wrap = wrap_later(
                opened.content_key,
                opened.commitment,
                bare or self._keyring.present,
                key,
                os.urandom(NONCE_BYTES),
            )
            if wrap is not None:
                operations.append(
                    ShareDetails(number, wrap.reader, wrap.sealer, wrap.wrapped, wrap.nonce)
                )
        return operations

    async def disclose(
        self, body: TransactionBody, height: int, paths: Sequence[str], position: int | None
    ) -> list[Disclosure]:
        """Items of the details that a transaction commits to, with their proofs.

        Args:
            body: The transaction.
            height: Of the block that applied it.
            paths: Paths of items, as `paths` lists them.
            position: Of the operation; None: the only one that commits to details.

        Raises:
            NotDisclosableError: no such item, or this node cannot open the details.
        """
        found = _sealing(body, position)
        if found is None:
            raise NotDisclosableError("say which operation of the transaction is meant")
        place, operation = found
        number = operation.invoice if isinstance(operation, RequestRedLetter) else operation.number
        try:
            opened = await self._open(number, height, operation.details, operation.blobs)
        except MissingBlobError as error:
            raise NotDisclosableError("this node does not have the details") from error
        if opened is None:
            raise NotDisclosableError("this node cannot open the details")
        places = {path: index for index, (path, _) in enumerate(opened.items)}
        for path in paths:
            if path not in places:
                raise NotDisclosableError(f"the details have no item {path}")
        return [disclose(opened.items, opened.salt, places[path], place) for path in paths]

    async def _row(self, number: str) -> InvoiceRow | None:
        key = number.encode()
        rows = await self._reader.rows(Table.INVOICE, [key])
        return decode_invoice(rows[key]) if key in rows else None

    async def _open(
        self, number: str, height: int, commitment: bytes | None, blobs: Sequence[bytes]
    ) -> Opened | None:
        if commitment is None:
            return None
        for blob_hash in blobs[:1]:  # the details come first; what follows are attachments
            blob = await self._reader.blob(height, blob_hash)
            if blob is None:
                raise MissingBlobError(number)
            return await self._open_sealed(number, commitment, BlobOpener(blob))
        return None

    async def _open_sealed(
        self, number: str, commitment: bytes | None, sealed: BlobOpener
    ) -> Opened | None:
        opened = sealed.open(self._keyring.keys, commitment)
        if opened is not None:
            return opened
        later = await self._later(number)
        return sealed.open(self._keyring.keys, commitment, later) if later else None

    async def _later(self, number: str) -> list[LaterWrap]:
        """The wraps in the state for any of this node's keys."""
        keys = self._keyring.keys
        low, high = len(number), len(number) + READER_BYTES
        rows = await self._reader.scan(Table.SHARE, *share_range(number), _SHARES_READ_MAX)
        found: list[LaterWrap] = []
        for place, value in rows:
            if place[low:high] in keys:
                row = decode_share(value)
                found.append(LaterWrap(place[low:high], row.sealer, row.nonce, row.wrapped))
        return found

    async def _reads(self, row: InvoiceRow, key: bytes, actor: str) -> bool:
        """Whether `key` has a wrap already that an honest party made: in the blob, or ours."""
        if key in self._keyring.keys:
            return True
        shared = row.number.encode() + key + actor.encode()
        if shared in await self._reader.rows(Table.SHARE, [shared]):
            return True
        (sealed,) = await self.blobs_of([row])
        return sealed is not None and key in sealed.readers(row.details)


def _sealing(body: TransactionBody, position: int | None) -> tuple[int, Sealing] | None:
    operations = [_inner(operation) for operation in body.operations]
    found = [
        (place, operation)
        for place, operation in enumerate(operations)
        if isinstance(operation, Sealing)
        and operation.details is not None
        and position in {None, place}
    ]
    return found[0] if len(found) == 1 else None


def _inner(operation: Operation) -> Operation:
    if isinstance(operation, ActForRetired):
        return operation.operation
    if not isinstance(operation, ByKey):
        return operation
    try:
        return decode_operation(operation.operation)
    except MalformedTransactionError:
        return operation

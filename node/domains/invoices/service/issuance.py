"""From drafts to issuing operations: numbers drawn, details sealed.

Owns which number comes next in the participant's segments and who may open the details. The
serials it returns must be durable before a number is shown to anybody; that is the outbox's work.
An outbox that was lost, or put back from an older copy, has forgotten some: the ledger knows all
that were used.
Knows no signature and no network.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence

from node.custody.keyring import Keyring
from node.domains.invoices.details.drafts import InvoiceDraft, RedDraft
from node.following.outcomes import RefusedError
from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.register_rows import SegmentRow, decode_segments, segments_key
from node.ledger.invoices.operations import IssueInvoice, IssueRedLetter
from node.ledger.invoices.rows import decode_invoice
from node.ledger.operations import Operation
from node.sealing.attachments import WaitingFiles, seal_attachment
from node.sealing.format import RANDOM_BYTES, READERS_MAX, BlobSealer, Sealed, details_salt
from node.sealing.recipients import Recipients
from node.storage.ledger_reader import LedgerReader
from node.storage.outbox import Outbox

SEALED_AT_ONCE = 50
"""Invoices sealed before the event loop gets its turn: about 5 ms."""
PARTIES_MAX = 16
"""Parties of a red letter to whom its details are sealed at once; others are let in by sharing."""


_PAGE = 1_024
"""Used numbers that are read at a time."""


class Issuance:
    """Issues for one participant. Callers draw one after another."""

    def __init__(
        self,
        participant: str,
        keyring: Keyring,
        recipients: Recipients,
        outbox: Outbox,
        reader: LedgerReader,
        files: WaitingFiles,
    ) -> None:
        self._participant = participant
        self._keyring = keyring
        self._recipients = recipients
        self._outbox = outbox
        self._reader = reader
        self._files = files
        self._serials: dict[str, int] | None = None
        """The next serial of each segment, by its first number."""
        self._newest: dict[str, int] = {}
        """The last serial of each segment that the ledger showed to be used."""

    async def draw(self, count: int) -> tuple[list[str], list[tuple[str, int]]]:
        """Numbers from the participant's segments, and the serials to keep with them.

        Raises:
            RefusedError: fewer numbers are left.
        """
        if self._serials is None:
            self._serials = await self._outbox.serials()
        segments = await self._segments()
        numbers: list[str] = []
        serials: list[tuple[str, int]] = []
        for segment in segments:
            free, after = await self._free(segment, count - len(numbers))
            if free:
                numbers += [f"{int(segment.first) + serial:020d}" for serial in free]
                serials.append((segment.first, after))
            if len(numbers) == count:
                return numbers, serials
        raise RefusedError(
            Code.NUMBER_NOT_ALLOTTED,
            f"{len(numbers)} numbers are left in this issuer's segments, needed: {count}",
        )

    async def _free(self, segment: SegmentRow, count: int) -> tuple[list[int], int]:
        """At most so many serials of a segment that are free, and the one after them.

        Only where numbers are used beyond the next serial is the ledger asked for each: whoever
        drew them is not remembered here.
        """
        assert self._serials is not None, "loaded by the caller"
        size = int(segment.last) - int(segment.first) + 1
        after = self._serials.get(segment.first, 0)
        newest = await self._newest_used(segment, after)
        free: list[int] = []
        while len(free) < count and after < size:
            page = range(after, min(size, after + _PAGE))
            used = await self._used(segment, page) if after <= newest else ()
            for serial in page:
                after = serial + 1
                if serial not in used:
                    free.append(serial)
                if len(free) == count:
                    break
        return free, after

    async def _newest_used(self, segment: SegmentRow, after: int) -> int:
        """The last serial that the ledger shows to be used, as far as it matters; -1: none.

        Looked up once, and whenever more numbers are used than were drawn.
        """
        first = segment.first
        if first not in self._newest or after < segment.used:
            low, high = first.encode(), segment.last.encode()
            key = await self._reader.last_key(Table.INVOICE, low, high)
            self._newest[first] = -1 if key is None else int(key) - int(first)
        return self._newest[first]

    async def _used(self, segment: SegmentRow, serials: range) -> set[int]:
        base = int(segment.first)
        low, high = (f"{base + end:020d}".encode() for end in (serials.start, serials.stop))
        rows = await self._reader.scan(Table.INVOICE, low, high, _PAGE)
        return {int(key) - base for key, _ in rows}

    def drawn(self, serials: Sequence[tuple[str, int]]) -> None:
        """The numbers drawn are durable and used."""
        assert self._serials is not None, "drawn from before"
        self._serials.update(serials)

    async def operations(
        self, drafts: Sequence[InvoiceDraft | RedDraft], numbers: Sequence[str]
    ) -> tuple[list[Operation], list[bytes]]:
        """One operation a draft, and the sealed blobs that travel with them.

        All details are in the first blob, the files that they name in one each.

        Raises:
            RefusedError: a red letter names an invoice that does not exist.
            AttachmentMissingError: details name a file that was not handed in.
        """
        sealer = self._sealer()
        commitments: list[bytes | None] = []
        files: list[list[bytes]] = []
        for place, draft in enumerate(drafts):
            if place and place % SEALED_AT_ONCE == 0:
                await asyncio.sleep(0)
            commitment, sealed_files = await self._seal(sealer, draft)
            commitments.append(commitment)
            files.append(sealed_files)
        blobs = []
        details_hash = b""
        if any(commitments):
            sealed = sealer.seal()
            details_hash = sealed.blob_hash
            blobs = [sealed.blob, *(file for some in files for file in some)]
        operations = []
        for draft, number, commitment, some in zip(
            drafts, numbers, commitments, files, strict=True
        ):
            hashes = (details_hash, *(hashlib.sha256(file).digest() for file in some))
            operations.append(_operation(draft, number, commitment, hashes))
        return operations, blobs

    async def seal_form(self, number: str, details: bytes) -> tuple[bytes, Sealed]:
        """Details of a red-letter form, sealed to the parties of its invoice and the bureau.

        Returns:
            The commitment to them, and the blob.

        Raises:
            RefusedError: there is no such invoice.
        """
        sealer = self._sealer()
        readers = self._readers_of(await self._parties(number))
        commitment, _ = sealer.add(details, readers, os.urandom(32))
        return commitment, sealer.seal()

    async def _segments(self) -> Sequence[SegmentRow]:
        key = segments_key(self._participant)
        rows = await self._reader.rows(Table.SEGMENTS, [key])
        return decode_segments(rows[key]).segments if key in rows else ()

    def _sealer(self) -> BlobSealer:
        return BlobSealer(self._keyring.present, os.urandom(RANDOM_BYTES))

    async def _seal(
        self, sealer: BlobSealer, draft: InvoiceDraft | RedDraft
    ) -> tuple[bytes | None, list[bytes]]:
        """The commitment to the details, and the blobs of the files that they name."""
        if draft.details is None:
            return None, []
        if isinstance(draft, InvoiceDraft):
            parties = [draft.buyer]
        else:
            parties = await self._parties(draft.invoice)
        salt = details_salt(self._keyring.salt_secret, draft.order)
        commitment, content_key = sealer.add(draft.details, self._readers_of(parties), salt)
        return commitment, [
            seal_attachment(file, content_key, commitment)
            for file in self._files.named_by(draft.details)
        ]

    def _readers_of(self, parties: Sequence[str]) -> list[bytes]:
        """Keys of this node, the first party, the bureaus and the others, as many as fit."""
        parties = [self._participant, parties[0], *self._recipients.bureaus(), *parties[1:]]
        return self._recipients.keys_of_all(parties)[: READERS_MAX - 1]

    async def _parties(self, number: str) -> list[str]:
        """Who reads a red letter of this invoice beside the issuer: all whom it takes from."""
        key = number.encode()
        rows = await self._reader.rows(Table.INVOICE, [key])
        if key not in rows:
            raise RefusedError(Code.UNKNOWN_INVOICE, f"there is no invoice {number}")
        row = decode_invoice(rows[key])
        return [row.buyer, row.issuer, row.holder, *(claim.owner for claim in row.claims)][
            :PARTIES_MAX
        ]


def _operation(
    draft: InvoiceDraft | RedDraft,
    number: str,
    commitment: bytes | None,
    hashes: tuple[bytes, ...],
) -> Operation:
    hashes = () if commitment is None else hashes
    if isinstance(draft, InvoiceDraft):
        return IssueInvoice(
            number=number,
            special=draft.special,
            buyer=draft.buyer,
            currency=draft.currency,
            issue_date=draft.issue_date,
            groups=draft.groups,
            net=draft.net,
            tax=draft.tax,
            gross=draft.gross,
            order=draft.order,
            replaces=draft.replaces,
            details=commitment,
            blobs=hashes,
        )
    return IssueRedLetter(
        invoice=draft.invoice,
        form=draft.form,
        number=number,
        groups=draft.groups,
        net=draft.net,
        tax=draft.tax,
        gross=draft.gross,
        order=draft.order,
        details=commitment,
        blobs=hashes,
    )

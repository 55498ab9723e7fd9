"""From drafts to issuing operations: numbers drawn, details sealed.

Owns which number comes next in the participant's segments and who may open the details. The
serials it returns must be durable before a number is shown to anybody; that is the outbox's work.
Knows no signature and no network.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from node.api.ports import InvoiceDraft, RedDraft, RefusedError
from node.ledger.codes import Code
from node.ledger.genesis import Genesis
from node.ledger.operations import IssueInvoice, IssueRedLetter, Operation
from node.ledger.rows import decode_invoice, decode_segments, segments_key
from node.ledger.types import Role, Table
from node.sealing import RANDOM_BYTES, Sealed, details_salt, seal_details
from node.storage.ledger_reader import LedgerReader
from node.storage.outbox import Outbox


class Issuance:
    """Issues for one participant. Callers draw one after another."""

    def __init__(
        self,
        genesis: Genesis,
        participant: str,
        sealing_key: bytes,
        outbox: Outbox,
        reader: LedgerReader,
    ) -> None:
        self._participant = participant
        self._sealing_key = sealing_key
        self._outbox = outbox
        self._reader = reader
        self._sealing_keys = {p.id: bytes.fromhex(p.sealing_key) for p in genesis.participants}
        self._bureaus = [p.id for p in genesis.participants if Role.TAX_BUREAU in p.role_set]
        self._serials: dict[str, int] | None = None
        """The next serial of each segment, by its first number."""

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
        for first, size in segments:
            start = self._serials.get(first, 0)
            taken = min(size - start, count - len(numbers))
            if taken > 0:
                base = int(first) + start
                numbers += [f"{base + offset:020d}" for offset in range(taken)]
                serials.append((first, start + taken))
            if len(numbers) == count:
                return numbers, serials
        raise RefusedError(
            Code.NUMBER_NOT_ALLOTTED,
            f"{count} numbers are needed, {len(numbers)} are left in the allotted segments",
        )

    def drawn(self, serials: Sequence[tuple[str, int]]) -> None:
        """The numbers drawn are durable and used."""
        assert self._serials is not None, "drawn from before"
        self._serials.update(serials)

    async def operations(
        self, drafts: Sequence[InvoiceDraft | RedDraft], numbers: Sequence[str]
    ) -> tuple[list[Operation], list[bytes]]:
        """One operation a draft, and the sealed blobs that travel with them.

        Raises:
            RefusedError: a red letter names an invoice that does not exist.
        """
        operations: list[Operation] = []
        blobs: list[bytes] = []
        for draft, number in zip(drafts, numbers, strict=True):
            sealed = await self._seal(draft)
            operations.append(_operation(draft, number, sealed))
            if sealed is not None:
                blobs.append(sealed.blob)
        return operations, blobs

    async def _segments(self) -> list[tuple[str, int]]:
        key = segments_key(self._participant)
        rows = await self._reader.rows(Table.SEGMENTS, [key])
        if key not in rows:
            return []
        segments = decode_segments(rows[key]).segments
        return [(s.first, int(s.last) - int(s.first) + 1) for s in segments]

    async def _seal(self, draft: InvoiceDraft | RedDraft) -> Sealed | None:
        if draft.details is None:
            return None
        buyer = draft.buyer if isinstance(draft, InvoiceDraft) else await self._buyer(draft.invoice)
        readers = [self._participant, buyer, *self._bureaus]
        keys = [self._sealing_keys[r] for r in readers if r in self._sealing_keys]
        salt = details_salt(self._sealing_key, draft.order)
        return seal_details(draft.details, keys, salt, os.urandom(RANDOM_BYTES))

    async def _buyer(self, number: str) -> str:
        key = number.encode()
        rows = await self._reader.rows(Table.INVOICE, [key])
        if key not in rows:
            raise RefusedError(Code.UNKNOWN_INVOICE, f"there is no invoice {number}")
        return decode_invoice(rows[key]).buyer


def _operation(draft: InvoiceDraft | RedDraft, number: str, sealed: Sealed | None) -> Operation:
    commitment = None if sealed is None else sealed.commitment
    hashes = () if sealed is None else (sealed.blob_hash,)
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

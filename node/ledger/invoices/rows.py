"""The rows of the state: shapes, keys, encoding. Owns no rule; knows no store.

A row is the canonical MessagePack array of one Struct here (a live transaction is the one
exception: its height in 8 bytes). Fields are only ever appended, with a default, so that a row
written before a facet existed still reads; a row keeps its bytes, and so its place in the digest,
until an operation changes it.

Rows are mutable: rules work on a copy that belongs to one transaction (see `view`). What a row
holds in a tuple is frozen and replaced as a whole, so a shallow copy of a row is a full one.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from operator import attrgetter

import msgspec

from node.ledger.codes import Table
from node.ledger.row_codec import TableKind, encode_row

CLAIMS_MAX = 64
"""Claims, and submissions, that one invoice may carry at a time."""
FORMS_MAX = 64
"""Red-letter forms, open or issued, that one invoice may carry."""
OPEN_FORMS_OF_ONE_SIDE_MAX = 16
"""Open forms of one requester on one invoice: a buyer cannot use up the issuer's room."""
BOOKINGS_MAX = 64
SHARES_OF_ONE_MAX = 64
"""Readers that one party may add to one invoice: nobody uses up another's room."""
SHARERS_MAX = 64
"""Parties that may have added readers to one invoice: the bureau, both sides, and its holders."""

FORM_IDS_MAX = 10_000
"""Highest number that a form or a claim of one invoice may get (operations.FormId, ClaimId)."""

ORDER_KEY_BYTES = 16


class Document(IntEnum):
    """The document facet of an invoice."""

    ISSUED = 0
    PARTLY_CREDITED = 1
    CREDITED = 2
    CANCELLED = 3


class Response(IntEnum):
    """The response facet of an invoice: the buyer's word, or what stands for it."""

    NONE = 0
    RECEIVED = 1
    ACCEPTED = 2
    PARTLY_ACCEPTED = 3
    REJECTED = 4
    DISPUTED = 5
    DEEMED_ACCEPTED = 6


class Use(IntEnum):
    """What the buyer uses a special invoice's tax for."""

    NONE = 0
    DEDUCTED = 1


class FormState(IntEnum):
    """A red-letter form. One that was denied, withdrawn or has lapsed leaves the row."""

    REQUESTED = 0
    CONFIRMED = 1
    ISSUED = 2


class DiscrepancyKind(IntEnum):
    """What the tax bureau found wrong in sealed details."""

    UNREADABLE = 1
    """No sealed bytes, or bytes that do not open to what the invoice commits to."""
    MALFORMED = 2
    """They open, but are no details: a field is missing, unknown or of a wrong form."""
    LINE_AMOUNT = 3
    """A line is not quantity × unit price less its allowance, in the currency's minor unit."""
    NET_MISMATCH = 4
    """Lines − allowances + charges of a rate are not the net of its public group."""
    TAX_MISMATCH = 5
    """The taxes of a rate's lines are too far from the tax of its public group."""
    LINE_OVER_CREDIT = 6
    """A red line takes back more than its original line has left over all red letters."""


class OrderRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.ORDER`, key `order_key(issuer, order)`: what an order id was used for."""

    number: str
    body: bytes
    """SHA-256 of the issuing operation without its number."""


class ShareRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.SHARE`, key `share_key(number, reader, actor)`: a content key for a later reader."""

    sealer: bytes
    nonce: bytes
    wrapped: bytes
    height: int


class DiscrepancyRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.DISCREPANCY`, key `discrepancy_key(number, kind)`. Never removed."""

    number: str
    kind: DiscrepancyKind
    bureau: str
    txid: bytes
    """The transaction that recorded it."""
    recorded_at: int
    """Block time, milliseconds."""
    resolved_at: int = 0
    reason: str = ""
    """Why it was resolved; empty while it is open."""


class GroupRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Totals of one tax rate and what red letters took of them."""

    rate: int
    net: int
    tax: int
    lines: int
    credited_net: int = 0
    credited_tax: int = 0


class OfferRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last offer that was neither signed, refused nor withdrawn; it may have expired."""

    to: str
    expires: int


class SubmissionRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the holder put before a reimburser."""

    to: str
    amount: int
    left: int
    """What of `amount` the reimburser may still claim. A release does not give it back."""


class ClaimRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reimburser's claim. It leaves the row when nothing is locked, paid or owed back."""

    id: int
    owner: str
    locked: int
    """Still locked. Zero: the claim takes no more operations of rows 6 and 7."""
    reimbursed: int
    refund_due: int
    claimed_at: int
    """Block time, milliseconds."""
    booking: str = ""
    payment: str = ""


class BookingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry in a party's books."""

    party: str
    reference: str
    booked_at: int


class ConsentRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The most that a form may take from one claim."""

    claim: int
    locked: int
    reimbursed: int


class FormRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A red-letter form."""

    id: int
    by_issuer: bool
    """Asked for by the issuer; else by the buyer."""
    amount: int
    """Gross."""
    reserved: int
    """Its part of `red_reserved`; zero once issued."""
    reason: int
    state: FormState
    since: int
    """Block time of the request, or of the confirmation, or of the red invoice."""
    consents: tuple[ConsentRow, ...] = ()
    number: str | None = None
    """The red invoice."""
    details: bytes | None = None
    """Commitment to what the requester wants to take back, line by line."""
    blobs: tuple[bytes, ...] = ()
    height: int = 0
    """Of the request, in whose block the blobs travelled."""


class SharerRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How many readers one party has passed the content key on to."""

    party: str
    readers: int


class InvoiceRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.INVOICE`, key: the number in ASCII. Blue, or red (`original` is set).

    A red invoice's amounts are magnitudes of negative amounts; it takes no operation.
    """

    number: str
    issuer: str
    buyer: str
    special: bool
    currency: str
    issue_date: str
    groups: tuple[GroupRow, ...]
    net: int
    tax: int
    gross: int
    order: bytes
    replaces: str | None
    original: str | None
    """Of a red invoice: the blue one that it corrects."""
    details: bytes | None
    blobs: tuple[bytes, ...]
    txid: bytes
    """The transaction that issued it."""
    height: int
    issued_at: int
    """Block time, milliseconds."""
    quota: int
    """Home-currency net charged to the issuer's quota of the month of `issued_at`; of a red
    invoice: what it restored."""

    holder: str
    document: Document = Document.ISSUED
    offer: OfferRow | None = None
    credited: int = 0
    red_reserved: int = 0
    locked: int = 0
    reimbursed: int = 0
    refund_due: int = 0
    submissions: tuple[SubmissionRow, ...] = ()
    claims: tuple[ClaimRow, ...] = ()
    claims_made: int = 0
    """Claims ever made; the next one's id."""
    forms: tuple[FormRow, ...] = ()
    forms_made: int = 0
    """Forms ever opened; the next one's id."""
    bookings: tuple[BookingRow, ...] = ()
    cancelled_at: int = 0
    response: Response = Response.NONE
    responded_at: int = 0
    accepted: int = 0
    """Of a partial acceptance: the amount, gross. Claims stay within it."""
    frozen: str = ""
    """The case that holds the invoice; empty: none."""
    replaced_by: str | None = None
    """The newest invoice that was issued to replace this one."""
    sharers: tuple[SharerRow, ...] = ()
    paid: int = 0
    """Attested, and not owed back. The first of the facets that `encode_invoice` may leave out."""
    payment_refund_due: int = 0
    """Was paid, and is owed back since."""
    used: Use = Use.NONE

    @property
    def red(self) -> bool:
        """Whether this is a red invoice."""
        return self.original is not None

    @property
    def closed(self) -> bool:
        """Cancelled, or credited in full."""
        return self.document >= Document.CREDITED

    @property
    def available(self) -> int:
        """What can still be claimed or credited without anyone's consent (DOMAIN §3)."""
        if self.document is Document.CANCELLED or self.original is not None:
            return 0
        return self.gross - self.credited - self.red_reserved - self.locked - self.reimbursed

    @property
    def claimable(self) -> int:
        """What a reimburser may still lock: the available amount, within what was accepted."""
        if self.response is not Response.PARTLY_ACCEPTED:
            return self.available
        return min(self.available, max(0, self.accepted - self.locked - self.reimbursed))

    @property
    def payable(self) -> int:
        """What is still to be paid; below zero when more was paid than has to be by now."""
        whole = self.gross - self.credited
        if self.response is Response.PARTLY_ACCEPTED:
            whole = min(whole, self.accepted)
        return whole - self.paid

    def open_offer(self, now_ms: int) -> OfferRow | None:
        """The offer, unless it has expired by `now_ms` (block time)."""
        offer = self.offer
        return offer if offer is not None and now_ms <= offer.expires else None


class PaymentRow(msgspec.Struct, array_like=True, gc=False):
    """`Table.PAYMENT`, keys `payment_key(invoice | signer, reference)`: a payment attested."""

    invoice: str
    signer: str
    amount: int
    reference: str
    attested_at: int
    """Block time, milliseconds."""


# --- Keys ------------------------------------------------------------------------------------


def order_key(issuer: str, order: bytes) -> bytes:
    """Key in `Table.ORDER`: 16 bytes. Hashed with the issuer: nobody can use up another's order.

    Who makes two orders that meet here, which 2^64 attempts may find, gets ORDER_CONFLICT.
    """
    return hashlib.sha256(issuer.encode() + order).digest()[:ORDER_KEY_BYTES]


def share_key(number: str, reader: bytes, actor: str) -> bytes:
    """Key in `Table.SHARE`. One row a reader and sharer: nobody overwrites another's."""
    return number.encode() + reader + actor.encode()


def share_range(number: str) -> tuple[bytes, bytes]:
    """The keys in `Table.SHARE` of one invoice: low ≤ key < high. A reader may be any 32 bytes."""
    low = number.encode()
    return low, low[:-1] + bytes((low[-1] + 1,))


def payment_key(scope: str, reference: str) -> bytes:
    """Key in `Table.PAYMENT`: of a reference within an invoice, or within a signer's own.

    A number has 20 characters and a signer 18, so the two cannot meet.
    """
    return hashlib.sha256(scope.encode() + reference.encode()).digest()


def discrepancy_key(number: str, kind: int) -> bytes:
    """Key in `Table.DISCREPANCY`: 21 bytes."""
    return number.encode() + bytes((kind,))


# --- Encoding --------------------------------------------------------------------------------


decode_order = msgspec.msgpack.Decoder(OrderRow).decode
decode_share = msgspec.msgpack.Decoder(ShareRow).decode
decode_payment = msgspec.msgpack.Decoder(PaymentRow).decode
decode_discrepancy = msgspec.msgpack.Decoder(DiscrepancyRow).decode
decode_invoice = msgspec.msgpack.Decoder(InvoiceRow).decode

_STORED_ALWAYS = InvoiceRow.__struct_fields__.index("paid")
_UNTOUCHED = b"\xdc" + _STORED_ALWAYS.to_bytes(2, "big")
"""Header of a MessagePack array of so many items, which has 3 bytes from 16 items on."""
_FACETS = len(InvoiceRow.__struct_fields__) - _STORED_ALWAYS
_facets = attrgetter(*InvoiceRow.__struct_fields__[_STORED_ALWAYS:])


def encode_invoice(row: InvoiceRow) -> bytes:
    """Canonical bytes of an invoice: without the facets from `paid` on while all are untouched.

    So an invoice that no rule of theirs has touched keeps its bytes, and its place in the digest,
    however many facets follow; and most rows stay small. Each of them is zero then, one byte.
    """
    data = encode_row(row)
    if any(_facets(row)):
        return data
    return _UNTOUCHED + data[len(_UNTOUCHED) : -_FACETS]


INVOICES = TableKind(Table.INVOICE, decode_invoice, encode_invoice, followed=True)
PAYMENTS = TableKind(Table.PAYMENT, decode_payment, once=True)
ORDERS = TableKind(Table.ORDER, decode_order, once=True)
SHARES = TableKind(Table.SHARE, decode_share)
DISCREPANCIES = TableKind(Table.DISCREPANCY, decode_discrepancy)

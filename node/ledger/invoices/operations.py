"""The operations on invoices: typed, tagged, canonical. Owns their shapes, not their rules.

The bureau's registers have theirs in `bureau_operations`; they are named here too.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.invoices.bureau.operations import BureauOperation
from node.ledger.invoices.holds.operations import HoldOperation
from node.ledger.operation import Shape
from node.ledger.text import Worded
from node.ledger.types import (
    Amount,
    Code18,
    Currency,
    Date,
    Hash,
    InvoiceNumber,
    PartyRef,
    PositiveAmount,
    PublicKey,
    RateBasisPoints,
    Reason,
    SignedAmount,
    Text64,
    TimeMs,
    WrapNonce,
    WrappedKey,
)

RATE_GROUPS_MAX = 16
CONSENTS_MAX = 16

FormId = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""Number of a red-letter form on its invoice, from 0."""
ClaimId = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
"""Number of a claim on its invoice, from 0."""


class RateGroup(Shape, frozen=True):
    """Totals of the lines of one tax rate. `lines` bounds the rounding: ±1 minor unit a line.

    A group may be negative, as when goods of another rate are taken back; an invoice is not.
    """

    rate: RateBasisPoints
    net: SignedAmount
    tax: SignedAmount
    lines: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


# --- The invoice -----------------------------------------------------------------------------


class IssueInvoice(Shape, frozen=True, tag=10):
    """Issue a blue invoice (DOMAIN §3 row 1). `order` is H(issuer, order id)."""

    number: InvoiceNumber
    special: bool
    buyer: PartyRef
    currency: Currency
    issue_date: Date
    groups: Annotated[tuple[RateGroup, ...], msgspec.Meta(min_length=1, max_length=RATE_GROUPS_MAX)]
    net: Amount
    tax: Amount
    gross: Amount
    order: Hash
    replaces: InvoiceNumber | None
    details: Hash | None
    """Commitment to the sealed details."""
    blobs: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]
    """Hashes of sealed blobs that travel beside the transaction."""


class RespondInvoice(Worded, frozen=True, tag=11):
    """The buyer's word on the invoice (row 2).

    `response`: 1 received, 2 accepted, 3 partly accepted, 4 rejected, 5 disputed. A partial
    acceptance names the gross `amount` that it accepts; every other response names 0.
    """

    invoice: InvoiceNumber
    response: Annotated[int, msgspec.Meta(ge=1, le=5)]
    amount: Amount
    reason: Reason


class LapseResponse(Shape, frozen=True, tag=12):
    """Anyone states that the buyer's term has passed without an answer (row 3)."""

    invoice: InvoiceNumber


class RuleDispute(Worded, frozen=True, tag=13):
    """The tax bureau ends a dispute: accepted, or rejected (row 13)."""

    invoice: InvoiceNumber
    accepted: bool
    reason: Reason


class FreezeInvoice(Worded, frozen=True, tag=14):
    """The tax bureau holds the invoice for a case (row 14)."""

    invoice: InvoiceNumber
    case: Text64


class UnfreezeInvoice(Worded, frozen=True, tag=15):
    """The tax bureau lets the invoice go again (row 14)."""

    invoice: InvoiceNumber
    case: Text64


class ShareDetails(Shape, frozen=True, tag=16):
    """Pass the content key of an invoice's sealed details on to one more reader.

    `reader` and `sealer` are X25519 public keys; `wrapped` is the content key, encrypted for that
    pair (`node.sealing.format`). Whether it opens anything, only the reader can tell.
    """

    invoice: InvoiceNumber
    reader: PublicKey
    sealer: PublicKey
    wrapped: WrappedKey
    nonce: WrapNonce


class RecordDiscrepancy(Shape, frozen=True, tag=17):
    """The tax bureau states what is wrong in an invoice's sealed details: `DiscrepancyKind`."""

    invoice: InvoiceNumber
    kind: Annotated[int, msgspec.Meta(ge=1, le=6)]


class ResolveDiscrepancy(Worded, frozen=True, tag=18):
    """The tax bureau closes a discrepancy, with its reason."""

    invoice: InvoiceNumber
    kind: Annotated[int, msgspec.Meta(ge=1, le=6)]
    reason: Reason


class OfferInvoice(Shape, frozen=True, tag=20):
    """Offer the invoice to another holder until `expires` (row 4)."""

    invoice: InvoiceNumber
    to: PartyRef
    expires: TimeMs


class SignOffer(Shape, frozen=True, tag=21):
    """The receiver takes the offered invoice (row 4)."""

    invoice: InvoiceNumber


class RefuseOffer(Shape, frozen=True, tag=22):
    """The receiver refuses the offer (row 4)."""

    invoice: InvoiceNumber


class WithdrawOffer(Shape, frozen=True, tag=23):
    """The holder takes the offer back (row 4)."""

    invoice: InvoiceNumber


class SubmitInvoice(Shape, frozen=True, tag=30):
    """The holder submits `amount` to a reimburser (row 5). A later one replaces it; 0 ends it."""

    invoice: InvoiceNumber
    to: PartyRef
    amount: Amount


class ClaimInvoice(Shape, frozen=True, tag=31):
    """The reimburser claims part or all of what was submitted to it: locked += amount (row 5)."""

    invoice: InvoiceNumber
    amount: PositiveAmount


class ReleaseClaim(Shape, frozen=True, tag=32):
    """Give up a lock: locked −= what the claim still locks (row 6)."""

    invoice: InvoiceNumber
    claim: ClaimId


class ReimburseClaim(Worded, frozen=True, tag=33):
    """Pay `amount` of a claim, release the rest of its lock; irreversible (row 7)."""

    invoice: InvoiceNumber
    claim: ClaimId
    amount: PositiveAmount
    booking: Text64
    payment: Text64


class BookInvoice(Worded, frozen=True, tag=40):
    """Enter the invoice in the books of the signer (row 8)."""

    invoice: InvoiceNumber
    reference: Text64


class UnbookInvoice(Worded, frozen=True, tag=41):
    """Take a booking back, with a reason (row 8)."""

    invoice: InvoiceNumber
    reason: Reason


class PayInvoice(Worded, frozen=True, tag=42):
    """The issuer, or a bank, attests that `amount` was paid (row 15)."""

    invoice: InvoiceNumber
    amount: PositiveAmount
    reference: Text64
    """Of the payment."""


class DeductInvoice(Shape, frozen=True, tag=43):
    """The buyer uses the tax of a special invoice (row 17)."""

    invoice: InvoiceNumber


class UndeductInvoice(Shape, frozen=True, tag=44):
    """The buyer takes its deduction back (row 17)."""

    invoice: InvoiceNumber


class CancelInvoice(Worded, frozen=True, tag=50):
    """Cancel a fresh, untouched invoice (row 9)."""

    invoice: InvoiceNumber
    reason: Reason


class RequestRedLetter(Shape, frozen=True, tag=51):
    """Open a red-letter form for `amount` gross (row 10).

    `reason`: 1 issuing error (full only), 2 return, 3 service ended, 4 allowance. The sealed
    details say which lines the requester wants to take back.
    """

    invoice: InvoiceNumber
    amount: PositiveAmount
    reason: Annotated[int, msgspec.Meta(ge=1, le=4)]
    details: Hash | None = None
    blobs: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)] = ()


class ConfirmRedLetter(Shape, frozen=True, tag=52):
    """The counterparty confirms the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class DenyRedLetter(Shape, frozen=True, tag=53):
    """The counterparty denies the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class WithdrawRedLetter(Shape, frozen=True, tag=54):
    """The requester withdraws the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class LapseRedLetter(Shape, frozen=True, tag=55):
    """Anyone closes a form whose term has passed (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class ConsentRedLetter(Shape, frozen=True, tag=56):
    """A reimburser agrees that a form takes from its claim (row 12): locked x, reimbursed y."""

    invoice: InvoiceNumber
    form: FormId
    claim: ClaimId
    locked: Amount
    reimbursed: Amount


class IssueRedLetter(Shape, frozen=True, tag=57):
    """Issue the red invoice of a confirmed form (row 12). Amounts are magnitudes."""

    invoice: InvoiceNumber
    form: FormId
    number: InvoiceNumber
    groups: Annotated[tuple[RateGroup, ...], msgspec.Meta(min_length=1, max_length=RATE_GROUPS_MAX)]
    net: Amount
    tax: Amount
    gross: Amount
    order: Hash
    details: Hash | None
    blobs: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]


RetiredOperation = (
    RequestRedLetter | ConfirmRedLetter | DenyRedLetter | WithdrawRedLetter | IssueRedLetter
)


class ActForRetired(Shape, frozen=True, tag=69):
    """The tax bureau's red letter for an issuer that has retired (DOMAIN §1).

    The operation acts as the issuer; a red invoice's number comes from the bureau's own segment.
    """

    issuer: Code18
    operation: RetiredOperation


InvoiceOperation = (
    RespondInvoice
    | LapseResponse
    | RuleDispute
    | FreezeInvoice
    | UnfreezeInvoice
    | ShareDetails
    | RecordDiscrepancy
    | ResolveDiscrepancy
    | OfferInvoice
    | SignOffer
    | RefuseOffer
    | WithdrawOffer
    | SubmitInvoice
    | ClaimInvoice
    | ReleaseClaim
    | ReimburseClaim
    | BookInvoice
    | UnbookInvoice
    | PayInvoice
    | DeductInvoice
    | UndeductInvoice
    | CancelInvoice
    | RequestRedLetter
    | ConfirmRedLetter
    | DenyRedLetter
    | WithdrawRedLetter
    | LapseRedLetter
    | ConsentRedLetter
    | IssueRedLetter
)
"""Operations on an existing invoice: each has a field `invoice`."""
InvoicesOperation = (
    BureauOperation | HoldOperation | IssueInvoice | InvoiceOperation | ActForRetired
)

"""The operations of a transaction: typed, tagged, canonical. Owns their shapes, not their rules.

The tag is the first element of the encoded array. Tags are never renumbered and never reused.
An operation acts for the transaction's author unless it is wrapped in `ByKey`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.membership import MembershipOperation
from node.ledger.text import Worded
from node.ledger.types import (
    Amount,
    Code18,
    Currency,
    Date,
    Hash,
    InvoiceNumber,
    Month,
    PartyRef,
    PositiveAmount,
    PublicKey,
    RateBasisPoints,
    Reason,
    Signature,
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


class _Operation(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """Base of every operation."""


class RateGroup(_Operation, frozen=True):
    """Totals of the lines of one tax rate. `lines` bounds the rounding: ±1 minor unit a line.

    A group may be negative, as when goods of another rate are taken back; an invoice is not.
    """

    rate: RateBasisPoints
    net: SignedAmount
    tax: SignedAmount
    lines: Annotated[int, msgspec.Meta(ge=1, le=10_000)]


# --- Registers of the tax bureau -------------------------------------------------------------


class AllotSegment(_Operation, frozen=True, tag=1):
    """Allot `count` consecutive numbers from `first` to an issuer."""

    issuer: Code18
    first: InvoiceNumber
    count: Annotated[int, msgspec.Meta(ge=1, le=10**15)]


class GrantQuota(_Operation, frozen=True, tag=2):
    """Set an issuer's net quota of one month, in the home currency, and when it may be used."""

    issuer: Code18
    month: Month
    net: Amount
    valid_from: TimeMs
    valid_to: TimeMs


class PublishTaxRates(_Operation, frozen=True, tag=3):
    """Set the rates in force for one issuer, or for all who have no list of their own."""

    issuer: Code18 | None
    rates: Annotated[tuple[RateBasisPoints, ...], msgspec.Meta(min_length=1, max_length=32)]


class PublishExchangeRate(_Operation, frozen=True, tag=4):
    """Home-currency minor units for 10^6 minor units of `currency`, from `date` on."""

    currency: Currency
    micro: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    date: Date


# --- The invoice -----------------------------------------------------------------------------


class IssueInvoice(_Operation, frozen=True, tag=10):
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


class LapseResponse(_Operation, frozen=True, tag=12):
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


class ShareDetails(_Operation, frozen=True, tag=16):
    """Pass the content key of an invoice's sealed details on to one more reader.

    `reader` and `sealer` are X25519 public keys; `wrapped` is the content key, encrypted for that
    pair (`node.sealing`). Whether it opens anything, only the reader can tell.
    """

    invoice: InvoiceNumber
    reader: PublicKey
    sealer: PublicKey
    wrapped: WrappedKey
    nonce: WrapNonce


class RecordDiscrepancy(_Operation, frozen=True, tag=17):
    """The tax bureau states what is wrong in an invoice's sealed details: `DiscrepancyKind`."""

    invoice: InvoiceNumber
    kind: Annotated[int, msgspec.Meta(ge=1, le=6)]


class ResolveDiscrepancy(Worded, frozen=True, tag=18):
    """The tax bureau closes a discrepancy, with its reason."""

    invoice: InvoiceNumber
    kind: Annotated[int, msgspec.Meta(ge=1, le=6)]
    reason: Reason


class OfferInvoice(_Operation, frozen=True, tag=20):
    """Offer the invoice to another holder until `expires` (row 4)."""

    invoice: InvoiceNumber
    to: PartyRef
    expires: TimeMs


class SignOffer(_Operation, frozen=True, tag=21):
    """The receiver takes the offered invoice (row 4)."""

    invoice: InvoiceNumber


class RefuseOffer(_Operation, frozen=True, tag=22):
    """The receiver refuses the offer (row 4)."""

    invoice: InvoiceNumber


class WithdrawOffer(_Operation, frozen=True, tag=23):
    """The holder takes the offer back (row 4)."""

    invoice: InvoiceNumber


class SubmitInvoice(_Operation, frozen=True, tag=30):
    """The holder submits `amount` to a reimburser (row 5). A later one replaces it; 0 ends it."""

    invoice: InvoiceNumber
    to: PartyRef
    amount: Amount


class ClaimInvoice(_Operation, frozen=True, tag=31):
    """The reimburser claims part or all of what was submitted to it: locked += amount (row 5)."""

    invoice: InvoiceNumber
    amount: PositiveAmount


class ReleaseClaim(_Operation, frozen=True, tag=32):
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


class CancelInvoice(Worded, frozen=True, tag=50):
    """Cancel a fresh, untouched invoice (row 9)."""

    invoice: InvoiceNumber
    reason: Reason


class RequestRedLetter(_Operation, frozen=True, tag=51):
    """Open a red-letter form for `amount` gross (row 10).

    `reason`: 1 issuing error (full only), 2 return, 3 service ended, 4 allowance. The sealed
    details say which lines the requester wants to take back.
    """

    invoice: InvoiceNumber
    amount: PositiveAmount
    reason: Annotated[int, msgspec.Meta(ge=1, le=4)]
    details: Hash | None = None
    blobs: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)] = ()


class ConfirmRedLetter(_Operation, frozen=True, tag=52):
    """The counterparty confirms the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class DenyRedLetter(_Operation, frozen=True, tag=53):
    """The counterparty denies the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class WithdrawRedLetter(_Operation, frozen=True, tag=54):
    """The requester withdraws the form (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class LapseRedLetter(_Operation, frozen=True, tag=55):
    """Anyone closes a form whose term has passed (row 11)."""

    invoice: InvoiceNumber
    form: FormId


class ConsentRedLetter(_Operation, frozen=True, tag=56):
    """A reimburser agrees that a form takes from its claim (row 12): locked x, reimbursed y."""

    invoice: InvoiceNumber
    form: FormId
    claim: ClaimId
    locked: Amount
    reimbursed: Amount


class IssueRedLetter(_Operation, frozen=True, tag=57):
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


class ActForRetired(_Operation, frozen=True, tag=69):
    """The tax bureau's red letter for an issuer that has retired (DOMAIN §1).

    The operation acts as the issuer; a red invoice's number comes from the bureau's own segment.
    """

    issuer: Code18
    operation: RetiredOperation


class ByKey(_Operation, frozen=True, tag=90):
    """An operation of a bare key, carried in any participant's transaction.

    The signature covers `BY_KEY_TAG ‖ network ‖ author ‖ nonce (8 B) ‖ valid-until (8 B) ‖
    operation`, so it cannot be lifted into another transaction.
    """

    key: PublicKey
    signature: Signature
    operation: Annotated[bytes, msgspec.Meta(max_length=8_192)]
    """The canonical encoding of one operation that is not itself `ByKey`."""


RegisterOperation = AllotSegment | GrantQuota | PublishTaxRates | PublishExchangeRate
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
DirectOperation = (
    RegisterOperation | IssueInvoice | InvoiceOperation | MembershipOperation | ActForRetired
)
Operation = DirectOperation | ByKey

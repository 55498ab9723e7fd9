"""Refusal codes: stable integers with a name. Never renumbered, never reused."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """Outcome of a transaction. 0 is applied; everything else changed nothing but its own leaf."""

    OK = 0

    # Transaction and envelope, 1–99. Codes below 20 leave no leaf.
    DUPLICATE = 1
    BAD_SIGNATURE = 2
    WRONG_NETWORK = 3
    UNKNOWN_AUTHOR = 4
    EXPIRED = 5
    VALIDITY_TOO_LONG = 6
    MALFORMED = 7
    BLOB_MISMATCH = 8
    AUTHOR_NOT_ACTIVE = 9
    NOT_PERMITTED = 20
    UNKNOWN_PARTY = 21
    PARTY_SIGNATURE_INVALID = 22
    RULE_FAULT = 23
    """The rules themselves failed over it: a fault of the program, on every node alike."""

    # Every invoice operation, 100–119.
    UNKNOWN_INVOICE = 100
    WRONG_PARTY = 101
    FROZEN = 102
    DOCUMENT_CLOSED = 103
    RED_TAKES_NO_OPERATION = 104
    NOT_FROZEN = 105

    # Issuing, 120–139.
    NUMBER_NOT_ALLOTTED = 120
    NUMBER_USED = 121
    ISSUING_SUSPENDED = 122
    QUOTA_PERIOD = 123
    QUOTA_EXCEEDED = 124
    RATE_NOT_ALLOWED = 125
    TOTALS_MISMATCH = 126
    NOTHING_TO_INVOICE = 127
    ORDER_CONFLICT = 128
    NO_EXCHANGE_RATE = 129
    DATE_INVALID = 130

    # Responses, 140–149.
    RESPONSE_FINAL = 140
    DEADLINE_PASSED = 141
    NOT_DISPUTED = 142
    AMOUNT_INVALID = 143

    # Holder, 150–159.
    NOT_HOLDER = 150
    HAS_CLAIM = 151
    RED_PENDING = 152
    OFFER_EXPIRED = 153
    OFFER_OPEN = 154
    NO_OFFER = 155

    # Claims, 160–179.
    INSUFFICIENT_AVAILABLE = 160
    NOT_SUBMITTED = 161
    NOT_LOCK_OWNER = 162
    LOCK_LAPSED = 163
    UNKNOWN_CLAIM = 164
    CLAIM_CLOSED = 165
    TOO_MANY_CLAIMS = 166
    DISPUTED = 167

    # Booking, 180–189.
    REASON_REQUIRED = 180
    ALREADY_BOOKED = 181
    NOT_BOOKED = 182
    TOO_MANY_BOOKINGS = 183

    # Cancelling and red letters, 190–219.
    USE_RED_LETTER = 190
    OVER_CREDIT = 191
    FULL_ONLY = 192
    NOT_COUNTERPARTY = 193
    FORM_CLOSED = 194
    FORM_LAPSED = 195
    CLAIM_CONSENT_NEEDED = 196
    NOT_CONFIRMED = 197
    UNKNOWN_FORM = 198
    TOO_EARLY = 199
    TOO_MANY_FORMS = 200

    # Registers, 220–239.
    NOT_BUREAU = 220
    SEGMENT_OVERLAP = 221
    TOO_MANY_SEGMENTS = 222
    PERIOD_INVALID = 223
    NOT_HEAD_BUREAU = 224
    NOT_IN_REGION = 225
    TOO_MANY_REGIONS = 226
    ISSUING_STATE = 227
    NOT_REGIONAL_BUREAU = 228

    # Governance, 240–259.
    NOT_GOVERNOR = 240
    UNKNOWN_PROPOSAL = 241
    PROPOSAL_CLOSED = 242
    PROPOSAL_EXPIRED = 243
    ALREADY_VOTED = 244
    TOO_MANY_PROPOSALS = 245
    ALREADY_PROPOSED = 246
    NOT_PROPOSER = 247
    ALREADY_PARTICIPANT = 248
    PARTICIPANT_ID_INVALID = 249
    ROLES_INVALID = 250
    PARTICIPANT_STATE = 251
    BELOW_THRESHOLD = 252

    # Keys, 260–279.
    KEY_SCOPE = 260
    UNKNOWN_KEY = 261
    KEY_EXISTS = 262
    KEY_ENDED = 263
    TOO_MANY_KEYS = 264
    LAST_KEY = 265
    KEY_PROOF_INVALID = 266
    SCOPE_INVALID = 267

    # Shares of sealed details, and discrepancies, 280–299.
    NO_DETAILS = 280
    TOO_MANY_SHARES = 281
    LINE_OVER_CREDIT = 282
    ALREADY_RECORDED = 283
    NO_DISCREPANCY = 284
    DISCREPANCY_RESOLVED = 285


LEAFLESS_MAX = 19
"""Outcomes 1..19 leave no leaf and no txid record (ARCHITECTURE: Formats, Leaf)."""

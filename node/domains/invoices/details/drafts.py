"""An invoice before it has a number. Owns the shapes of drafts, and of what issuing answers."""

from __future__ import annotations

import msgspec

from node.following.outcomes import Submission
from node.ledger.invoices.operations import RateGroup


class InvoiceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A blue invoice before it has a number."""

    order_id: str
    order: bytes
    """H(issuer, order id), 32 bytes."""
    buyer: str
    """Party reference: participant id, or bare public key in hex."""
    special: bool
    currency: str
    issue_date: str
    """YYYY-MM-DD."""
    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int
    replaces: str | None = None
    details: bytes | None = None
    """Canonical JSON (sorted keys, no spaces), to be sealed; at most `DETAILS_BYTES_MAX`."""


class RedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A red invoice of a confirmed form before it has a number. Amounts are magnitudes."""

    invoice: str
    form: int
    order_id: str
    order: bytes
    groups: tuple[RateGroup, ...]
    net: int
    tax: int
    gross: int
    details: bytes | None = None


class Issued(msgspec.Struct, frozen=True):
    """One transaction that issues drafts, all or none."""

    numbers: tuple[str, ...]
    """One per draft, in order; the same again when an Idempotency-Key or order repeats."""
    submission: Submission

"""Terms and limits of the rules of invoices, which the genesis fixes. Owns no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from node.ledger.genesis import DomainTerms, Term

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class InvoicesTerms(DomainTerms, frozen=True):
    """In milliseconds, counted in block time."""

    domain: ClassVar[str] = "invoices"
    meanings: ClassVar[Mapping[str, str]] = {
        "cancel_ms": "an untouched invoice can be cancelled for 24 h",
        "red_confirm_ms": "a red-letter form waits 72 h for the counterparty",
        "red_issue_ms": "a confirmed form must be issued within 72 h",
        "respond_ms": "the buyer responds within 15 days",
        "lock_ms": "a reimburser's lock holds 30 days",
        "offer_ms_max": "an offer is open for at most 30 days",
        "hold_ms_max": "an issuing hold ends by itself within 72 h",
        "uphold_ms_max": "or, upheld by two keys of the bureau, within 30 days",
    }

    cancel_ms: Term = _DAY_MS
    red_confirm_ms: Term = 72 * _HOUR_MS
    red_issue_ms: Term = 72 * _HOUR_MS
    respond_ms: Term = 15 * _DAY_MS
    lock_ms: Term = 30 * _DAY_MS
    offer_ms_max: Term = 30 * _DAY_MS
    hold_ms_max: Term = 72 * _HOUR_MS
    uphold_ms_max: Term = 30 * _DAY_MS

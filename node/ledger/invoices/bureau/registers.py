"""The tax bureau's registers: segments, quota, rates, who may issue (DOMAIN §1, §2). Pure rules.

Also what issuing takes from them: a number, a month's quota, an exchange rate.
"""

from __future__ import annotations

import datetime
from functools import lru_cache

from node.ledger.codes import Code
from node.ledger.invoices.bureau.operations import (
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.bureau.regions import is_allotted, last_of, refuse_outside, runs_over
from node.ledger.invoices.bureau.register_rows import (
    ALLOTMENTS,
    EXCHANGE_RATES,
    EXCHANGE_RATES_MAX,
    QUOTAS,
    RATES_FOR_ALL_KEY,
    SEGMENTS,
    SEGMENTS_MAX,
    TAX_RATES,
    AllotmentRow,
    DatedRateRow,
    ExchangeRateRow,
    QuotaRow,
    SegmentRow,
    SegmentsRow,
    TaxRatesRow,
    allotment_key,
    quota_key,
    segments_key,
)
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.rows import INVOICES
from node.ledger.participants import PARTICIPANTS
from node.ledger.step import Step
from node.ledger.types import Role

MICRO = 1_000_000


# --- Operations of the tax bureau -------------------------------------------------------------


def allot_segment(step: Step, op: AllotSegment) -> Code:
    """Allot numbers that nobody has yet; exhausted segments of the issuer leave its list.

    A bureau may hold a segment too, for the red letters of retired issuers. SEGMENT_OVERLAP also
    when the range would run past the 15 digits of serial, into the numbers of another channel or
    year; NOT_IN_REGION when it is not the actor's to allot.
    """
    refusal = _bureau_for(step, op.issuer, (Role.ISSUER, Role.TAX_BUREAU))
    if refusal:
        return refusal
    last = last_of(op.first, op.count)
    if runs_over(op.first, op.count):
        return Code.SEGMENT_OVERLAP
    refusal = refuse_outside(step, op.first, last)
    if refusal:
        return refusal
    if is_allotted(step, op.first, last):
        return Code.SEGMENT_OVERLAP
    key = segments_key(op.issuer)
    held = step.state[SEGMENTS].get(key)
    kept = () if held is None else tuple(s for s in held.segments if not _exhausted(s))
    if len(kept) >= SEGMENTS_MAX:
        return Code.TOO_MANY_SEGMENTS
    segments = sorted((*kept, SegmentRow(op.first, last)), key=lambda segment: segment.first)
    step.state[SEGMENTS].put(key, SegmentsRow(op.issuer, tuple(segments)))
    step.state[ALLOTMENTS].put(allotment_key(last), AllotmentRow(op.first, last, op.issuer))
    return Code.OK


def grant_quota(step: Step, op: GrantQuota) -> Code:
    """Set a month's quota; what was used of it stays used, also when the new grant is lower."""
    refusal = _bureau_for(step, op.issuer)
    if refusal:
        return refusal
    if op.valid_to <= op.valid_from or not 1 <= op.month % 100 <= 12:
        return Code.PERIOD_INVALID
    key = quota_key(op.issuer, op.month)
    held = step.state[QUOTAS].get(key)
    used = 0 if held is None else held.used
    row = QuotaRow(op.issuer, op.month, op.net, used, op.valid_from, op.valid_to)
    step.state[QUOTAS].put(key, row)
    return Code.OK


def publish_tax_rates(step: Step, op: PublishTaxRates) -> Code:
    """Replace the list of one issuer, or the list of all who have none of their own."""
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if op.issuer is None:
        key = RATES_FOR_ALL_KEY
    else:
        refusal = _bureau_for(step, op.issuer)
        if refusal:
            return refusal
        key = op.issuer.encode()
    step.state[TAX_RATES].put(key, TaxRatesRow(tuple(sorted(set(op.rates)))))
    return Code.OK


def publish_exchange_rate(step: Step, op: PublishExchangeRate) -> Code:
    """Set a currency's rate from a date on; the same date again replaces it.

    Entries older than the one in force are dropped. PERIOD_INVALID for a date that is none, for
    the home currency, or for more entries than the row may hold.
    """
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    if not is_date(op.date) or op.currency == step.home:
        return Code.PERIOD_INVALID
    key = op.currency.encode()
    held = step.state[EXCHANGE_RATES].get(key)
    dated = {} if held is None else {rate.date: rate for rate in held.rates}
    dated[op.date] = DatedRateRow(op.date, op.micro)
    rates = [dated[date] for date in sorted(dated)]
    past = [rate for rate in rates if rate.date <= step.date]
    rates = past[-1:] + rates[len(past) :]
    if len(rates) > EXCHANGE_RATES_MAX:
        return Code.PERIOD_INVALID
    step.state[EXCHANGE_RATES].put(key, ExchangeRateRow(op.currency, tuple(rates)))
    return Code.OK


def suspend_issuing(step: Step, op: SuspendIssuing) -> Code:
    """Stop an issuer's blue invoices, citing the case."""
    return _set_issuing(step, op.issuer, op.case, suspended=True)


def resume_issuing(step: Step, op: ResumeIssuing) -> Code:
    """Let an issuer issue again, citing the case."""
    return _set_issuing(step, op.issuer, op.case, suspended=False)


def _set_issuing(step: Step, issuer: str, case: str, *, suspended: bool) -> Code:
    """ISSUING_STATE when it is so already."""
    refusal = _bureau_for(step, issuer)
    if refusal:
        return refusal
    row = step.state[PARTICIPANTS].edit(issuer.encode())
    assert row is not None, "it was found"
    if row.issuing_suspended is suspended:
        return Code.ISSUING_STATE
    row.issuing_suspended = suspended
    row.issuing_case = case
    return Code.OK


def _bureau_for(step: Step, issuer: str, roles: tuple[Role, ...] = (Role.ISSUER,)) -> Code:
    if not step.has_role(Role.TAX_BUREAU):
        return Code.NOT_BUREAU
    row = step.state[PARTICIPANTS].get(issuer.encode())
    if row is None:
        return Code.UNKNOWN_PARTY
    return Code.OK if any(role in row.roles for role in roles) else Code.NOT_PERMITTED


def _exhausted(segment: SegmentRow) -> bool:
    return segment.used > int(segment.last) - int(segment.first)


# --- What issuing takes -----------------------------------------------------------------------


def take_number(step: Step, number: str) -> Code:
    """Use a number of the author's own segments, once for ever."""
    row = step.state[SEGMENTS].edit(segments_key(step.numbers_of))
    if row is None:
        return Code.NUMBER_NOT_ALLOTTED
    for place, segment in enumerate(row.segments):
        if segment.first <= number <= segment.last:
            if step.state[INVOICES].get(number.encode()) is not None:
                return Code.NUMBER_USED
            taken = SegmentRow(segment.first, segment.last, segment.used + 1)
            segments = list(row.segments)
            segments[place] = taken
            row.segments = tuple(segments)
            return Code.OK
    return Code.NUMBER_NOT_ALLOTTED


def rates_allowed(step: Step, groups: tuple[RateGroup, ...]) -> bool:
    """Whether every rate is in force for the actor: its own list, else the list for all."""
    row = step.state[TAX_RATES].get(step.actor.encode())
    if row is None:
        row = step.state[TAX_RATES].get(RATES_FOR_ALL_KEY)
    if row is None:
        return False
    allowed = row.rates
    for group in groups:  # noqa: SIM110 - a generator costs more than the rest of this
        if group.rate not in allowed:
            return False
    return True


def home_amount(step: Step, currency: str, amount: int) -> int | None:
    """`amount` in the home currency, rounded half up; None when no rate is in force."""
    if currency == step.home:
        return amount
    row = step.state[EXCHANGE_RATES].get(currency.encode())
    micro = None if row is None else row.in_force(step.date)
    return None if micro is None else (amount * micro + MICRO // 2) // MICRO


def charge_quota(step: Step, amount: int) -> Code:
    """Take `amount` from the actor's quota of the block's month."""
    row = step.state[QUOTAS].edit(quota_key(step.actor, step.month))
    if row is None or not row.valid_from <= step.now <= row.valid_to:
        return Code.QUOTA_PERIOD
    if amount > row.granted - row.used:
        return Code.QUOTA_EXCEEDED
    row.used += amount
    return Code.OK


def restore_quota(step: Step, amount: int) -> None:
    """Give `amount`, charged to the actor in this very month, back."""
    row = step.state[QUOTAS].edit(quota_key(step.actor, step.month))
    assert row is not None
    row.used -= amount


@lru_cache(maxsize=1_024)  # a batch is of few days
def is_date(text: str) -> bool:
    """Whether `text` (YYYY-MM-DD by its type) is a day of the calendar."""
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True

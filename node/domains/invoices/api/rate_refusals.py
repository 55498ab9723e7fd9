"""What to say when RATE_NOT_ALLOWED refuses an invoice: which rate, and which are in force.

The ledger's refusal is a code; the list is in the state. It is read after the refusal, so it may be
newer than what the rule saw.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.api.errors import ApiError
from node.api.routing import Api
from node.domains.invoices.details.drafts import InvoiceDraft, RedDraft
from node.domains.invoices.documents.figures import rate_text
from node.ledger.codes import Code, Table
from node.ledger.invoices.bureau.register_rows import RATES_FOR_ALL_KEY, decode_tax_rates


async def with_rates(
    api: Api, drafts: Sequence[InvoiceDraft | RedDraft], error: ApiError
) -> ApiError:
    """The refusal of these drafts; RATE_NOT_ALLOWED with the rates that it is about."""
    place = error.problem.operation
    if error.problem.code != Code.RATE_NOT_ALLOWED.name or place is None or place >= len(drafts):
        return error
    own = api.node.participant.encode()
    rows = await api.node.state_rows(Table.TAX_RATES, [own, RATES_FOR_ALL_KEY])
    row = rows.get(own, rows.get(RATES_FOR_ALL_KEY))
    allowed = () if row is None else decode_tax_rates(row).rates
    wrong = [group.rate for group in drafts[place].groups if group.rate not in allowed]
    if not wrong:  # a list was published in between
        return error
    if row is None:
        in_force = "the tax bureau has published no rates"
    else:
        whose = "this issuer" if own in rows else "all issuers"
        in_force = f"in force for {whose}: {_percent(allowed) or 'none'}"
    error.problem = msgspec.structs.replace(
        error.problem, detail=f"no tax rate in force: {_percent(wrong)}; {in_force}"
    )
    return error


def _percent(rates: Sequence[int]) -> str:
    return ", ".join(map(rate_text, rates))

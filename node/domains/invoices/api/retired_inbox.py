"""What waits for the tax bureau because an issuer has retired: the forms it acts on in its place.

The ledger takes the bureau's red letters for a retired issuer (`ActForRetired`); nothing else of
that issuer is the bureau's to do, and a form that waits for the other side is not.
"""

from __future__ import annotations

from node.api.routing import Api
from node.domains.invoices.index.rows import WaitingKind
from node.ledger.codes import Table
from node.ledger.invoices.rows import FormState, InvoiceRow
from node.ledger.participants import ParticipantState, decode_participant
from node.ledger.types import Role

RETIRED_MAX = 1_000
"""Retired issuers whose forms are shown together, by their ids."""
_PAGE = 500
_END = b"\xff" * 19
"""Past every participant's id."""


async def retired_issuers(api: Api) -> list[str]:
    """For whom this participant acts; nobody unless it is a tax bureau."""
    own = api.node.participant
    rows = await api.node.state_rows(Table.PARTICIPANT, [own.encode()])
    if not any(Role.TAX_BUREAU in decode_participant(row).roles for row in rows.values()):
        return []
    found: list[str] = []
    start = b""
    while len(found) < RETIRED_MAX:
        page = await api.node.state_scan(Table.PARTICIPANT, start, _END, _PAGE)
        for _, value in page:
            row = decode_participant(value)
            if row.state is ParticipantState.RETIRED and row.id != own:
                found.append(row.id)
        if len(page) < _PAGE:
            break
        start = page[-1][0] + b"\0"
    return found[:RETIRED_MAX]


def waits_for_issuer(kind: WaitingKind, reference: int, row: InvoiceRow, own: str) -> bool:
    """Whether an entry of the index is for the issuer of its invoice, and `own` may do it."""
    if own == row.buyer:  # what the bureau does as the buyer, it does for itself
        return False
    form = next((form for form in row.forms if form.id == reference), None)
    if form is None:
        return False
    if kind is WaitingKind.RED_ISSUE:
        return form.state is FormState.CONFIRMED
    asked = kind is WaitingKind.RED_CONFIRMATION and form.state is FormState.REQUESTED
    return asked and not form.by_issuer

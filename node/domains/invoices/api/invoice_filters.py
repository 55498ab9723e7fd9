"""Conditions of the list of invoices that the query index does not keep: read from the state rows.

A page that they thin out ends short, with a cursor, as the list says it may.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from node.api.errors import bad_request
from node.api.requests import query_choice
from node.api.routing import Query
from node.ledger.invoices.rows import InvoiceRow, Response

PARTY_CHARACTERS_MAX = 64
_OPEN = frozenset({Response.NONE, Response.RECEIVED})
_BOOLEANS = ("true", "false")

_PARTIES: Mapping[str, Callable[[InvoiceRow], str]] = {
    "issuer": lambda row: row.issuer,
    "buyer": lambda row: row.buyer,
    "holder": lambda row: row.holder,
}
_FACTS: Mapping[str, Callable[[InvoiceRow], bool]] = {
    "red": lambda row: row.original is not None,
    "unanswered": lambda row: row.original is None and not row.closed and row.response in _OPEN,
}

FILTER_QUERY = (
    Query("issuer", "Its issuer."),
    Query("buyer", "Its buyer."),
    Query("holder", "Its holder now."),
    Query("red", "A red invoice.", {"type": "string", "enum": list(_BOOLEANS)}),
    Query(
        "unanswered",
        "The buyer's final word is still open.",
        {"type": "string", "enum": list(_BOOLEANS)},
    ),
)


class RowFilter:
    """The conditions of one request."""

    def __init__(self, request: web.Request) -> None:
        """Read the conditions.

        Raises:
            ApiError: 400.
        """
        given = {name: query_party(request, name) for name in _PARTIES}
        self._parties = {name: party for name, party in given.items() if party is not None}
        wanted = {name: query_choice(request, name, _BOOLEANS) for name in _FACTS}
        self._facts = {name: text == "true" for name, text in wanted.items() if text is not None}

    @property
    def party(self) -> str | None:
        """A party of every invoice that fits, by which the index can look."""
        return next(iter(self._parties.values()), None)

    def fits(self, row: InvoiceRow) -> bool:
        """Whether a row fits all conditions."""
        return all(_PARTIES[name](row) == party for name, party in self._parties.items()) and all(
            _FACTS[name](row) is wanted for name, wanted in self._facts.items()
        )


def query_party(request: web.Request, name: str) -> str | None:
    """A party reference of the query, or None.

    Raises:
        ApiError: 400.
    """
    party = request.query.get(name)
    if party is not None and not (party.isascii() and len(party) <= PARTY_CHARACTERS_MAX):
        raise bad_request(f"{name} must be a participant id or a public key in hex")
    return party

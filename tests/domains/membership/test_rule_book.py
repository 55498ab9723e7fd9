"""The rule book of membership says what its law says."""

from __future__ import annotations

from node.ledger.membership.law import MEMBERSHIP_LAW
from node.ledger.participants import SCOPE_NAMES
from tests.rule_books import codes, table


def test_it_names_refusals_and_scopes() -> None:
    lines = table("membership")
    for spec in MEMBERSHIP_LAW.operations:
        assert codes(lines[spec.name][-1]) == set(spec.refusals), spec.name
    assert SCOPE_NAMES.keys() <= lines.keys()

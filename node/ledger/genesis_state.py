"""The state before the first block, from the genesis document alone, as the laws say."""

from __future__ import annotations

from node.ledger.codes import Table
from node.ledger.genesis import Genesis
from node.ledger.row_codec import RULES, RULES_KEY, RulesRow
from node.ledger.rulebook import rulebook_of


def genesis_rows(genesis: Genesis) -> list[tuple[Table, bytes, bytes]]:
    """Table, key and value of every initial row: the rules' version, and what each law opens."""
    rules = (RULES, RULES_KEY, RulesRow(genesis.rules_version))
    laws = rulebook_of(genesis.domains).laws
    opening = [rules, *(row for law in laws for row in law.opening(genesis))]
    return [(kind.table, key, kind.encode(row)) for kind, key, row in opening]

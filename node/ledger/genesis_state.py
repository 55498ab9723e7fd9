"""The state before the first block, from the genesis document alone."""

from __future__ import annotations

from node.ledger.codes import Table
from node.ledger.genesis import Genesis, ParticipantDocument
from node.ledger.invoices.rows import RATES_FOR_ALL_KEY, TaxRatesRow
from node.ledger.membership.rows import GOVERNANCE_KEY, GovernanceRow, GovernorRow
from node.ledger.participants import KeyRow, ParticipantRow
from node.ledger.row_codec import RULES_KEY, RulesRow, encode_row
from node.ledger.types import Role


def genesis_rows(genesis: Genesis) -> list[tuple[Table, bytes, bytes]]:
    """Table, key and value of every initial row: rules, governance, participants, tax rates."""
    rates = TaxRatesRow(tuple(sorted(set(genesis.tax_rates))))
    governors = tuple(GovernorRow(governor, True) for governor in sorted(set(genesis.governors)))
    heads = _head_bureaus(genesis)
    return [
        (Table.META, RULES_KEY, encode_row(RulesRow(genesis.rules_version))),
        (Table.META, GOVERNANCE_KEY, encode_row(GovernanceRow(governors, genesis.threshold))),
        (Table.TAX_RATES, RATES_FOR_ALL_KEY, encode_row(rates)),
        *(
            (
                Table.PARTICIPANT,
                participant.id.encode(),
                encode_row(_participant(participant, head=participant.id in heads)),
            )
            for participant in genesis.participants
        ),
    ]


def _head_bureaus(genesis: Genesis) -> frozenset[str]:
    """Founding tax bureaus that govern; all of them when none does."""
    bureaus = [p.id for p in genesis.participants if Role.TAX_BUREAU in p.role_set]
    return frozenset(set(bureaus).intersection(genesis.governors) or bureaus)


def _participant(document: ParticipantDocument, *, head: bool) -> ParticipantRow:
    return ParticipantRow(
        id=document.id,
        name=document.name,
        roles=tuple(sorted(document.role_set)),
        signing_keys=(KeyRow(bytes.fromhex(document.signing_key)),),
        sealing_keys=(KeyRow(bytes.fromhex(document.sealing_key), 0),),
        head_bureau=head,
    )

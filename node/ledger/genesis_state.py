"""The state before the first block, from the genesis document alone."""

from __future__ import annotations

from node.ledger.genesis import Genesis, ParticipantDocument
from node.ledger.rows import (
    RATES_FOR_ALL_KEY,
    RULES_KEY,
    KeyRow,
    ParticipantRow,
    RulesRow,
    TaxRatesRow,
    encode_row,
)
from node.ledger.types import Table


def genesis_rows(genesis: Genesis) -> list[tuple[Table, bytes, bytes]]:
    """Table, key and value of every initial row: rules version, participants, tax rates."""
    rates = TaxRatesRow(tuple(sorted(set(genesis.tax_rates))))
    return [
        (Table.META, RULES_KEY, encode_row(RulesRow(genesis.rules_version))),
        (Table.TAX_RATES, RATES_FOR_ALL_KEY, encode_row(rates)),
        *(
            (Table.PARTICIPANT, participant.id.encode(), encode_row(_participant(participant)))
            for participant in genesis.participants
        ),
    ]


def _participant(document: ParticipantDocument) -> ParticipantRow:
    return ParticipantRow(
        id=document.id,
        name=document.name,
        roles=tuple(sorted(document.role_set)),
        signing_keys=(KeyRow(bytes.fromhex(document.signing_key)),),
        sealing_keys=(KeyRow(bytes.fromhex(document.sealing_key)),),
    )

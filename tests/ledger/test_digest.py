"""LtHash state digest and the rows of the genesis."""

from __future__ import annotations

import hashlib

import pytest
from blake3 import blake3

from node.ledger.codes import Table
from node.ledger.digest import ACCUMULATOR_BYTES, StateDigest, StateDigestError, element
from node.ledger.genesis_state import genesis_rows
from node.ledger.invoices.bureau.register_rows import decode_tax_rates
from node.ledger.participants import decode_participant
from node.ledger.row_codec import decode_rules
from node.ledger.state import RowChange
from node.ledger.types import Role
from tests.ledger.world import BUREAU, PARTICIPANTS, PAYMASTER, key_of, make_genesis


def add(key: bytes, value: bytes, table: Table = Table.INVOICE) -> RowChange:
    return RowChange(table, key, None, value)


def test_an_element_is_the_blake3_stream_of_the_tagged_row() -> None:
    message = (
        b"piaolian/state/v1\n"
        + bytes.fromhex("00000002" + "0008")
        + bytes.fromhex("00000003")
        + b"key"
        + bytes.fromhex("00000005")
        + b"value"
    )
    assert element(Table.INVOICE, b"key", b"value") == blake3(message).digest(length=2_048)


def test_vectors() -> None:
    assert StateDigest().value() == hashlib.sha256(bytes(ACCUMULATOR_BYTES) + bytes(8)).digest()
    one = StateDigest().apply([add(b"key", b"value")])
    two = one.apply([add(b"", b"", Table.META)])
    assert one.rows == 1
    assert [d.value().hex() for d in (StateDigest(), one, two)] == VECTORS


# Computed without numpy, lane by lane.
VECTORS = [
    "d5fe696dc1aa5c0a800bf800ce8fc6e26ab622c7dd7de4b9fd0c304fe4036256",
    "79718f05f34b01898db55b47139ea426deabb04d2ddece4f24d7f58bf52e8c69",
    "f10845bf008f985f64b56f4f2209ff9047fbc5ede5c068f9a0300b9dfe03cbab",
]


def _lanes(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def test_lanes_add_modulo_65536_little_endian() -> None:
    changes = [add(bytes([i]), b"v") for i in range(5)]
    sums = [0] * 1_024
    for change in changes:
        lanes = _lanes(element(change.table, change.key, b"v"))
        sums = [(a + b) % 65_536 for a, b in zip(sums, lanes, strict=True)]
    assert _lanes(StateDigest().apply(changes).accumulator) == sums


def test_order_and_grouping_play_no_part() -> None:
    changes = [add(i.to_bytes(4, "big"), bytes(i)) for i in range(300)]
    whole = StateDigest().apply(changes)
    shuffled = sorted(changes, key=lambda change: hashlib.sha256(change.key).digest())
    parts = StateDigest()
    for start in range(0, 300, 37):
        parts = parts.apply(shuffled[start : start + 37])
    assert parts == whole


def test_replace_and_delete_subtract_the_row_that_was_there() -> None:
    start = StateDigest().apply([add(b"a", b"1"), add(b"b", b"2")])
    replaced = start.apply([RowChange(Table.INVOICE, b"a", b"1", b"9")])
    assert replaced == StateDigest().apply([add(b"b", b"2"), add(b"a", b"9")])
    deleted = replaced.apply([RowChange(Table.INVOICE, b"a", b"9", None)])
    assert deleted == StateDigest().apply([add(b"b", b"2")])


def test_table_key_and_value_are_kept_apart() -> None:
    rows = [
        add(b"ab", b"c"),
        add(b"a", b"bc"),
        add(b"abc", b""),
        add(b"ab", b"c", Table.ORDER),
    ]
    assert len({StateDigest().apply([row]).value() for row in rows}) == len(rows)


def test_an_absent_row_is_fatal() -> None:
    with pytest.raises(StateDigestError):
        StateDigest().apply([RowChange(Table.INVOICE, b"a", None, None)])
    with pytest.raises(StateDigestError):
        StateDigest().apply([RowChange(Table.INVOICE, b"a", b"1", None)])


def test_genesis_rows_hold_rules_rates_and_every_participant() -> None:
    rows = {(table, key): value for table, key, value in genesis_rows(make_genesis())}
    assert len(rows) == 3 + len(PARTICIPANTS)
    assert decode_rules(rows[Table.META, b"rules"]).version == 1
    assert decode_tax_rates(rows[Table.TAX_RATES, b"*"]).rates == (0, 600, 1300)
    bureau = decode_participant(rows[Table.PARTICIPANT, BUREAU.encode()])
    assert (bureau.id, bureau.roles) == (BUREAU, (Role.TAX_BUREAU,))
    assert [key.key for key in bureau.signing_keys] == [key_of(BUREAU)]
    paymaster = decode_participant(rows[Table.PARTICIPANT, PAYMASTER.encode()])
    assert paymaster.roles == (Role.PAYER, Role.REIMBURSER)

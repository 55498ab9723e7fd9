"""Months and days are those of the genesis' offset from UTC: quota, statements, dates."""

from __future__ import annotations

from collections import defaultdict

import pytest
from msgspec.structs import replace

from node.domains.invoices.index.statement_rows import Documents, StatementKind, add_document
from node.ledger.codes import Code
from node.ledger.genesis import GenesisError
from node.ledger.genesis_file import parse_genesis
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota
from tests.ledger.world import (
    BUREAU,
    DAY,
    HOUR,
    MONTH,
    QUOTA,
    SEGMENT_COUNT,
    SEGMENT_FIRST,
    SELLER,
    START,
    World,
    make_genesis,
    make_issue,
    number,
)

END = START + 30 * DAY
"""2026-10-01T00:00:00Z."""


def world_at(offset: int) -> World:
    world = World(replace(make_genesis(), utc_offset_minutes=offset))
    world.ok(
        BUREAU,
        AllotSegment(SELLER, SEGMENT_FIRST, SEGMENT_COUNT),
        GrantQuota(SELLER, MONTH, QUOTA, START - DAY, END + DAY),
    )
    return world


@pytest.mark.parametrize(
    ("offset", "now", "code"),
    [
        (0, END - 1, Code.OK),
        (0, END, Code.QUOTA_PERIOD),
        (480, END - 8 * HOUR - 1, Code.OK),
        (480, END - 8 * HOUR, Code.QUOTA_PERIOD),
        (-60, END, Code.OK),
        (-60, START + HOUR - 1, Code.QUOTA_PERIOD),
        (-60, START + HOUR, Code.OK),
    ],
)
def test_a_month_begins_by_the_network_s_clock(offset: int, now: int, code: Code) -> None:
    world = world_at(offset)
    world.now = now
    assert world.code(SELLER, make_issue(0)) is code


def test_a_cancellation_and_a_restored_quota_look_at_the_same_months() -> None:
    world = world_at(480)
    world.now = END - 8 * HOUR - 1
    world.ok(SELLER, make_issue(0), make_issue(1))
    world.ok(SELLER, ops.CancelInvoice(number(0), "typo"))
    assert world.quota().used == 1_000
    world.later(1)
    assert world.code(SELLER, ops.CancelInvoice(number(1), "typo")) is Code.USE_RED_LETTER


def test_a_red_letter_is_dated_so_too() -> None:
    world = world_at(480)
    world.now = START + 17 * HOUR
    assert world.context().date == "2026-09-02"


def test_a_statement_counts_a_document_in_the_month_that_its_quota_was_charged_to() -> None:
    world = world_at(480)
    world.now = END - 8 * HOUR - 1
    world.ok(SELLER, make_issue(0))
    documents: Documents = defaultdict(list)
    for offset in (0, 480, 481):
        add_document(documents, world.invoice(number(0)), StatementKind.ISSUED, offset)
    assert [month for _, month, _, _ in documents] == [MONTH, MONTH + 1]


TOML = """
[network]
name = "n"
created = "2026-11-01"
home_currency = "CNY"
rules_version = 1
domains = ["membership", "invoices"]
tax_rates = []
governors = ["91440300MA5DA7AE09"]
threshold = 1
utc_offset_minutes = {offset}
[[participant]]
id = "91440300MA5DA7AE09"
name = "a"
roles = ["tax_bureau", "forex", "procuratorate", "court", "market_regulator", "auditor"]
signing_key = "{one}"
sealing_key = "{two}"
[[voter]]
node = "n1"
participant = "91440300MA5DA7AE09"
identity_key = "{three}"
cosign_key = "{four}"
origin_key = "{five}"
"""


def document(offset: object) -> str:
    keys = {name: f"{place:064x}" for place, name in enumerate(("one", "two", "three", "four"))}
    return TOML.format(offset=offset, five="f" * 64, **keys)


def test_the_genesis_names_the_offset_within_what_clocks_have() -> None:
    assert parse_genesis(document(480)).utc_offset_minutes == 480
    without = document(0).replace("utc_offset_minutes = 0\n", "")
    assert parse_genesis(without).network_id == parse_genesis(document(0)).network_id
    assert parse_genesis(document(480)).network_id != parse_genesis(document(0)).network_id
    for wrong in (-721, 841, '"480"', 1.5):
        with pytest.raises(GenesisError):
            parse_genesis(document(wrong))

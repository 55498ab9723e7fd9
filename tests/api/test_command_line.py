"""Commands against the API: what they send reaches the node and does what it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.api.security import Scope
from node.command import main
from node.domains.invoices.api.invoice_views import DOCUMENT_NAMES, RESPONSE_NAMES
from node.domains.invoices.cli.invoice_list import Answer, State
from node.ledger.codes import Table
from node.ledger.invoices.rows import Response, decode_invoice
from tests.api.client import TOKENS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode, issue
from tests.cli.configs import write_config


@pytest.fixture
def config(api: ApiClient, tmp_path: Path) -> Path:
    tokens = {scope.name.lower(): TOKENS[scope] for scope in (Scope.READ, Scope.OPERATE)}
    return write_config(tmp_path, ISSUER, api.port, tokens)


@pytest.fixture
async def invoices(node: FakeNode) -> None:
    """Seven invoices; their last digit is their place."""
    for place in range(7):
        changes: dict[str, Any] = {"buyer": REIMBURSER} if place == 1 else {}
        operation = issue(f"{place:020}", gross=11_300 + place, **changes)
        await node.submit_operations([operation])
        row = decode_invoice(node.rows[Table.INVOICE, operation.number.encode()])
        if place == 2:
            row.response = Response.DISPUTED
        if place == 4:
            row.holder = REIMBURSER
        if place == 5:
            row.original = "0" * 20
        node.put(row)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "6543210"),
        (("--limit", "2"), "65"),
        (("--state", "issued"), "6543210"),
        (("--state", "cancelled"), ""),
        (("--buyer", REIMBURSER), "1"),
        (("--buyer", REIMBURSER, "--limit", "1"), "1"),
        (("--holder", REIMBURSER), "1"),
        (("--response", "none"), "6543210"),
        (("--response", "disputed"), ""),
        (("--not-frozen",), "6543210"),
        (("--frozen",), ""),
        (("--issuer", ISSUER, "--holder", BUYER), "65320"),
        (("--party", REIMBURSER), "1"),
        (("--red",), "5"),
        (("--blue", "--limit", "3"), "643"),
        (("--unanswered",), "64310"),
        (("--answered",), "52"),
        (("--min-gross", "11305"), "65"),
        (("--from", "2100-01-01"), ""),
        (("--to", "2000-01-01"), ""),
    ],
)
async def test_a_filter_keeps_what_fits(
    config: Path,
    invoices: None,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    words = ["invoice", "list", *arguments, "--json", "--config", str(config)]
    assert await asyncio.to_thread(main, words) == 0
    page = json.loads(capsys.readouterr().out)
    assert "".join(invoice["number"][-1] for invoice in page["invoices"]) == expected


async def test_red_lines_count_from_one(
    config: Path, api: ApiClient, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"description": "Paper", "quantity": "4", "net": 1_000, "rate": 1_300}
    body = {"order_id": "A", "buyer": BUYER, "currency": "CNY", "lines": [line, line, line]}
    number = (await api.post("/v1/invoices?wait=final", body)).json["number"]
    words = ["invoice", "red", "request", number, "--reason", "return", "--config", str(config)]

    assert await asyncio.to_thread(main, [*words, "--line", "1:2", "--line", "3"]) == 0
    ((_, details),) = node.forms.items()
    taken = [(line["original"], line["net"]) for line in json.loads(details)["lines"]]
    assert taken == [(0, 500), (2, 1_000)]

    capsys.readouterr()
    for wrong in ("0", "x", "-1", "", "1_0", ":2"):
        assert await asyncio.to_thread(main, [*words, "--line", wrong]) == 2
        assert "the first is 1" in capsys.readouterr().err
    assert len(node.forms) == 1


def test_the_names_are_those_of_the_api() -> None:
    assert {each.value for each in State} == set(DOCUMENT_NAMES.values())
    assert {each.value for each in Answer} == set(RESPONSE_NAMES.values())

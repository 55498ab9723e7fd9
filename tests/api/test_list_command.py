"""`piaolian invoice list` against the API: each filter reaches the node and does what it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node.api.invoice_views import DOCUMENT_NAMES, RESPONSE_NAMES
from node.api.security import Scope
from node.cli.invoice_list import Answer, State
from node.cli.main import main
from node.keystore import write_private
from node.ledger.rows import Response, decode_invoice
from node.ledger.types import Table
from tests.api.client import TOKENS, ApiClient
from tests.api.fake_node import BUYER, ISSUER, REIMBURSER, FakeNode, issue


@pytest.fixture
def config(api: ApiClient, tmp_path: Path) -> Path:
    write_private(tmp_path / "read.token", TOKENS[Scope.READ].encode())
    file = tmp_path / "node.toml"
    file.write_text(
        f"""
        [node]
        name = "issuer"
        participant = "{ISSUER}"
        network = "network.toml"
        data_dir = "data"
        [keys]
        file = "keys"
        [p2p]
        [api]
        listen = "127.0.0.1:{api.port}"
        token_dir = "."
        """
    )
    return file


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


def test_the_names_are_those_of_the_api() -> None:
    assert {each.value for each in State} == set(DOCUMENT_NAMES.values())
    assert {each.value for each in Answer} == set(RESPONSE_NAMES.values())

"""The face of an invoice over HTTP: format, language, and what each reader sees."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import msgspec
import pytest

from node.api.config import ApiConfig
from node.api.security import Scope
from node.domains.invoices.api.faces import marks_of
from node.ledger.invoices.rows import Document, FormRow, FormState, InvoiceRow, Response
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, ISSUER, FakeNode, invoice_row, issue
from tests.documents.faces import HOSTILE

NUMBER = "26310000000000000042"
TXID = bytes(range(32))
PATH = f"/v1/invoices/{NUMBER}/face"
DETAILS = {
    "seller": {"name": "晨光纸业", "bank": "招商银行", "contact": "王小明"},
    "buyer": {"name": HOSTILE, "tax_id": "91350100M000100Y43"},
    "remarks": "第一行\n第二行",
    "external_number": "SO-1",
    "attachments": [
        {"hash": "aa" * 32, "name": "合同.pdf", "media_type": "application/pdf", "size": 9}
    ],
    "lines": [
        {
            "description": "A4\n纸",
            "quantity": "10",
            "unit_price": "10.50",
            "net": 10_500,
            "rate": 1300,
            "nature": "discounted",
        },
        {"description": "A4 纸", "net": -500, "rate": 1300, "nature": "discount"},
    ],
    "allowances": [
        {"kind": "charge", "net": 100, "rate": 1300, "reason": "运费"},
        {"kind": "allowance", "net": 100, "rate": 1300},
    ],
}


@pytest.fixture
def row(node: FakeNode) -> InvoiceRow:
    """An invoice with details that nobody here can open yet."""
    made = invoice_row(issue(NUMBER, details=bytes(32)), ISSUER, TXID, 0)
    node.put(made)
    return made


def reveal(node: FakeNode, details: object = DETAILS) -> None:
    node.opened[NUMBER] = json.dumps(details, ensure_ascii=False).encode()


async def page(api: ApiClient, query: str = "?lang=en", **options: object) -> str:
    answer = await api.get(PATH + query, **options)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.content.decode()


def words_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


async def test_a_reader_of_the_details_sees_them(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    reveal(node)
    text = words_of(await page(api))
    for part in (
        "晨光纸业",
        "招商银行",
        "&lt;script&gt;",
        f"Tax ID {ISSUER}",
        "A4 纸",
        "10 10.50 105.00 13% 13.65",
        "Discount A4 纸 -5.00 13% -0.65",
        "Charge 运费 1.00 13% 0.13",
        "Allowance -1.00 13% -0.13",
        "第一行 第二行",
        "Document no. SO-1",
        f"合同.pdf · SHA-256 {'aa' * 32}",
        "Drawn by : 王小明",
        "In force",
        f"Transaction {TXID.hex()}",
    ):
        assert part in text, part
    assert row.gross == 11_300


async def test_another_reader_sees_the_public_part_and_that_it_is_all(
    api: ApiClient, row: InvoiceRow
) -> None:
    text = words_of(await page(api))
    assert "The details are sealed for the parties and the tax bureau" in text
    assert "100.00 13% 13.00" in text
    assert "晨光纸业" not in text


async def test_the_claim_key_is_on_the_issuers_own_print_until_the_buyer_moves_it(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    row.buyer = row.holder = node.claim_buyer(row.order)
    row.issuer = node.participant
    node.put(row)
    key = node.claim_key(row.order, row.buyer)
    assert key is not None

    assert key in await page(api, scope=Scope.OPERATE)
    assert key not in await page(api, scope=Scope.READ)
    row.holder = BUYER
    node.put(row)
    assert key not in await page(api, scope=Scope.OPERATE)


async def test_the_face_leads_to_what_was_issued_in_its_place(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    row.replaced_by = "26310000000000000077"
    node.put(row)
    assert "Replaced by invoice no. 26310000000000000077" in words_of(await page(api))


async def test_details_of_a_foreign_shape_are_not_shown(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    for details in ({"lines": "all"}, {"surprise": 1}, [1], "[" * 5_000):
        reveal(node, details)
        text = words_of(await page(api))
        assert "The details have no known shape" in text
        assert "113.00" in text


async def test_an_invoice_without_details_says_so(api: ApiClient, node: FakeNode) -> None:
    node.put(invoice_row(issue(NUMBER), ISSUER, TXID, 0))
    assert "issued without details" in await page(api)


async def test_a_tax_id_that_is_not_the_ledgers_stands_beside_it(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    reveal(node, {"buyer": {"tax_id": "91350100M000100Y99"}, "seller": {"tax_id": ISSUER}})
    text = words_of(await page(api))
    assert f"Tax ID {BUYER} Tax ID as stated 91350100M000100Y99" in text.replace("： ", "")
    assert text.count(ISSUER) == 1


async def test_a_buyer_of_a_bare_key_stays_nameless(api: ApiClient, node: FakeNode) -> None:
    key = "ab" * 32
    node.put(invoice_row(issue(NUMBER, buyer=key), ISSUER, TXID, 0))
    text = words_of(await page(api))
    assert "One-time key, identity not public" in text
    assert key in text


async def test_a_red_letter_is_negative_and_names_its_original(
    api: ApiClient, node: FakeNode
) -> None:
    made = invoice_row(issue(NUMBER, details=bytes(32)), ISSUER, TXID, 0)
    node.put(msgspec.structs.replace(made, original="26310000000000000001"))
    reveal(
        node,
        {"lines": [{"description": "A4", "quantity": "2", "net": 10_000, "rate": 1300}]},
    )
    html = await page(api)
    text = words_of(html)
    assert "Red-letter invoice (ordinary)" in text
    assert "Corrects invoice no. 26310000000000000001" in text
    assert "A4 -2 -100.00 13% -13.00" in text
    assert "负壹佰壹拾叁元整" in text


async def test_format_and_language(api: ApiClient, row: InvoiceRow) -> None:
    for query, accept, kind in (
        ("", None, "text/html"),
        ("", "application/pdf", "application/pdf"),
        ("", "text/html,application/pdf;q=0.5", "text/html"),
        ("?format=pdf", "text/html", "application/pdf"),
        ("?format=html", "application/pdf", "text/html"),
    ):
        headers = {} if accept is None else {"Accept": accept}
        answer = await api.get(PATH + query, headers=headers)
        assert answer.headers["Content-Type"].startswith(kind)
    for query, accept, expected, absent in (
        ("", None, "购买方信息</span> <span", None),
        ("?lang=zh", "en", "购买方信息", "Buyer"),
        ("", "en-GB,en;q=0.9", "Buyer", "购买方信息"),
        ("", "fr, zh-CN;q=0.8", "购买方信息", "Buyer"),
        ("", "fr", "Buyer", None),
    ):
        headers = {} if accept is None else {"Accept-Language": accept}
        html = await page(api, query, headers=headers)
        assert expected in html
        assert absent is None or absent not in html
    for query in ("?format=doc", "?lang=fr"):
        assert (await api.get(PATH + query)).status == 400


async def test_the_pdf_has_a_name_and_the_page_a_policy_that_holds(
    api: ApiClient, row: InvoiceRow
) -> None:
    answer = await api.get(f"{PATH}?format=pdf")
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["Content-Disposition"] == f'inline; filename="invoice-{NUMBER}.pdf"'
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    answer = await api.get(PATH)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'self'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_face_needs_a_token_and_an_invoice(api: ApiClient, row: InvoiceRow) -> None:
    assert (await api.get(PATH, scope=None)).status == 401
    assert (await api.get(PATH, scope=Scope.READ)).status == 200
    for number in ("26310000000000000043", "1", "x" * 20):
        answer = await api.get(f"/v1/invoices/{number}/face")
        assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")


class TestWithAnAddress:
    """A node that strangers can reach."""

    @pytest.fixture
    def config(self) -> ApiConfig:
        return replace(ApiConfig(), public_url="https://fapiao.example.cn")

    async def test_the_code_is_a_link(self, api: ApiClient, node: FakeNode) -> None:
        # The code itself is read in tests/documents; here, that another address is another code.
        node.put(invoice_row(issue(NUMBER), ISSUER, TXID, 0))
        found = re.search(r'<svg viewBox="0 0 (\d+)', await page(api))
        assert found is not None
        assert int(found[1]) >= 57


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["issued"]),
        ({"document": Document.CANCELLED}, ["cancelled"]),
        ({"document": Document.PARTLY_CREDITED, "credited": 5}, ["partly_credited:5"]),
        ({"document": Document.CREDITED, "credited": 11_300}, ["credited:11300"]),
        (
            {"locked": 1, "reimbursed": 2, "refund_due": 3, "red_reserved": 4},
            ["red_reserved:4", "locked:1", "reimbursed:2", "refund_due:3"],
        ),
        ({"frozen": "CASE-1", "locked": 1}, ["frozen", "locked:1"]),
        ({"original": "1" * 20}, ["red_document"]),
        ({"response": Response.REJECTED}, ["rejected"]),
        ({"response": Response.DISPUTED}, ["disputed"]),
    ],
)
def test_marks_tell_every_facet(changes: dict[str, object], expected: list[str]) -> None:
    base = invoice_row(issue(NUMBER), ISSUER, TXID, 1)
    row = msgspec.structs.replace(base, **changes)
    for final in (True, False):
        marks = [
            mark.kind if mark.amount is None else f"{mark.kind}:{mark.amount}"
            for mark in marks_of(row, final=final)
        ]
        assert marks == expected + ([] if final else ["not_final"])


async def test_red_letters_and_replacements_are_named(api: ApiClient, node: FakeNode) -> None:
    made = invoice_row(issue(NUMBER), ISSUER, TXID, 0)
    form = FormRow(0, True, 5, 0, 4, FormState.ISSUED, 1, number="26310000000000000077")
    node.put(msgspec.structs.replace(made, replaces="26310000000000000007", forms=(form,)))
    text = words_of(await page(api))
    assert "Replaces invoice no. 26310000000000000007" in text
    assert "Red-letter invoice no. 26310000000000000077" in text

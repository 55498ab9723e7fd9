"""Our reader beside the official rules of EN 16931: documents with the verdict of the norm's set.

The large file is read where it lies beside the project; what stands here alone is one document of
each kind of rule, made from the examples.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.domains.invoices.cli.upload import Upload
from node.domains.invoices.importing.ubl.breaches import Report
from node.domains.invoices.importing.ubl.codes import is_code
from node.domains.invoices.importing.ubl.exporting import export_ubl
from node.domains.invoices.importing.ubl.mapping import map_ubl
from node.domains.invoices.importing.ubl.native import Group, Public
from node.domains.invoices.importing.ubl.plan import plan_ubl
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.structure import RULE
from node.domains.invoices.importing.ubl.tree import UblError
from node.domains.invoices.importing.ubl.units import unit_code
from node.system.config import NodeConfig
from tests.cli.fake_node import PAYER, FakeNode
from tests.cli.test_upload import config, fake
from tests.importing.documents import added, attribute, broken, canonical, edited, example, mapped

__all__ = ["config", "fake"]  # fixtures

SHARED = Path(__file__).parents[3] / "shared"
OFFICIAL = SHARED / "data" / "en16931" / "rules.jsonl.gz"


def official() -> Iterator[dict[str, Any]]:
    with gzip.open(OFFICIAL, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def rules_of(xml: str) -> set[str]:
    outcome = map_ubl(read_ubl(xml.encode()))
    return {each.rule for each in outcome.breaches} if isinstance(outcome, Report) else set()


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the official verdicts lie beside the project")
def test_every_official_verdict_is_ours() -> None:
    rows = list(official())
    broken_rows = [row for row in rows if row["broken"]]
    unnamed = [row["rule"] for row in broken_rows if row["rule"] not in rules_of(row["xml"])]
    refused = [row["rule"] for row in rows if not row["official"] and rules_of(row["xml"])]
    # Beyond the norm's rules we ask for the structure of UBL 2.1, which those rules do not judge.
    other = [row["rule"] for row in rows if rules_of(row["xml"]) - {RULE} != set(row["official"])]
    assert len(rows) > 500
    assert (unnamed, refused, other) == ([], [], [])


CATEGORY = "cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory"
LINE = "cac:InvoiceLine"


@pytest.mark.parametrize(
    ("rule", "path", "content"),
    [
        ("BR-CL-10", "cac:AccountingCustomerParty/cac:Party",
         '<cac:PartyIdentification><cbc:ID schemeID="9999">1</cbc:ID></cac:PartyIdentification>'),
        ("BR-CL-16", ".", "<cac:PaymentMeans><cbc:PaymentMeansCode>999</cbc:PaymentMeansCode>"
         "</cac:PaymentMeans>"),
        ("BR-CL-22", CATEGORY, "<cbc:TaxExemptionReasonCode>VATEX-X</cbc:TaxExemptionReasonCode>"),
        ("BR-CL-15", f"{LINE}/cac:Item", "<cac:OriginCountry><cbc:IdentificationCode>XX"
         "</cbc:IdentificationCode></cac:OriginCountry>"),
        ("BR-CL-08", ".", "<cbc:Note>#QQQ#x</cbc:Note>"),
        ("UBL-SR-30", f"{LINE}/cac:Price", "<cac:AllowanceCharge><cbc:ChargeIndicator>false"
         "</cbc:ChargeIndicator><cbc:AllowanceChargeReason>a</cbc:AllowanceChargeReason>"
         "<cbc:AllowanceChargeReason>b</cbc:AllowanceChargeReason></cac:AllowanceCharge>"),
        ("UBL-SR-08", ".", "<cac:InvoicePeriod><cbc:StartDate>2026-01-01</cbc:StartDate>"
         "</cac:InvoicePeriod>" * 2),
        ("UBL-SR-24", ".", "<cac:Delivery/>" * 2),
        ("UBL-SR-43", ".", "<cac:AdditionalDocumentReference><cbc:ID>1</cbc:ID>"
         "<cbc:DocumentTypeCode>916</cbc:DocumentTypeCode></cac:AdditionalDocumentReference>"),
        ("UBL-SR-47", ".", "<cac:PaymentMeans><cbc:PaymentMeansCode>10</cbc:PaymentMeansCode>"
         "</cac:PaymentMeans>"),
        ("UBL-SR-48", f"{LINE}/cac:Item", "<cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID>"
         "<cbc:Percent>25</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
         "</cac:ClassifiedTaxCategory>"),
        ("UBL-SR-53", "cac:AccountingCustomerParty/cac:Party",
         "<cac:PartyTaxScheme><cbc:CompanyID>1</cbc:CompanyID></cac:PartyTaxScheme>"),
        ("BR-CO-11", ".", "<cac:AllowanceCharge><cbc:ChargeIndicator>false</cbc:ChargeIndicator>"
         "<cbc:AllowanceChargeReasonCode>95</cbc:AllowanceChargeReasonCode>"
         '<cbc:Amount currencyID="DKK">0.00</cbc:Amount><cac:TaxCategory><cbc:ID>S</cbc:ID>'
         "<cbc:Percent>25</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
         "</cac:TaxCategory></cac:AllowanceCharge>"),
        ("BR-CO-14", ".", '<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">9</cbc:TaxAmount>'
         '<cac:TaxSubtotal><cbc:TaxableAmount currencyID="EUR">9</cbc:TaxableAmount>'
         '<cbc:TaxAmount currencyID="EUR">8</cbc:TaxAmount><cac:TaxCategory><cbc:ID>S</cbc:ID>'
         "<cbc:Percent>25</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
         "</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>"),
        (RULE, "cac:LegalMonetaryTotal", "<cbc:PayableAmout>1</cbc:PayableAmout>"),
        (RULE, LINE, "<cac:Price/>"),
    ],
)  # fmt: skip
def test_a_rule_of_each_kind_is_named(rule: str, path: str, content: str) -> None:
    found = {breach.rule for breach in broken(edited("example4", added(path, content)))}
    assert rule in found


def test_what_ubl_lets_stand_often_is_taken() -> None:
    sub = "<cac:SubInvoiceLine><cbc:ID>1</cbc:ID></cac:SubInvoiceLine>"
    content = edited("example4", added(LINE, sub * 2))
    assert mapped(content).gross == mapped(example("example4")).gross


def test_an_invoice_without_a_term_of_payment_is_valid() -> None:
    content = example("example4").replace(b"<cbc:DueDate>2013-05-10</cbc:DueDate>", b"")
    assert b"DueDate" not in content
    assert mapped(content).net == 400_000


@pytest.mark.parametrize("prefix", ["1A", "XI", "EL"])
def test_countries_of_the_norm_that_iso_does_not_have_may_begin_a_vat_number(prefix: str) -> None:
    content = example("example4").replace(b">DK16356706<", f">{prefix}16356706<".encode())
    assert mapped(content).gross == 467_500


def test_a_unit_outside_the_recommendation_is_refused() -> None:
    path = f"{LINE}/cbc:InvoicedQuantity"
    (found,) = broken(edited("example4", attribute(path, "unitCode", "box")))
    assert found.text == (
        "BR-CL-23: /Invoice/cac:InvoiceLine[1]/cbc:InvoicedQuantity: "
        "'box' is in no code list (unit)"
    )


# --- Files in a document ------------------------------------------------------------------------


def with_file(content: bytes, name: str = "offer.pdf") -> bytes:
    text = base64.b64encode(content).decode()
    reference = (
        "<cac:AdditionalDocumentReference><cbc:ID>offer</cbc:ID><cac:Attachment>"
        f'<cbc:EmbeddedDocumentBinaryObject mimeCode="application/pdf" filename="{name}">{text}'
        "</cbc:EmbeddedDocumentBinaryObject></cac:Attachment></cac:AdditionalDocumentReference>"
    )
    return edited("example4", added(".", reference, 9))


def test_a_file_in_a_document_travels_as_an_attachment_and_comes_back() -> None:
    file = bytes(range(256)) * 1_000
    content = with_file(file)
    (planned,) = plan_ubl(content, for_ledger=True).invoices
    assert planned.files == (file,)
    body = json.loads(planned.body)
    (named,) = body["details"]["attachments"]
    assert (named["name"], named["media_type"], named["size"]) == (
        *("offer.pdf", "application/pdf", 256_000),
    )
    assert len(planned.body) < 30_000
    details = body["details"] | {"lines": body["lines"]}
    public = Public(
        number="26310000000000000001", original=None, issuer="0" * 18, issuer_name="", buyer="",
        buyer_name="", currency="DKK", units=100, issue_date="2026-11-26",
        groups=tuple(Group(g["rate"], g["net"], g["tax"]) for g in body["groups"]),
        net=planned.net, tax=planned.tax, gross=planned.gross,
    )  # fmt: skip
    exported = export_ubl(public, details, {named["hash"]: file})
    assert canonical(exported) == canonical(content)


def test_a_file_is_handed_in_before_the_invoice_that_names_it(
    fake: FakeNode, config: NodeConfig
) -> None:
    plan = plan_ubl(with_file(b"offer"), for_ledger=True)
    summary = Upload(config, plan, PAYER).run()
    assert (summary.accepted, summary.refused) == (1, ())
    assert list(fake.files.values()) == [b"offer"]


def test_a_file_past_the_limit_is_named_with_its_place_and_the_limit() -> None:
    (refusal,) = plan_ubl(with_file(bytes(983_041)), for_ledger=False).refused
    assert refusal.code == "BODY_TOO_LARGE"
    assert refusal.message == (
        "BT-125: /Invoice/cac:AdditionalDocumentReference/cac:Attachment/"
        "cbc:EmbeddedDocumentBinaryObject: the file has 983041 bytes; an attachment has at most "
        "983040"
    )


def test_what_is_no_base64_is_refused() -> None:
    content = with_file(b"abc").replace(base64.b64encode(b"abc"), b"not base64!")
    (refusal,) = plan_ubl(content, for_ledger=False).refused
    assert refusal.message.endswith("is no base64")


# --- Units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "code"),
    [
        *(("box", "XBX"), ("BOX", "XBX"), ("Boxes", "XBX"), ("盒", "XBX"), ("个", "H87")),
        *(("KGM", "KGM"), ("kg", "KGM"), ("\uff4b\uff47", "KGM"), ("pcs.", "H87"), ("", "C62")),
        *(("m²", "MTK"), ("一打半", "ZZ"), ("QQQ", "ZZ")),
    ],
)
def test_units_become_codes_of_the_recommendation(written: str, code: str) -> None:
    assert unit_code(written) == code
    assert is_code("unit", code)


def test_a_unit_that_nobody_knows_stands_beside_its_code() -> None:
    details = {"lines": [{"description": "x", "net": 100, "rate": 1_300, "unit": "一打半",
                          "quantity": "1"}], "buyer": {"country": "CN"}}  # fmt: skip
    public = Public(
        number="26310000000000000001", original=None, issuer="91350100M000100Y43",
        issuer_name="A", buyer="91350100M000100Y43", buyer_name="B", currency="CNY", units=100,
        issue_date="2026-11-26", groups=(Group(1_300, 100, 13),), net=100, tax=13, gross=113,
    )  # fmt: skip
    root = read_ubl(export_ubl(public, details))
    line = root.first(LINE)
    assert line is not None
    quantity = line.first("cbc:InvoicedQuantity")
    assert quantity is not None
    assert quantity.attributes == {"unitCode": "ZZ"}
    assert line.value("cac:Item/cac:AdditionalItemProperty/cbc:Value") == "一打半"


def test_an_export_whose_amounts_the_norm_cannot_say_is_refused() -> None:
    public = Public(
        number="26310000000000000001", original=None, issuer="91350100M000100Y43",
        issuer_name="A", buyer="91350100M000100Y43", buyer_name="B", currency="KWD", units=1_000,
        issue_date="2026-11-26", groups=(Group(0, 1_005, 0),), net=1_005, tax=0, gross=1_005,
    )  # fmt: skip
    with pytest.raises(UblError, match="more than two decimals"):
        export_ubl(public, {})

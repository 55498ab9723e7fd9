"""Documents of invoices that never were UBL: valid by our own reader, and true to the ledger."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.drafting import invoice_draft
from node.domains.invoices.details.totals import DraftError
from node.domains.invoices.importing.ubl.exporting import export_ubl
from node.domains.invoices.importing.ubl.native import Group, Public
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.tree import Node, UblError
from node.domains.invoices.importing.ubl.writing import write_ubl
from node.ledger.currency import MINOR_UNITS
from tests.cli.fake_node import ISSUER, PAYER
from tests.importing.documents import mapped

NUMBER = "26310000000000000001"
BARE_KEY = "ab" * 32


def invoice(
    body: dict[str, Any], original: str | None = None, currency: str = "CNY"
) -> tuple[Public, dict[str, Any]]:
    """What the ledger shows of a body that our API takes, and its details."""
    whole = {"order_id": "1", "buyer": PAYER, "currency": currency} | body
    draft = invoice_draft(InvoiceBody.model_validate_json(json.dumps(whole)), ISSUER, "2026-11-26")
    public = Public(
        number=NUMBER,
        original=original,
        issuer=ISSUER,
        issuer_name="Paper Ltd",
        buyer=draft.buyer,
        buyer_name="Reader Ltd" if draft.buyer == PAYER else draft.buyer,
        currency=currency,
        units=MINOR_UNITS.get(currency, 100),
        issue_date=draft.issue_date,
        groups=tuple(Group(g.rate, g.net, g.tax) for g in draft.groups),
        net=draft.net,
        tax=draft.tax,
        gross=draft.gross,
    )
    return public, json.loads(draft.details or b"{}")


def document(body: dict[str, Any], **more: Any) -> Node:
    """The exported document; it has passed the checks of an import."""
    return read_ubl(export_ubl(*invoice(body, **more)))


LINE = {"description": "Paper", "net": 10_000, "rate": 1_300}
FULL: dict[str, Any] = {
    "lines": [
        LINE | {"quantity": "3", "unit_price": "33.333", "code": "A4", "unit": "KGM", "model": "x"},
        LINE | {"net": -1_000, "quantity": "1", "unit_price": "-10", "nature": "discount"},
        LINE | {"quantity": "7"},
        LINE | {"net": 900, "quantity": "2", "unit_price": "5", "allowance": 100, "rate": 600},
        LINE | {"net": 500, "rate": 0},
    ],
    "allowances": [
        {"kind": "allowance", "net": 500, "rate": 1_300, "reason": "Loyal customer"},
        {"kind": "charge", "net": 200, "rate": 1_300},
    ],
    "details": {
        "seller": {
            "name": "\u7eb8\u4e1a\u516c\u53f8",
            "address": "1 Paper Road",
            "account": "6222 0000",
            "bank": "ICBKCNBJ",
            "phone": "+86 1",
        },
        "buyer": {"name": "Reader", "country": "United Kingdom", "tax_id": "GB123456789"},
        "remarks": "Thank you",
        "due_date": "2026-12-31",
        "payment_terms": "30 days",
        "order_reference": "PO-1",
        "contract_reference": "C-1",
    },
}


def test_what_our_fields_say_is_said_by_their_terms() -> None:
    root = document(FULL)
    said = {
        path: root.value(path)
        for path in (
            "cbc:CustomizationID",
            "cbc:ID",
            "cbc:IssueDate",
            "cbc:DueDate",
            "cbc:InvoiceTypeCode",
            "cbc:Note",
            "cac:OrderReference/cbc:ID",
            "cac:ContractDocumentReference/cbc:ID",
            "cac:PaymentTerms/cbc:Note",
            "cac:PaymentMeans/cac:PayeeFinancialAccount/cbc:ID",
            "cac:LegalMonetaryTotal/cbc:LineExtensionAmount",
            "cac:LegalMonetaryTotal/cbc:AllowanceTotalAmount",
            "cac:LegalMonetaryTotal/cbc:ChargeTotalAmount",
        )
    }
    assert list(said.values()) == [
        "urn:cen.eu:en16931:2017",
        NUMBER,
        "2026-11-26",
        "2026-12-31",
        "380",
        "Thank you",
        "PO-1",
        "C-1",
        "30 days",
        "6222 0000",
        "204.00",
        "5.00",
        "2.00",
    ]
    seller = root.first("cac:AccountingSupplierParty/cac:Party")
    buyer = root.first("cac:AccountingCustomerParty/cac:Party")
    assert seller is not None
    assert buyer is not None
    assert seller.value("cac:PartyLegalEntity/cbc:CompanyID") == ISSUER
    assert seller.value("cac:PostalAddress/cac:Country/cbc:IdentificationCode") == "CN"
    assert buyer.value("cac:PostalAddress/cac:Country/cbc:IdentificationCode") == "GB"
    assert buyer.value("cac:PartyTaxScheme/cbc:CompanyID") == "GB123456789"
    categories = [
        (node.value("cac:TaxCategory/cbc:ID"), node.value("cac:TaxCategory/cbc:Percent"))
        for node in root.all("cac:TaxTotal/cac:TaxSubtotal")
    ]
    assert categories == [("Z", "0"), ("S", "6"), ("S", "13")]


def test_a_price_is_never_negative_and_always_makes_the_lines_amount() -> None:
    lines = [
        (
            line.value("cbc:InvoicedQuantity"),
            line.value("cac:Price/cbc:PriceAmount"),
            line.value("cac:Price/cbc:BaseQuantity"),
            line.value("cbc:LineExtensionAmount"),
        )
        for line in document(FULL).all("cac:InvoiceLine")
    ]
    assert lines == [
        ("3", "33.333", "", "100.00"),
        ("-1", "10", "", "-10.00"),
        ("7", "100.00", "7", "100.00"),
        ("2", "5", "", "9.00"),
        ("1", "5.00", "", "5.00"),
    ]


def test_our_document_imports_as_the_invoice_that_it_is() -> None:
    public, details = invoice(FULL)
    again = mapped(export_ubl(public, details))
    assert again.number == NUMBER
    assert again.order_id == f"invoice/{ISSUER}/{NUMBER}"
    assert PAYER in again.buyer_ids
    head = again.body["details"]
    assert isinstance(head, dict)
    for name in ("remarks", "due_date", "payment_terms", "order_reference", "contract_reference"):
        assert head[name] == details[name]
    lines = again.body["lines"]
    assert isinstance(lines, list)
    assert [line["net"] for line in lines] == [line["net"] for line in details["lines"]]


def test_a_red_invoice_is_a_credit_note_of_its_original() -> None:
    root = document(FULL, original="26310000000000000009")
    assert root.name == "CreditNote"
    assert root.value("cbc:CreditNoteTypeCode") == "381"
    path = "cac:BillingReference/cac:InvoiceDocumentReference/cbc:ID"
    assert root.value(path) == "26310000000000000009"
    assert root.value("cac:PaymentMeans/cbc:PaymentDueDate") == "2026-12-31"
    assert root.first("cac:CreditNoteLine/cbc:CreditedQuantity") is not None


def test_an_invoice_without_lines_has_one_for_each_rate() -> None:
    groups = [{"rate": 600, "net": 100, "tax": 7}, {"rate": 1_300, "net": 1_000}]
    lines = list(document({"groups": groups}).all("cac:InvoiceLine"))
    assert [line.value("cac:Item/cbc:Name") for line in lines] == [
        "Goods and services taxed at 6 %",
        "Goods and services taxed at 13 %",
    ]
    assert [line.value("cbc:LineExtensionAmount") for line in lines] == ["1.00", "10.00"]


@pytest.mark.parametrize(
    ("currency", "text"), [("JPY", "10000"), ("CNY", "100.00"), ("KWD", "10.00")]
)
def test_amounts_have_the_currencys_own_decimals(currency: str, text: str) -> None:
    root = document({"lines": [LINE]}, currency=currency)
    amount = root.first("cac:LegalMonetaryTotal/cbc:TaxExclusiveAmount")
    assert amount is not None
    assert (amount.text, amount.attributes) == (text, {"currencyID": currency})


def test_a_private_buyer_is_named_by_the_details() -> None:
    details = {"buyer": {"name": "Wang", "country": "CN"}}
    root = document({"lines": [LINE], "buyer": BARE_KEY, "details": details})
    name = "cac:AccountingCustomerParty/cac:Party/cac:PartyLegalEntity/cbc:RegistrationName"
    assert root.value(name) == "Wang"


@pytest.mark.parametrize(
    ("buyer", "complaint"),
    [({}, "not stated"), ({"country": "Unspecified"}, "no country: 'Unspecified'")],
)
def test_a_country_that_nobody_stated_is_not_invented(
    buyer: dict[str, str], complaint: str
) -> None:
    details = {"buyer": buyer} if buyer else {"remarks": "x"}
    public, opened = invoice({"lines": [LINE], "buyer": BARE_KEY, "details": details})
    with pytest.raises(UblError, match=complaint):
        export_ubl(public, opened)


@pytest.mark.parametrize(
    ("name", "code"),
    [("EIRE", "IE"), ("USA", "US"), ("RSA", "ZA"), ("France", "FR"), ("Germany", "DE")],
)
def test_a_country_may_be_named(name: str, code: str) -> None:
    root = document({"lines": [LINE], "details": {"buyer": {"country": name}}})
    path = "cac:AccountingCustomerParty/cac:Party/cac:PostalAddress"
    assert root.value(f"{path}/cac:Country/cbc:IdentificationCode") == code


def test_characters_that_xml_cannot_say_are_replaced() -> None:
    root = document({"lines": [LINE]})
    name = root.first("cac:InvoiceLine/cac:Item/cbc:Name")
    assert name is not None
    name.text = "a\x00b\x0bc <&>"
    root = read_ubl(write_ubl(root))
    assert root.value("cac:InvoiceLine/cac:Item/cbc:Name") == "a\ufffdb\ufffdc <&>"


_DECIMALS = st.decimals(-10_000, 10_000, places=3).map(lambda value: format(value, "f"))


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    line: dict[str, Any] = {
        "description": draw(st.text(min_size=1, max_size=5).filter(lambda t: t.isprintable())),
        "net": draw(st.integers(-10_000, 100_000)),
        "rate": draw(st.sampled_from([0, 600, 1_300])),
    }
    if draw(st.booleans()):
        line["quantity"] = draw(_DECIMALS)
    if draw(st.booleans()):
        line["allowance"] = draw(st.integers(-500, 500))
    return line


@settings(max_examples=80, deadline=None)
@given(
    st.lists(lines(), min_size=1, max_size=6),
    st.lists(
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["allowance", "charge"]),
                "net": st.integers(0, 5_000),
                "rate": st.sampled_from([0, 1_300]),
            }
        ),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([None, "26310000000000000009"]),
)
def test_whatever_the_ledger_takes_makes_a_valid_document(
    items: list[dict[str, Any]], allowances: list[dict[str, Any]], original: str | None
) -> None:
    try:
        public, details = invoice({"lines": items, "allowances": allowances}, original)
    except DraftError:
        return
    if public.gross <= 0 or public.net == 0:
        return  # NOTHING_TO_INVOICE on the ledger
    again = mapped(export_ubl(public, details))
    assert (again.net, again.tax, again.gross) == (public.net, public.tax, public.gross)

"""Whole documents: the published examples, what is mapped, and that nothing of one is lost."""

import json
import string
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.domains.invoices.details.bodies import InvoiceBody
from node.domains.invoices.details.details import DETAILS_BYTES_MAX
from node.domains.invoices.details.drafting import invoice_draft
from node.domains.invoices.importing.ubl.exporting import export_ubl, kept_document
from node.domains.invoices.importing.ubl.mapping import UblDocument
from node.domains.invoices.importing.ubl.native import Group, Public
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.residue import residue_of, tree_of
from node.domains.invoices.importing.ubl.tree import Node, UblError
from node.domains.invoices.importing.ubl.values import Document
from node.domains.invoices.importing.ubl.writing import write_ubl
from tests.cli.fake_node import ISSUER, PAYER
from tests.importing.documents import (
    FILES,
    Edit,
    added,
    attribute,
    canonical,
    edited,
    example,
    mapped,
    plain,
    text,
    without,
)

FIGURES = {
    "guide-example1": ("EUR", 22_960, 2_073, 25_033),
    "ubl-tc434-creditnote1": ("EUR", 10_011, 0, 10_011),
    "ubl-tc434-example1": ("EUR", 22_960, 2_073, 25_033),
    "ubl-tc434-example2": ("NOK", 143_650, 36_528, 180_178),
    "ubl-tc434-example3": ("DKK", 170_000, 30_500, 200_500),
    "ubl-tc434-example4": ("DKK", 400_000, 67_500, 467_500),
    "ubl-tc434-example5": ("DKK", 400_000, 67_500, 467_500),
}


def sealed(document: UblDocument) -> dict[str, object]:
    """The details as the issuer's node seals them; the whole body is one that it accepts."""
    body = json.dumps(document.body | {"buyer": PAYER})
    draft = invoice_draft(InvoiceBody.model_validate_json(body), ISSUER, "2026-01-01")
    assert (draft.net, draft.tax, draft.gross) == (document.net, document.tax, document.gross)
    assert draft.details is not None
    details = json.loads(draft.details)
    assert isinstance(details, dict)
    return details


def public(document: UblDocument, original: str | None = None) -> Public:
    """What the ledger shows of an imported document."""
    groups = document.body["groups"]
    assert isinstance(groups, list)
    return Public(
        number="26310000000000000001",
        original=(original or "TOSL1") if document.credit_note else None,
        issuer=ISSUER,
        issuer_name="Paper Ltd",
        buyer=PAYER,
        buyer_name="Reader Ltd",
        currency=document.currency,
        units=100,
        issue_date="2026-01-01",
        groups=tuple(Group(g["rate"], g["net"], g["tax"]) for g in groups),
        net=document.net,
        tax=document.tax,
        gross=document.gross,
    )


def round_trip(content: bytes) -> bytes:
    """Import, seal, open and export."""
    document = mapped(content)
    details = sealed(document)
    shown = public(document)
    files = {file.hash: file.content for file in document.files}
    kept = kept_document(shown, details, files)
    assert kept is not None
    exported = export_ubl(shown, details, files)
    assert exported == write_ubl(tree_of(*kept)), "exported from what was kept"
    return exported


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_passes_and_comes_back_the_same(path: Path) -> None:
    content = path.read_bytes()
    document = mapped(content)
    figures = (document.currency, document.net, document.tax, document.gross)
    assert figures == FIGURES[path.stem]
    assert canonical(round_trip(content)) == canonical(content)


def test_there_are_seven_examples() -> None:
    assert {path.stem for path in FILES} == FIGURES.keys()


def test_what_fits_our_fields_is_in_them() -> None:
    document = mapped(example("example5"))
    details = sealed(document)
    assert document.order_id == "invoice/NL16356706/TOSL110"
    assert details["seller"] == {
        "name": "SellerCompany",
        "tax_id": "NL16356706",
        "address": "Hoofdstraat 4, Om de hoek, 54321, Grootstad, Overijssel",
        "country": "NL",
        "phone": "+3198989898",
        "email": "Anthon@Selco.nl",
        "contact": "Anthon Larsen",
    }
    names = ("external_number", "external_date", "due_date", "order_reference")
    assert [details[name] for name in names] == ["TOSL110", "2013-04-10", "2013-05-10", "PO4711"]
    assert details["contract_reference"] == "2013-05"
    assert details["payment_terms"] == "50% prepaid, 50% within one month"
    assert details["remarks"] == "Ordered through our website#Ordering information"
    allowance = {"kind": "allowance", "net": 15_000, "rate": 2_500, "reason": "Loyal customer"}
    assert details["allowances"] == [
        allowance,
        allowance | {"kind": "charge", "reason": "Packaging"},
    ]
    lines = details["lines"]
    assert isinstance(lines, list)
    assert lines[0] == {
        "code": "JB007",
        "description": "Printing paper",
        "unit": "EA",
        "quantity": "1000",
        "unit_price": "1.00",
        "net": 100_000,
        "rate": 2_500,
        "nature": "normal",
    }
    assert document.buyer_ids[0] == "DK16356607"


def test_categories_of_one_rate_are_one_group_and_a_group_may_be_negative() -> None:
    groups = mapped(example("example2")).body["groups"]
    assert groups == [
        {"rate": 0, "net": -2_500, "tax": 0, "lines": 1},
        {"rate": 1_500, "net": 100, "tax": 15, "lines": 2},
        {"rate": 2_500, "net": 146_050, "tax": 36_513, "lines": 4},
    ]


def test_a_price_that_is_not_the_lines_is_kept_but_is_not_our_unit_price() -> None:
    # Two subscriptions at 800.00 that come to 800.00: the norm has no rule against it.
    content = example("example3")
    lines = sealed(mapped(content))["lines"]
    assert isinstance(lines, list)
    assert [line.get("unit_price") for line in lines] == [None, None]
    assert b"<cbc:PriceAmount" in round_trip(content)


def test_a_price_for_several_units_becomes_the_price_of_one() -> None:
    price = "cac:InvoiceLine[2]/cac:Price"
    content = edited(
        "example4",
        text(f"{price}/cbc:PriceAmount", "0.5"),
        added(price, "<cbc:BaseQuantity>0.1</cbc:BaseQuantity>"),
    )
    lines = sealed(mapped(content))["lines"]
    assert isinstance(lines, list)
    assert lines[1]["unit_price"] == "5"
    assert canonical(round_trip(content)) == canonical(content)


def test_a_credit_note_names_its_original_by_the_order_that_issued_it() -> None:
    reference = (
        "<cac:BillingReference><cac:InvoiceDocumentReference><cbc:ID>A1</cbc:ID>"
        "</cac:InvoiceDocumentReference></cac:BillingReference>"
    )
    document = mapped(edited("creditnote1", added(".", reference, 8)))
    assert document.credit_note
    assert document.original == "invoice/BE0000000196/A1"
    assert mapped(example("creditnote1")).original is None


def test_an_order_id_is_never_longer_than_the_api_takes() -> None:
    document = mapped(edited("example4", text("cbc:ID", "9" * 200)))
    assert len(document.order_id) <= 128
    assert document.order_id != mapped(edited("example4", text("cbc:ID", "9" * 201))).order_id
    long = edited("example4", text("cbc:ID", "9" * 200))
    assert canonical(round_trip(long)) == canonical(long)


CHANGES: list[tuple[str, list[Edit]]] = [
    ("zones", [text("cbc:IssueDate", "2013-04-10+02:00")]),
    ("long name", [text("cac:InvoiceLine/cac:Item/cbc:Name", "€" * 700)]),
    ("notes", [added(".", "<cbc:Note>one</cbc:Note><cbc:Note>two</cbc:Note>", 5)]),
    ("written otherwise", [text("cac:InvoiceLine/cbc:LineExtensionAmount", "+1000.0")]),
    ("empty element", [added(".", "<cbc:AccountingCost/>", 7)]),
    ("line break", [text("cbc:Note", " a\r\nb ")]),
    ("rate", [text("cac:InvoiceLine/cac:Item/cac:ClassifiedTaxCategory/cbc:Percent", "25.00")]),
    ("odd attribute", [attribute("cbc:Note", "languageID", 'de"<&>')]),
    ("no city", [without("cac:AccountingCustomerParty/cac:Party/cac:PostalAddress/cbc:CityName")]),
    (
        "another namespace",
        [
            added(
                ".",
                "<ext:UBLExtensions><ext:UBLExtension><ext:ExtensionContent>"
                "<s:Signature xmlns:s='urn:x' s:Id='a'><s:Value>AA==</s:Value></s:Signature>"
                "</ext:ExtensionContent></ext:UBLExtension></ext:UBLExtensions>",
                0,
            )
        ],
    ),
]


@pytest.mark.parametrize(("_name", "edits"), CHANGES, ids=[name for name, _ in CHANGES])
def test_whatever_a_document_says_comes_back(_name: str, edits: list[Edit]) -> None:
    content = edited("example4", *edits)
    assert canonical(round_trip(content)) == canonical(content)


def test_many_equal_lines_cost_little() -> None:
    def many(root: ET.Element) -> None:
        for _ in range(395):
            root.append(root[-1])

    content = edited(
        "example4",
        many,
        without("cac:TaxTotal"),
        without("cac:LegalMonetaryTotal"),
        added(
            ".",
            """<cac:TaxTotal><cbc:TaxAmount currencyID="DKK">118875.00</cbc:TaxAmount>
            <cac:TaxSubtotal><cbc:TaxableAmount currencyID="DKK">990000.00</cbc:TaxableAmount>
            <cbc:TaxAmount currencyID="DKK">118800.00</cbc:TaxAmount><cac:TaxCategory>
            <cbc:ID>S</cbc:ID><cbc:Percent>12</cbc:Percent>
            <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:TaxCategory></cac:TaxSubtotal>
            <cac:TaxSubtotal><cbc:TaxableAmount currencyID="DKK">1500.00</cbc:TaxableAmount>
            <cbc:TaxAmount currencyID="DKK">375.00</cbc:TaxAmount><cac:TaxCategory>
            <cbc:ID>S</cbc:ID><cbc:Percent>25</cbc:Percent>
            <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:TaxCategory></cac:TaxSubtotal>
            </cac:TaxTotal><cac:LegalMonetaryTotal>
            <cbc:LineExtensionAmount currencyID="DKK">991500.00</cbc:LineExtensionAmount>
            <cbc:TaxExclusiveAmount currencyID="DKK">991500.00</cbc:TaxExclusiveAmount>
            <cbc:TaxInclusiveAmount currencyID="DKK">1110675.00</cbc:TaxInclusiveAmount>
            <cbc:PayableAmount currencyID="DKK">1110675.00</cbc:PayableAmount>
            </cac:LegalMonetaryTotal>""",
        ),
        text("cac:TaxTotal/cbc:TaxAmount", "119175.00"),
    )
    assert canonical(round_trip(content)) == canonical(content)
    residue = json.dumps(sealed(mapped(content))["extensions"])
    assert len(residue) < 8_000 < len(content) / 20
    assert len(json.dumps(sealed(mapped(content)))) < DETAILS_BYTES_MAX / 2


# --- Any tree at all -------------------------------------------------------------------------

_NAMES = st.sampled_from(
    [
        "cbc:ID",
        "cbc:Note",
        "cac:Item",
        "cbc:Name",
        "cac:InvoiceLine",
        "cac:AllowanceCharge",
        "cbc:Amount",
        "cac:Price",
        "cbc:PriceAmount",
        "{urn:x}Thing",
        "{urn:y}Thing",
        "ext:UBLExtension",
    ]
)
_TEXTS = st.sampled_from(
    ["", "1", "2", "=x", "cbc:ID", "GBP", "a < b & c", "\u53d1\u7968", "10.00"]
)
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["unitCode", "currencyID", "xsi:type", "{urn:x}a", "xml:lang"]),
    st.text(string.ascii_letters + "\"'<&", max_size=3) | st.just("GBP"),
    max_size=2,
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 4) -> Node:
    node = Node(draw(_NAMES), attributes=draw(_ATTRIBUTES))
    children = draw(st.lists(trees(depth - 1), max_size=2)) if depth else []
    for child in children:
        node.append(child)
    if not children:
        node.text = draw(_TEXTS)
    return node


@settings(max_examples=80, deadline=None)
@given(st.lists(trees(), max_size=3))
def test_any_tree_comes_back_from_its_residue_and_from_its_bytes(parts: list[Node]) -> None:
    root = Node("Invoice", attributes={"xsi:schemaLocation": "a b"})
    for part in parts:
        root.append(part)
    line = {"net": 1_000, "unit_price": "10.00", "description": "1"}
    allowance = {"kind": "charge", "net": 1_000}
    document = Document("Invoice", "GBP", 100, 1, 1, 2, {"remarks": "1"}, [line], [allowance])
    residue = json.loads(json.dumps(residue_of(root, document)))
    again = tree_of(residue, document)
    assert plain(again) == plain(root)
    assert plain(read_ubl(write_ubl(again))) == plain(root)


DAMAGED: list[object] = [
    None,
    [],
    {},
    {"root": []},
    {"root": "Invoice"},
    {"root": ["Party"]},
    {"root": ["Invoice", 0]},
    {"root": ["Invoice", 0], "shared": [["cbc:ID", 0]]},
    {"root": ["Invoice", 1], "shared": [["cbc:ID", 1], ["cac:Item", 0]]},
    {"root": ["Invoice", "cbc:Unknown"]},
    {"root": ["Invoice", "=text", ["cbc:ID", "=1"]]},
    {"root": ["Invoice", {"a": 1}]},
    {"root": ["Invoice", ["a b", "=1"]]},
    {"root": ["Invoice", ["cbc:ID/><x", "=1"]]},
    {"root": ["Invoice", 2.5]},
    # Each of these holds the one before twice: 2^40 elements.
    {
        "root": ["Invoice", 39],
        "shared": [["cbc:ID"], *(["cac:Item", n, n] for n in range(39))],
    },
]


@pytest.mark.parametrize("residue", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_residue_is_an_error_not_a_crash(residue: object) -> None:
    document = Document("Invoice", "GBP", 100, 1, 1, 2, {}, [], [])
    with pytest.raises(UblError):
        write_ubl(tree_of(residue, document))


@pytest.mark.parametrize("residue", DAMAGED, ids=range(len(DAMAGED)))
def test_with_a_damaged_residue_the_ledgers_own_word_is_exported(residue: object) -> None:
    document = mapped(example("example4"))
    details = sealed(document) | {"extensions": {"ubl": residue}}
    again = mapped(export_ubl(public(document), details))
    assert again.number == "26310000000000000001"
    assert (again.net, again.gross) == (document.net, document.gross)


def test_a_kept_document_that_contradicts_the_ledger_is_not_exported() -> None:
    lie, truth = mapped(example("example5")), mapped(example("example3"))
    details = sealed(truth) | {"extensions": sealed(lie)["extensions"]}
    again = mapped(export_ubl(public(truth), details))
    assert again.number == "26310000000000000001"
    assert again.body["groups"] == truth.body["groups"]

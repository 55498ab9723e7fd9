"""Hostile and broken bytes: refused quickly, with a clear error, and never a crash."""

import random  # noqa: TID251 - seeded
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import pytest

from node.domains.invoices.importing.plan import Plan
from node.domains.invoices.importing.ubl.amounts import decimal
from node.domains.invoices.importing.ubl.mapping import UblDocument, map_ubl
from node.domains.invoices.importing.ubl.plan import plan_ubl
from node.domains.invoices.importing.ubl.reading import read_ubl
from node.domains.invoices.importing.ubl.residue import tree_of
from node.domains.invoices.importing.ubl.tree import (
    BYTES_MAX,
    DEPTH_MAX,
    NAMESPACES,
    NODES_MAX,
    UblError,
)
from node.domains.invoices.importing.ubl.values import Document, Fields
from node.ledger.currency import minor_units
from tests.importing.documents import FILES, example, plain

INVOICE = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
HEAD = f'<Invoice xmlns="{INVOICE}" xmlns:b="{CBC}">'
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE Invoice [<!ENTITY l0 "ha">{LAUGHS}]>{HEAD}&l11;</Invoice>',
    "external entity": f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>{HEAD}&e;</Invoice>',
    "external DTD": f'<!DOCTYPE Invoice SYSTEM "http://127.0.0.1:9/x.dtd">{HEAD}</Invoice>',
    "parameter entity": f'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///x">%p;]>{HEAD}</Invoice>',
    "deep": HEAD + "<b:ID>" * 100_000 + "</b:ID>" * 100_000 + "</Invoice>",
    "a level too deep": HEAD + "<b:ID>" * DEPTH_MAX + "</b:ID>" * DEPTH_MAX + "</Invoice>",
    "many elements": HEAD + "<b:ID/>" * NODES_MAX + "</Invoice>",
    "large": HEAD + " " * BYTES_MAX + "</Invoice>",
    "text beside elements": f"{HEAD}a<b:ID>1</b:ID></Invoice>",
    "text after elements": f"{HEAD}<b:ID>1</b:ID>a</Invoice>",
    "another document": "<html xmlns='http://www.w3.org/1999/xhtml'/>",
    "another root of UBL": HEAD.replace("Invoice ", "Order ", 1) + "</Order>",
    "no namespace": "<Invoice/>",
    "a part of no namespace": f'{HEAD}<ID xmlns="">1</ID></Invoice>',
    "unbound prefix": f"{HEAD}<c:ID/></Invoice>",
    "cut off": HEAD,
    "nothing": "",
    "no XML": "%PDF-1.7",
    "two roots": f"{HEAD}</Invoice>{HEAD}</Invoice>",
    "unknown encoding": f'<?xml version="1.0" encoding="x-none"?>{HEAD}</Invoice>',
    "multi-byte encoding": f'<?xml version="1.0" encoding="gb18030"?>{HEAD}</Invoice>',
    "attribute twice": f'{HEAD}<b:ID a="1" a="2"/></Invoice>',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_at_once(content: str) -> None:
    begun = time.process_time()
    with pytest.raises(UblError) as refused:
        read_ubl(content.encode())
    assert time.process_time() - begun < 1
    assert 0 < len(str(refused.value)) < 10_000
    assert "root:" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UblError):
        read_ubl(HEAD.encode() + b"\xff\xfe</Invoice>")


def test_the_deepest_document_that_is_read_is_also_kept() -> None:
    # The details nest 32 deep; what is read must fit them.
    inside = "<b:ID>" * (DEPTH_MAX - 2) + "1" + "</b:ID>" * (DEPTH_MAX - 2)
    content = example("example4").decode()
    at = content.index("<cbc:CustomizationID>")
    outer = f'<x:UBLExtensions xmlns:x="{NAMESPACES["ext"]}" xmlns:b="{CBC}">'
    deep = f"{content[:at]}{outer}{inside}</x:UBLExtensions>{content[at:]}"
    assert plan_ubl(deep.encode(), for_ledger=True).invoices


def test_utf_16_is_read_like_utf_8() -> None:
    text = example("example4").decode().replace('encoding="UTF-8"', 'encoding="UTF-16"')
    assert plan_ubl(text.encode("utf-16"), for_ledger=True).invoices


def test_details_that_are_too_large_are_refused_in_the_dry_run_already() -> None:
    note = f"<cbc:Note>{'x' * 300_000}</cbc:Note>".encode()
    content = example("example5").replace(
        b"<cbc:DocumentCurrencyCode>", note + b"<cbc:DocumentCurrencyCode>", 1
    )
    (refusal,) = plan_ubl(content, for_ledger=False).refused
    assert refusal.code == "INVALID_FIELDS"
    assert "larger than 262144 bytes" in refusal.message


ODD_TEXTS = ("", " ", "-1", "0", "1e9", "NaN", "9" * 60, "0.001", "x", "DKK", "\u2028", "a" * 3_000)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """One to three changes: of the tree's elements, or of the bytes."""
    if rng.random() < 0.25:
        return cut(content, rng)
    root = ET.fromstring(content)
    for _ in range(rng.randint(1, 3)):
        parents = [node for node in root.iter() if len(node)]
        leaves = [node for node in root.iter() if not len(node)]
        parent, leaf = rng.choice(parents), rng.choice(leaves)
        match rng.randrange(6):
            case 0:
                leaf.text = rng.choice(ODD_TEXTS)
            case 1:
                leaf.text = rng.choice(leaves).text
            case 2:
                parent.remove(rng.choice(list(parent)))
            case 3:
                parent.append(rng.choice(list(parent)))
            case 4:
                leaf.attrib.clear()
            case _:
                leaf.set(rng.choice(["currencyID", "unitCode", "a"]), rng.choice(ODD_TEXTS))
    return ET.tostring(root)


def cut(content: bytes, rng: random.Random) -> bytes:
    """Bytes changed, left out or doubled."""
    changed = bytearray(content)
    at = rng.randrange(len(changed))
    to = min(len(changed), at + rng.randrange(1, 200))
    match rng.randrange(3):
        case 0:
            changed[at] = rng.randrange(256)
        case 1:
            del changed[at:to]
        case _:
            changed[at:at] = changed[at:to]
    return bytes(changed)


def comes_back(content: bytes) -> None:
    root = read_ubl(content)
    outcome = map_ubl(root)
    assert isinstance(outcome, UblDocument)
    head = cast("Mapping[str, Any]", outcome.body["details"])
    lines, allowances = outcome.body["lines"], outcome.body.get("allowances", [])
    document = Document(
        root.name,
        outcome.currency,
        minor_units(outcome.currency),
        outcome.net,
        outcome.tax,
        outcome.gross,
        head,
        cast("Sequence[Fields]", lines),
        cast("Sequence[Fields]", allowances),
        {file.hash: file.content for file in outcome.files},
    )
    assert plain(tree_of(head["extensions"]["ubl"], document)) == plain(root)


def test_mutated_documents_are_planned_refused_or_unreadable_and_nothing_else() -> None:
    rng = random.Random(16_931)
    originals = [path.read_bytes() for path in FILES]
    outcomes = {"planned": 0, "refused": 0, "unreadable": 0}
    for number in range(300):
        content = mutated(originals[number % len(originals)], rng)
        try:
            plan = plan_ubl(content, for_ledger=True)
        except UblError:
            outcomes["unreadable"] += 1
            continue
        assert isinstance(plan, Plan)
        assert bool(plan.refused) != bool(plan.invoices or plan.cancellations)
        assert all(refusal.code and refusal.row >= 1 for refusal in plan.refused)
        outcomes["refused" if plan.refused else "planned"] += 1
        if plan.invoices:
            comes_back(content)
    assert min(outcomes.values()) > 20, outcomes


def test_only_the_white_space_of_xml_may_stand_around_an_amount() -> None:
    assert decimal("\n\t121.00 ") == Decimal("121.00")
    assert decimal("\u00a0121.00") is None

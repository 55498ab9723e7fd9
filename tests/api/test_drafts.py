"""Business data to drafts: rounding, sums, canonical details."""

from __future__ import annotations

import hashlib
import json
import random  # noqa: TID251 - seeded
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domains.invoices.details.bodies import InvoiceBody, RedIssueBody
from node.domains.invoices.details.details import AllowanceBody, DetailsBody, LineBody
from node.domains.invoices.details.drafting import Original, invoice_draft, order_hash, red_draft
from node.domains.invoices.details.totals import (
    DraftError,
    canonical_details,
    check_line_amount,
    red_totals,
    totals_of_groups,
    totals_of_lines,
)
from node.ledger.invoices.operations import RateGroup
from node.ledger.invoices.tax import tax_half_up

ISSUER = "91350100M000100Y43"
BUYER = "91110000600037341L"


def line(net: int, rate: int = 1_300, **fields: str) -> LineBody:
    return LineBody.model_validate({"description": "d", "net": net, "rate": rate, **fields})


def extended(**fields: object) -> DetailsBody:
    return DetailsBody.model_validate({"extensions": fields})


@pytest.mark.parametrize(
    ("net", "rate", "tax"),
    [(0, 1300, 0), (100, 1300, 13), (50, 100, 1), (49, 100, 0), (150, 100, 2), (1, 10_000, 1)],
)
def test_tax_rounds_half_up(net: int, rate: int, tax: int) -> None:
    assert tax_half_up(net, rate) == tax


def test_tax_agrees_with_decimal() -> None:
    rng = random.Random(5)
    for _ in range(2_000):
        net, rate = rng.randrange(10**15), rng.randrange(10_001)
        exact = Decimal(net) * rate / 10_000
        assert tax_half_up(net, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_lines_add_up_by_rate_with_the_tax_of_each_line() -> None:
    totals = totals_of_lines([line(105), line(105), line(-10), line(333, 600)])

    # 105 × 13 % = 13.65 → 14, twice; −10 × 13 % = −1.3 → −1; 333 × 6 % = 19.98 → 20.
    assert totals.groups == (RateGroup(600, 333, 20, 1), RateGroup(1_300, 200, 27, 3))
    assert (totals.net, totals.tax, totals.gross) == (533, 47, 580)


def test_sums_of_lines_stay_within_one_minor_unit_a_line() -> None:
    rng = random.Random(6)
    for _ in range(300):
        lines = [line(rng.randrange(1, 10_000)) for _ in range(rng.randrange(1, 30))]
        (group,) = totals_of_lines(lines).groups
        assert abs(group.tax - tax_half_up(group.net, group.rate)) <= group.lines


def test_lines_that_add_up_to_less_than_nothing_are_refused() -> None:
    with pytest.raises(DraftError, match="less than nothing"):
        totals_of_lines([line(10), line(-11)])


def test_a_rate_may_be_taken_back_beside_another() -> None:
    returned = line(-25).model_copy(update={"rate": 0, "tax": None})
    totals = totals_of_lines([line(100), returned])
    assert totals.groups[0] == RateGroup(0, -25, 0, 1)
    assert totals.net == 75


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [RateGroup(0, -2, 0, 1), RateGroup(1, 1, 0, 1)],
        [RateGroup(1, 1, 0, 1), RateGroup(1, 1, 0, 1)],
        [RateGroup(n, 1, 0, 1) for n in range(17)],
        [RateGroup(0, 10**15, 1, 1)],
        [RateGroup(0, 1, 0, 10_001)],
    ],
)
def test_groups_the_ledger_could_not_hold_are_refused(groups: list[RateGroup]) -> None:
    with pytest.raises(DraftError):
        totals_of_groups(groups)


@pytest.mark.parametrize(
    ("quantity", "price", "net", "minor", "fits"),
    [
        ("10", "25.00", 25_000, 100, True),
        ("3", "0.333", 100, 100, True),
        ("3", "0.333", 102, 100, False),
        ("-2", "1.5", -300, 100, True),
        ("1", "500", 500, 1, True),
        ("1", "1.2345678901234", 123, 100, True),
        ("0.0000000000001", "1", 0, 100, True),
    ],
)
def test_a_line_is_quantity_times_unit_price(
    quantity: str, price: str, net: int, minor: int, fits: bool
) -> None:
    body = LineBody.model_construct(
        description="d", net=net, rate=0, quantity=quantity, unit_price=price
    )
    if fits and len(price.partition(".")[2]) <= 13:
        check_line_amount(body, minor, "/lines/0")
    else:
        with pytest.raises(DraftError):
            check_line_amount(body, minor, "/lines/0")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "x", "", "1" * 40])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    body = LineBody.model_construct(description="d", net=1, rate=0, quantity=text, unit_price="1")
    with pytest.raises(DraftError, match="quantity"):
        check_line_amount(body, 100, "/lines/0")


def test_order_hash_is_as_specified() -> None:
    expected = hashlib.sha256(b"piaolian/order/v1\n91350100M000100Y43\nSO 1").digest()

    assert order_hash(ISSUER, "SO 1") == expected


def test_details_are_canonical_whatever_the_order_of_keys() -> None:
    details = DetailsBody.model_validate({"remarks": "票", "extensions": {"b": 1, "a": "票"}})

    assert canonical_details(details) == '{"extensions":{"a":"票","b":1},"remarks":"票"}'.encode()
    assert canonical_details(extended(a=1, b=2)) == canonical_details(extended(b=2, a=1))
    assert canonical_details(DetailsBody()) is None
    assert canonical_details(None) is None


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**53), 2**53)
            | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("aÿ票\U0001f4c4"), inner),
            max_leaves=12,
        ),
        max_size=8,
    )
)
def test_canonical_details_are_compact_json_with_keys_in_order_of_characters(
    foreign: dict[str, Any],
) -> None:
    details = DetailsBody.model_construct(extensions={"_": foreign})
    plain = json.dumps(
        {"extensions": {"_": foreign}}, ensure_ascii=False, separators=(",", ":"), sort_keys=True
    )
    assert canonical_details(details) == plain.encode()


def test_lines_go_to_the_details_with_their_texts() -> None:
    note = DetailsBody(remarks="n")
    encoded = canonical_details(note, [line(5, quantity="1.50", unit_price="0.03")])

    assert encoded == (
        b'{"lines":[{"description":"d","nature":"normal","net":5,"quantity":"1.50","rate":1300,'
        b'"unit_price":"0.03"}],"remarks":"n"}'
    )


def test_allowances_and_charges_of_the_document_change_the_sums() -> None:
    allowances = [
        AllowanceBody(kind="allowance", net=100, rate=1_300),
        AllowanceBody(kind="charge", net=50, rate=600, tax=4),
    ]

    totals = totals_of_lines([line(1_000)], allowances)

    assert totals.groups == (RateGroup(600, 50, 4, 1), RateGroup(1_300, 900, 117, 2))


def test_groups_beside_lines_must_be_their_sums() -> None:
    body = {
        "order_id": "A",
        "buyer": BUYER,
        "currency": "CNY",
        "lines": [{"description": "d", "net": 1_000, "rate": 1_300}],
    }
    good = {**body, "groups": [{"rate": 1_300, "net": 1_000, "tax": 131, "lines": 1}]}
    draft = invoice_draft(InvoiceBody.model_validate(good), ISSUER, "2026-01-01")
    assert (draft.net, draft.tax, draft.gross) == (1_000, 131, 1_131)

    bad = {**body, "groups": [{"rate": 1_300, "net": 1_001}]}
    with pytest.raises(DraftError, match="net amounts by rate"):
        invoice_draft(InvoiceBody.model_validate(bad), ISSUER, "2026-01-01")
    alone = {**good, "allowances": [{"kind": "charge", "net": 1, "rate": 0}]}
    del alone["lines"]
    with pytest.raises(DraftError, match="beside lines"):
        invoice_draft(InvoiceBody.model_validate(alone), ISSUER, "2026-01-01")


@pytest.mark.parametrize(
    "details",
    [
        {"x": 1.0},
        {"x": [{"y": float("nan")}]},
        {"x": 2**53 + 1},
        {"x": -(2**60)},
        {"x": "y" * 270_000},
        {"票" * 90_000: 1},
    ],
)
def test_details_that_other_programs_would_read_differently_are_refused(
    details: dict[str, object],
) -> None:
    with pytest.raises(DraftError):
        canonical_details(extended(**details))


def test_details_are_not_nested_without_end() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(DraftError, match="deep"):
        canonical_details(extended(x=deep))


def test_invoice_from_lines_checks_them_in_the_currency_of_the_invoice() -> None:
    fields = {"order_id": "A", "buyer": BUYER, "kind": "special"}
    yen = InvoiceBody(
        **fields,  # type: ignore[arg-type]
        currency="JPY",
        lines=[line(500, quantity="1", unit_price="500")],
    )
    pounds = InvoiceBody(
        **fields,  # type: ignore[arg-type]
        currency="GBP",
        lines=[line(500, quantity="1", unit_price="500")],
    )

    draft = invoice_draft(yen, ISSUER, "2026-11-23")
    assert (draft.special, draft.issue_date, draft.gross) == (True, "2026-11-23", 565)
    with pytest.raises(DraftError, match="/lines/0/net"):
        invoice_draft(pounds, ISSUER, "2026-11-23")


def test_parts_of_one_rate_are_split_at_that_rate_and_never_pass_what_is_left() -> None:
    rng = random.Random(7)
    for _ in range(300):
        rate, net = rng.randrange(10_001), rng.randrange(1, rng.choice((10, 1_000, 10**9)))
        tax = tax_half_up(net, rate)
        while net + tax > 0:
            gross = net + tax
            amount = rng.randrange(1, gross + 1)
            part = red_totals([RateGroup(rate, net, tax, 9)], gross, amount)
            (group,) = part.groups
            assert part.gross == amount
            assert 0 <= part.net <= net
            assert 0 <= part.tax <= tax
            assert abs(part.tax - tax_half_up(part.net, rate)) <= group.lines
            net, tax = net - part.net, tax - part.tax


def test_a_red_letter_over_everything_takes_the_invoices_own_groups() -> None:
    groups = (RateGroup(600, 100, 6, 1), RateGroup(1_300, 100, 13, 2))
    original = Original("1" * 20, "CNY", groups, 219, 0, 219)

    draft = red_draft(RedIssueBody(order_id="R"), ISSUER, original)

    assert draft.groups == groups
    assert (draft.net, draft.tax, draft.gross) == (200, 19, 219)


def test_a_red_letter_over_another_amount_than_its_form_is_refused() -> None:
    original = Original("1" * 20, "CNY", (RateGroup(1_300, 100, 13, 1),), 113, 0, 113)
    body = RedIssueBody(order_id="R", lines=[line(50)])

    with pytest.raises(DraftError, match="over 113 gross"):
        red_draft(body, ISSUER, original)

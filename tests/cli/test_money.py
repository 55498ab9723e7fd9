"""Sums and rates as people write them, and the same on a real node of the API."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from node.cli.errors import UsageError
from node.cli.money import Sum, major_text, money_text, rate, rate_text, sum_option
from node.domains.invoices.cli.registers import micro_rate, month_bounds
from node.ledger.currency import decimals

PARSE = sum_option(least=1, about="").parser
CURRENCIES = ["CNY", "JPY", "KWD"]


def parsed(text: str) -> Sum:
    assert PARSE is not None
    found = PARSE(text)
    assert isinstance(found, Sum)
    return found


@given(st.integers(1, 10**15), st.sampled_from(CURRENCIES))
def test_a_sum_is_the_same_in_every_spelling(amount: int, currency: str) -> None:
    major = major_text(amount, decimals(currency))
    spellings = [str(amount), f"{major} {currency}", f"{currency} {major}", f"{currency}{major}"]
    if "." in major:
        spellings.append(major)
    assert {parsed(text).minor_in(currency) for text in spellings} == {amount}
    assert parsed(money_text(amount, currency)).minor_in(currency) == amount


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("282.5", "CNY", 28_250),
        ("282", "CNY", 282),
        ("282 CNY", "CNY", 28_200),
        ("282.00", "JPY", 282),
        ("1.2345", "KWD", None),
        ("282.505", "CNY", None),
        ("0.00", "CNY", None),
        ("0 CNY", "CNY", None),
        ("5.00 GBP", "CNY", None),
    ],
)
def test_a_sum_is_exact_and_in_the_currency_that_is_asked_for(
    text: str, currency: str, amount: int | None
) -> None:
    if amount is not None:
        assert parsed(text).minor_in(currency) == amount
        return
    with pytest.raises(UsageError, match=text):
        parsed(text).minor_in(currency)


@pytest.mark.parametrize("text", ["", "1,5", ".5", "5.", "-5", "CNY 5 CNY", "٣.00", "5.00\n", "0"])
def test_what_is_no_sum_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"282\.50|minor unit"):
        parsed(text)


@pytest.mark.parametrize(
    ("text", "points"),
    [("13%", 1_300), ("13 %", 1_300), ("1300", 1_300), ("0.5%", 50), ("0", 0), ("100%", 10_000)],
)
def test_a_rate_is_per_cent_or_basis_points(text: str, points: int) -> None:
    assert rate(text) == points
    assert rate(rate_text(points)) == points


@pytest.mark.parametrize("text", ["13.5", "101%", "10001", "0.125%", "-1%", "13,5%", "%", "13%\n"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"rate|100%"):
        rate(text)


@pytest.mark.parametrize(
    ("month", "offset", "first", "after"),
    [
        ("2026-11", 0, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-12", 480, "2026-11-30T16:00:00Z", "2026-12-31T16:00:00Z"),
        ("2028-02", -720, "2028-02-01T12:00:00Z", "2028-03-01T12:00:00Z"),
    ],
)
def test_a_month_begins_and_ends_by_the_networks_clock(
    month: str, offset: int, first: str, after: str
) -> None:
    assert month_bounds(month, offset) == (first, after)


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "1969-12", "9999-12", "2026-1", "٢٠٢٦-01"])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(UsageError, match="month"):
        month_bounds(month, 0)


@pytest.mark.parametrize(
    ("text", "currency", "micro"),
    [("9.15", "GBP", 9_150_000), ("0.048", "JPY", 4_800_000), ("23.5", "KWD", 2_350_000)],
)
def test_a_rate_of_exchange_is_what_one_unit_costs(text: str, currency: str, micro: int) -> None:
    assert micro_rate(text, currency, "CNY") == micro


@pytest.mark.parametrize("text", ["9,15", "0.0", "0.00000001", "", "9.15.1", "-9.15", "9"])
def test_what_is_no_rate_of_exchange_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        micro_rate(text, "GBP", "CNY")

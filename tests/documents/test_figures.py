"""Amounts, rates and dates as text."""

from __future__ import annotations

import pytest

from node.domains.invoices.documents.figures import (
    currency_name,
    date_text,
    figure,
    moment_text,
    money,
    negated,
    rate_text,
)
from node.domains.invoices.documents.wording import Language


@pytest.mark.parametrize(
    ("minor", "decimals", "text"),
    [
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (123_456_789, 2, "1,234,567.89"),
        (10**15, 2, "10,000,000,000,000.00"),
        (10**15, 0, "1,000,000,000,000,000"),
        (1_234, 3, "1.234"),
    ],
)
def test_a_figure_is_exact(minor: int, decimals: int, text: str) -> None:
    assert figure(minor, decimals) == text


@pytest.mark.parametrize(
    ("minor", "currency", "decimals", "text"),
    [
        (199_000, "CNY", 2, "¥1,990.00"),
        (-1_836, "GBP", 2, "-£18.36"),
        (500, "JPY", 0, "JP¥500"),
        (100, "CHF", 2, "CHF\N{NO-BREAK SPACE}1.00"),
    ],
)
def test_money_names_its_currency(minor: int, currency: str, decimals: int, text: str) -> None:
    assert money(minor, currency, decimals) == text


@pytest.mark.parametrize(
    ("basis_points", "text"),
    [(0, "0%"), (5, "0.05%"), (50, "0.5%"), (650, "6.5%"), (1_300, "13%"), (10_000, "100%")],
)
def test_rates_have_no_needless_digits(basis_points: int, text: str) -> None:
    assert rate_text(basis_points) == text


def test_dates_and_currencies_in_each_language() -> None:
    assert date_text("2026-11-06", Language.ZH) == "2026年11月6日"
    assert date_text("2026-11-06", Language.EN) == "6 Nov 2026"
    assert date_text("2026-11-06", Language.BOTH) == "2026年11月6日 · 6 Nov 2026"
    assert currency_name("GBP", Language.BOTH) == "英镑 British Pound"
    assert currency_name("XQQ", Language.BOTH) == "XQQ"
    assert moment_text(1_795_692_256_999) == "2026-11-26 11:24:16 UTC"
    assert moment_text(2**62) == "9999-12-31 23:59:59 UTC"


def test_a_decimal_turns_its_sign() -> None:
    assert negated("2.50") == "-2.50"
    assert negated("-2.50") == "2.50"

"""Capital numerals: the hard cases, and that each reading can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.domains.invoices.documents.capitals import INTEGER_MAX, capital_amount, capital_integer

RENMINBI = [
    (0, "零元整"),
    (1, "壹分"),
    (5, "伍分"),
    (50, "伍角整"),
    (56, "伍角陆分"),
    (100, "壹元整"),
    (105, "壹元零伍分"),
    (1_000, "壹拾元整"),
    (1_500, "壹拾伍元整"),
    (10_010, "壹佰元壹角整"),
    (10_100, "壹佰零壹元整"),
    (100_001, "壹仟元零壹分"),
    (1_000_100, "壹万零壹元整"),
    (1_001_000, "壹万零壹拾元整"),
    (1_010_000, "壹万零壹佰元整"),
    (1_100_000, "壹万壹仟元整"),
    (10_100_000, "壹拾万壹仟元整"),
    (1_000_100_000, "壹仟万壹仟元整"),
    (1_000_010_000, "壹仟万零壹佰元整"),
    # A gap of a whole group is one zero: without it 壹亿壹仟 reads as 1.1 hundred million.
    (10_000_100_000, "壹亿零壹仟元整"),
    (10_001_000_000, "壹亿零壹万元整"),
    (10_000_000_100, "壹亿零壹元整"),
    (11_000_000_000, "壹亿壹仟万元整"),
    (100_000_000_001, "壹拾亿元零壹分"),
    (100_000_000_000_000, "壹万亿元整"),
    (100_010_000_000_000, "壹万零壹亿元整"),
    (100_000_001_000_000, "壹万亿零壹万元整"),
    (1_000_000_000_000_000, "壹拾万亿元整"),
    (999_999_999_999_999, "玖万玖仟玖佰玖拾玖亿玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分"),
    (-2_530, "负贰拾伍元叁角整"),
    # The examples of the People's Bank's rules; where these allow two forms, the shorter.
    (140_950, "壹仟肆佰零玖元伍角整"),
    (600_714, "陆仟零柒元壹角肆分"),
    (168_032, "壹仟陆佰捌拾元叁角贰分"),
    (10_700_053, "壹拾万柒仟元伍角叁分"),
    (1_640_902, "壹万陆仟肆佰零玖元零贰分"),
    (32_504, "叁佰贰拾伍元零肆分"),
]


@pytest.mark.parametrize(("fen", "words"), RENMINBI)
def test_renminbi_are_counted_in_yuan_jiao_and_fen(fen: int, words: str) -> None:
    assert capital_amount(fen, "CNY", 2) == words


@pytest.mark.parametrize(
    ("minor", "currency", "decimals", "words"),
    [
        (12_345, "GBP", 2, "壹佰贰拾叁点肆伍英镑"),
        (12_340, "GBP", 2, "壹佰贰拾叁点肆英镑"),
        (12_305, "EUR", 2, "壹佰贰拾叁点零伍欧元"),
        (5, "USD", 2, "零点零伍美元"),
        (100, "USD", 2, "壹美元整"),
        (500, "JPY", 0, "伍佰日元整"),
        (1_234, "KWD", 3, "壹点贰叁肆科威特第纳尔"),
        (-100, "XQQ", 2, "负壹XQQ整"),
        (10**15, "JPY", 0, "壹仟万亿日元整"),
    ],
)
def test_other_currencies_are_read_by_digit_with_their_name(
    minor: int, currency: str, decimals: int, words: str
) -> None:
    assert capital_amount(minor, currency, decimals) == words


def read(words: str) -> int:
    """A reader of its own kind: sections end at 亿 and 万, which multiply what they close."""
    for name, size in (("亿", 10**8), ("万", 10**4)):
        high, mark, low = words.rpartition(name)
        if mark:
            return read(high) * size + (read(low) if low else 0)
    total, digit = 0, 0
    for letter in words:
        if letter in "零壹贰叁肆伍陆柒捌玖":
            digit = "零壹贰叁肆伍陆柒捌玖".index(letter)
        else:
            total += digit * {"拾": 10, "佰": 100, "仟": 1_000}[letter]
            digit = 0
    return total + digit


@given(st.integers(0, INTEGER_MAX))
def test_every_reading_reads_back_and_writes_no_zero_twice(number: int) -> None:
    words = capital_integer(number)
    assert read(words) == number
    assert "零零" not in words
    assert not words.endswith("零") or number == 0


@given(st.integers(0, INTEGER_MAX), st.integers(0, INTEGER_MAX))
def test_two_numbers_never_read_alike(first: int, second: int) -> None:
    assert (capital_integer(first) == capital_integer(second)) == (first == second)


@pytest.mark.parametrize("number", [-1, INTEGER_MAX + 1])
def test_a_number_without_a_reading_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="no reading"):
        capital_integer(number)

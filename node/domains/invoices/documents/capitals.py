"""Chinese capital numerals for amounts. Owns the rules of writing them; formats no figures.

After the rules for filling in bills and settlement vouchers of the People's Bank of China
(支付结算办法, annex 1): zeros within a number are written as one 零, zeros at the end of a group
of four are left out, and an amount without a last minor unit is closed with 整.
"""

from __future__ import annotations

from babel import Locale

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
_RENMINBI = "CNY"
INTEGER_MAX = 10**16 - 1
"""Largest number with a reading: four groups of four digits."""


def capital_amount(minor: int, currency: str, decimals: int) -> str:
    """The amount in words.

    Renminbi are counted in 元, 角 and 分. Other currencies have no such words of their own: their
    digits behind the point are read one by one, and the currency's Chinese name follows.

    Args:
        minor: Minor units; negative amounts begin with 负.
        currency: ISO 4217 code.
        decimals: Decimals of the currency: 2 when a major unit has 100 minor ones.

    Raises:
        ValueError: the amount has no reading.
    """
    sign = "负" if minor < 0 else ""
    major, rest = divmod(abs(minor), 10**decimals)
    if currency == _RENMINBI and decimals == 2:
        return sign + _renminbi(major, rest)
    name = Locale("zh").currencies.get(currency, currency)
    whole = capital_integer(major)
    if rest == 0:
        return f"{sign}{whole}{name}整"
    digits = f"{rest:0{decimals}d}".rstrip("0")
    return f"{sign}{whole}点{''.join(_DIGITS[int(digit)] for digit in digits)}{name}"


def _renminbi(yuan: int, fen_and_jiao: int) -> str:
    jiao, fen = divmod(fen_and_jiao, 10)
    parts = [f"{capital_integer(yuan)}元"] if yuan or not fen_and_jiao else []
    if jiao:
        parts.append(f"{_DIGITS[jiao]}角")
    elif fen and yuan:
        parts.append("零")
    parts.append(f"{_DIGITS[fen]}分" if fen else "整")
    return "".join(parts)


def capital_integer(number: int) -> str:
    """A whole number from 0 to `INTEGER_MAX`.

    Raises:
        ValueError: it is out of that range.
    """
    if not 0 <= number <= INTEGER_MAX:
        raise ValueError("no reading for this number")
    return _positive(number) if number else _DIGITS[0]


def _positive(number: int) -> str:
    """The reading of 1 and above: 亿 may itself be counted in 万, as in 壹万亿."""
    for size, name in ((10**8, "亿"), (10**4, "万")):
        high, low = divmod(number, size)
        if high:
            return f"{_positive(high)}{name}{_following(low, size // 10)}"
    return _group(number)


def _following(low: int, first_place: int) -> str:
    """What stands behind 亿 or 万: a 零 first when the highest place is empty."""
    if low == 0:
        return ""
    return ("零" if low < first_place else "") + _positive(low)


def _group(number: int) -> str:
    """1 to 9999."""
    text, gap = "", False
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit == 0:
            gap = bool(text)
            continue
        text += ("零" if gap else "") + _DIGITS[digit] + _PLACES[place]
        gap = False
    return text

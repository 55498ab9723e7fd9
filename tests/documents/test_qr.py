"""The text of the code, and the code itself."""

from __future__ import annotations

import re

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from node.domains.invoices.documents.qr import (
    QUIET_ZONE,
    Facts,
    qr_runs,
    qr_svg,
    qr_text,
    read_qr_text,
)

HASH = "5b" * 32


@given(
    st.text("0123456789", min_size=20, max_size=20),
    st.integers(-(10**15), 10**15),
    st.binary(min_size=32, max_size=32),
    st.sampled_from([None, "https://fapiao.example.cn", "https://fapiao.example.cn/node/"]),
)
def test_the_text_reads_back(number: str, gross: int, txid: bytes, url: str | None) -> None:
    facts = Facts(number, gross, txid.hex())
    assert read_qr_text(qr_text(facts, url)) == facts


def test_the_text_is_a_link_or_a_bare_reference() -> None:
    facts = Facts("1" * 20, -5, HASH)
    tail = f"verify?number={'1' * 20}&gross=-5&hash={HASH}"
    assert qr_text(facts, None) == f"piaolian:{tail}"
    assert qr_text(facts, "https://a.example") == f"https://a.example/{tail}"


@pytest.mark.parametrize("prefix", ["00", "01"])
def test_a_prefixed_hash_is_the_same_hash(prefix: str) -> None:
    text = f"https://x.example/verify/scan?number={'1' * 20}&gross=1&hash={prefix}{HASH.upper()}"
    assert read_qr_text(text) == Facts("1" * 20, 1, HASH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        f"?number={'1' * 19}&gross=1&hash={HASH}",
        f"?number={'1' * 20}&gross=1.0&hash={HASH}",
        f"?number={'1' * 20}&gross=1&hash={HASH}0",
        f"?number={'1' * 20}&gross=1&hash=02{HASH}",
        f"?number={'1' * 20}&number={'2' * 20}&gross=1&hash={HASH}",
        f"?number={'１' * 20}&gross=1&hash={HASH}",
        f"?number={'1' * 20}&gross=1&hash={HASH}" + "&a=b" * 20,
        f"http://[?number={'1' * 20}&gross=1&hash={HASH}",
        f"?number={'1' * 20}&gross=1&hash={HASH}" + " x" * 300,
    ],
)
def test_what_is_no_code_of_an_invoice_is_not_read(text: str) -> None:
    assert read_qr_text(text) is None


def test_runs_and_svg_are_the_modules_of_the_code() -> None:
    text = qr_text(Facts("1" * 20, 199_000, HASH), "https://fapiao.example.cn")
    matrix = [list(row) for row in segno.make_qr(text, error="m").matrix]

    size, runs = qr_runs(text)
    drawn = [[0] * size for _ in range(size)]
    for row, column, length in runs:
        drawn[row][column : column + length] = [1] * length
    assert drawn == matrix

    svg = qr_svg(text)
    assert f'viewBox="0 0 {size + 2 * QUIET_ZONE} {size + 2 * QUIET_ZONE}"' in svg
    assert "style" not in svg
    assert sum(map(int, re.findall(r"h(\d+)", svg))) == sum(map(sum, matrix))

"""What is wrong with a field is said in words: a pattern says little to a person."""

from __future__ import annotations

from typing import Any

import pytest

from node.api.body import MEANINGS
from tests.api.client import ApiClient
from tests.api.samples import INVOICE
from tests.api.test_operations import BASE


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/invoices", INVOICE | {"buyer": "12345"}, "or claim"),
        ("/v1/invoices", INVOICE | {"currency": "cny"}, "as CNY"),
        ("/v1/invoices", INVOICE | {"issue_date": "tomorrow"}, "YYYY-MM-DD"),
        (f"{BASE}/offer", {"to": "nobody"}, "64 hex digits"),
        (f"{BASE}/offer", {"to": "ab" * 32, "expires": "tomorrow"}, "2026-12-01T09:30:00Z"),
        ("/v1/segments", {"issuer": "X", "first": "26", "count": 5}, "20 digits"),
    ],
)
async def test_a_field_that_misses_its_pattern_is_told_what_it_must_be(
    api: ApiClient, path: str, body: dict[str, Any], told: str
) -> None:
    answer = await api.post(path, body)
    assert answer.status == 422
    assert answer.json["detail"].endswith(("1 field is not accepted", "fields are not accepted"))
    messages = [error["message"] for error in answer.json["errors"]]
    assert any(told in message for message in messages), messages
    assert not any("pattern" in message for message in messages), messages


def test_every_pattern_has_words_that_begin_alike() -> None:
    assert len(MEANINGS) > 8
    assert all(words.startswith("must be a") for words in MEANINGS.values())

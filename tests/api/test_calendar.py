"""Days of the API are the network's: an invoice without a date is of today there."""

from __future__ import annotations

import pytest

from tests.api.client import ApiClient
from tests.api.fake_node import FakeNode
from tests.api.samples import INVOICE


@pytest.mark.parametrize(
    ("offset", "day"), [(0, "2026-11-24"), (-720, "2026-11-23"), (840, "2026-11-24")]
)
async def test_today_is_the_network_s(
    api: ApiClient, node: FakeNode, offset: int, day: str
) -> None:
    node.utc_offset = offset
    answer = await api.call("POST", "/v1/invoices", json=INVOICE)
    assert answer.status in {201, 202}, answer.json
    assert node.drafts[0].issue_date == day  # type: ignore[union-attr]

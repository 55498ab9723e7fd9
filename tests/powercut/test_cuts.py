"""Real power cuts of a real store, and of stores that do not sync, which must lose."""

from __future__ import annotations

import pytest

from tests.powercut.__main__ import run
from tests.powercut.cut import why_impossible

pytestmark = [
    pytest.mark.skipif(why_impossible() is not None, reason=f"{why_impossible()}"),
    pytest.mark.timeout(0),
]


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_and_nothing_is_doubted() -> None:
    seen = await run(cuts=4, seed=100, weakness="", longest=0.8)

    assert seen["acknowledged batches"] > seen["cuts"] == 4
    assert seen["marker OK"] + seen["marker TORN"] == 4
    assert not seen["lost"]
    assert not seen["suspect without loss"]
    assert not seen["marker lags"]


@pytest.mark.slow
async def test_a_store_that_acknowledges_before_it_syncs_loses_and_its_marker_says_so() -> None:
    seen = await run(cuts=2, seed=200, weakness="log", longest=0.5)

    assert seen["lost"]
    assert not seen["lost and not noticed"]


@pytest.mark.slow
async def test_a_marker_that_is_not_synced_lags() -> None:
    seen = await run(cuts=2, seed=300, weakness="marker", longest=0.5)

    assert seen["marker lags"]
    assert not seen["lost"]


@pytest.mark.soak
async def test_a_hundred_cuts() -> None:
    seen = await run(cuts=100, seed=1_000, weakness="", longest=3)
    weak = await run(cuts=20, seed=2_000, weakness="log", longest=3)

    assert seen["cuts"] == 100
    assert not seen["lost"]
    assert not seen["suspect without loss"]
    assert not seen["marker lags"]
    assert weak["lost"]
    assert not weak["lost and not noticed"]

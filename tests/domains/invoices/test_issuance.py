"""Numbers are drawn once each, also by who has forgotten what it drew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from node.custody.keyring import Keyring
from node.domains.invoices.service import issuance as module
from node.domains.invoices.service.issuance import Issuance
from node.following.outcomes import RefusedError
from node.sealing.attachments import WaitingFiles
from node.sealing.recipients import Recipients
from node.storage.outbox import Outbox
from tests.ledger.world import SELLER
from tests.ledger.world import number as invoice_number
from tests.node.chronicle import SEGMENT_COUNT, Chronicle, issue, write_history


class Drawn:
    """An outbox that remembers what a test says."""

    def __init__(self, serials: dict[str, int]) -> None:
        self._serials = serials

    async def serials(self) -> dict[str, int]:
        return self._serials


@pytest.fixture
async def chronicle(tmp_path: Path) -> AsyncIterator[Chronicle]:
    """Serials 0 to 5 and 10 to 99 are used."""
    made = await Chronicle.open(tmp_path / "ledger")
    await write_history(made)
    yield made
    await made.close()


def issuance(chronicle: Chronicle, next_serial: int | None) -> Issuance:
    serials = {} if next_serial is None else {invoice_number(0): next_serial}
    return Issuance(
        SELLER,
        cast("Keyring", None),
        cast("Recipients", None),
        cast("Outbox", Drawn(serials)),
        chronicle.reader,
        cast("WaitingFiles", None),
    )


@pytest.mark.parametrize("page", [3, 1_024])
@pytest.mark.parametrize(
    ("remembered", "expected"),
    [
        (None, [6, 7, 8, 9, 100, 101]),
        (7, [7, 8, 9, 100, 101, 102]),
        (60, [100, 101, 102, 103, 104, 105]),
        (100, [100, 101, 102, 103, 104, 105]),
        (4_000, [4_000, 4_001, 4_002, 4_003, 4_004, 4_005]),
    ],
)
async def test_an_outbox_that_forgot_draws_no_number_that_was_used(
    chronicle: Chronicle,
    monkeypatch: pytest.MonkeyPatch,
    remembered: int | None,
    expected: list[int],
    page: int,
) -> None:
    """It began at the first number of the segment, and each was refused, one after another."""
    monkeypatch.setattr(module, "_PAGE", page)
    drawing = issuance(chronicle, remembered)
    drawn: list[str] = []
    for count in (1, 2, 3):
        numbers, serials = await drawing.draw(count)
        drawn += numbers
        drawing.drawn(serials)
    assert drawn == [invoice_number(serial) for serial in expected]


async def test_what_is_drawn_beside_this_node_is_seen_when_it_is_more(chronicle: Chronicle) -> None:
    drawing = issuance(chronicle, 100)
    assert (await drawing.draw(1))[0] == [invoice_number(100)]
    await chronicle.add(*(issue(chronicle.genesis, 100 + n) for n in range(8)))
    assert (await drawing.draw(1))[0] == [invoice_number(108)]


async def test_a_number_at_the_end_costs_none_of_those_before_it(chronicle: Chronicle) -> None:
    """Its participant may sign by other means, too."""
    await chronicle.add(issue(chronicle.genesis, SEGMENT_COUNT - 1))
    drawing = issuance(chronicle, None)
    numbers, _ = await drawing.draw(SEGMENT_COUNT - 97)
    assert len(set(numbers)) == SEGMENT_COUNT - 97
    assert numbers[-1] == invoice_number(SEGMENT_COUNT - 2)
    with pytest.raises(RefusedError):
        await drawing.draw(SEGMENT_COUNT - 96)

"""The walk's own state is a plain map, whether it lies in memory or has moved to a file."""

from __future__ import annotations

import random  # noqa: TID251 - seeded

import pytest

from node.audit.state import WalkedState
from node.ledger.codes import Table
from node.ledger.state import RowChange
from node.ledger.stored import Scan

TABLES = (Table.TXID, Table.INVOICE)


@pytest.mark.parametrize("hot_rows_max", [0, 7, 40, 10_000])
def test_it_reads_as_a_map_does(hot_rows_max: int) -> None:
    rng = random.Random(hot_rows_max)
    true: dict[tuple[Table, bytes], bytes] = {(Table.META, b"m"): b"1"}
    state = WalkedState([(Table.META, b"m", b"1")], hot_rows_max)
    for number in range(300):
        changes = {}
        for _ in range(rng.randrange(1, 6)):
            key = rng.randrange(12).to_bytes(8, "big") + bytes([rng.randrange(4)])
            place = (rng.choice(TABLES), key)
            old = true.get(place)
            new = None if old is not None and rng.random() < 0.5 else number.to_bytes(3, "big")
            changes[place] = RowChange(*place, old, new)
        for place, change in changes.items():
            assert state.get(*place) == change.old
            if change.new is None:
                del true[place]
            else:
                true[place] = change.new
        state.apply(list(changes.values()))
        low, high = sorted(rng.randbytes(1)[0].to_bytes(9, "big") for _ in range(2))
        if rng.random() < 0.5:
            low, high = bytes(8), rng.randrange(14).to_bytes(8, "big")
        scan = Scan(rng.choice(TABLES), low, high, rng.randrange(1, 9))
        found = sorted((k, v) for (t, k), v in true.items() if t == scan.table and low <= k < high)
        assert state.scan(scan) == found[: scan.limit]
    assert list(state.rows()) == sorted((int(t), k, v) for (t, k), v in true.items())
    state.close()

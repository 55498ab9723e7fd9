"""The rules of today do to a kept history what the rules of then did, and say the same of it.

What is meant to differ is written anew by `python -m tests.ledger.recording`; the history's bytes
stay. So a change of any table that is derived from the rules shows as a difference of a file.
"""

from __future__ import annotations

import json
from typing import get_args

from node.ledger.codes import Table
from node.ledger.operations import Operation
from tests.ledger.recording import (
    SAMPLES,
    TABLES,
    recorded_history,
    replay,
    samples,
    tables,
)
from tests.ledger.world import World


def test_a_kept_history_comes_to_the_same_digests_and_root() -> None:
    kept = recorded_history()
    assert {(Table(table), key): value for table, key, value in kept.opening} == World().store
    _, digests, root = replay(kept)

    assert digests == kept.digests
    assert root == kept.root


def test_what_stands_of_each_operation() -> None:
    assert tables() == json.loads(TABLES.read_text())


def test_what_each_operation_reads_names_and_leaves_in_a_trace() -> None:
    kept = json.loads(SAMPLES.read_text())
    assert json.loads(json.dumps(samples(recorded_history()))) == kept
    shown = {name.split()[0] for name in kept}
    assert shown == {kind.__name__ for kind in get_args(Operation)} - {"ByKey"}

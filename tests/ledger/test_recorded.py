"""The rules of today do to a kept history what the rules of then did, and say the same of it.

What is meant to differ is written anew by `python -m tests.ledger.recording`; the history's bytes
stay. So a change of any table that is derived from the rules shows as a difference of a file.
"""

from __future__ import annotations

import json

import pytest

from node.ledger.codes import Table
from node.ledger.operations import LAWS
from node.ledger.spec import Law
from tests.ledger.recording import (
    kept_file,
    kinds_of,
    of_domain,
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


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_what_stands_of_each_operation(law: Law) -> None:
    kept = json.loads(kept_file(law.name, "tables").read_text())

    assert of_domain(law.name, tables()) == kept
    assert kept.keys() == {kind.__name__ for kind in kinds_of(law)}


def test_what_each_operation_reads_names_and_leaves_in_a_trace() -> None:
    made = json.loads(json.dumps(samples(recorded_history())))
    for law in LAWS:
        kept = json.loads(kept_file(law.name, "samples").read_text())
        assert of_domain(law.name, made) == kept
        # Also the next one: a domain has a sample of each (`samples.later`).
        assert {name.split()[0] for name in kept} == {kind.__name__ for kind in kinds_of(law)}

"""Every planted bug fits the code of today: else `make mutants` ends at it, long after."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import planted
from tests.mutants.mutation import Mutation
from tests.mutants.mutations import MUTATIONS
from tests.mutants.runtime import RUNTIME


@pytest.mark.parametrize("mutation", [*MUTATIONS, *RUNTIME], ids=lambda mutation: mutation.name)
def test_a_planted_bug_fits_the_code(mutation: Mutation) -> None:
    planted(mutation)


def test_planted_bugs_have_names_of_their_own() -> None:
    names = [mutation.name for mutation in (*MUTATIONS, *RUNTIME)]

    assert len(set(names)) == len(names)

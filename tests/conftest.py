"""How tests are shared out among workers. Owns no fixture.

`make test` runs the slow half with `--dist loadgroup`: tests that share a running network, made
once for their file, stay with one worker; every other goes to whichever is free.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

_SHARED = frozenset({"module", "package", "session"})


def _shares(item: pytest.Item) -> bool:
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return False
    return any(
        definition.scope in _SHARED and definition.baseid.startswith("tests/")
        for definitions in info.name2fixturedefs.values()
        for definition in definitions
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Group tests of one file that share a fixture of that file, before xdist reads the groups."""
    for item in items:
        if _shares(item):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))

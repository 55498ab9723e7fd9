"""How the slow tests are shared out among workers (`--dist loadgroup`).

Tests of a file share the cluster that it starts, and may go on from where the one before left it:
they run on one worker, in their order. What is marked `alone` starts all that it needs by itself.
"""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))

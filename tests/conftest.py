"""What all tests share: plain log lines, and how the slow ones go to workers (`--dist loadgroup`).

Tests of a file share the cluster that it starts, and may go on from where the one before left it:
they run on one worker, in their order. The few files whose tests each start all that they need are
shared out test by test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadGroupScheduling

# The default paints each stack trace with all local variables, which takes seconds.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)

ALONE = frozenset({"tests/cluster/test_menu.py"})
"""Files whose tests stand each alone."""


def share_of(test: str, alone: frozenset[str] = ALONE) -> str:
    """What goes to one worker as a whole: the test's file, or the test."""
    file = test.partition("::")[0]
    return test if file in alone else file


@pytest.hookimpl(optionalhook=True)  # there may be no pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling | None:
    """Of `--dist loadgroup`: whole files but those of `ALONE` are the groups.

    Not by the marker: xdist 3.8 writes a test's group into its id, pytest 9.2 does not let it,
    and each test is then shared out by itself without a word.
    """
    from xdist.scheduler import LoadGroupScheduling  # noqa: PLC0415

    class _Shares(LoadGroupScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return share_of(nodeid)

    return _Shares(config, log) if config.getvalue("dist") == "loadgroup" else None

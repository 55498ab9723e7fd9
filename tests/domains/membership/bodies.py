"""A body for each path of membership that takes one, for tests that break it."""

from __future__ import annotations

from typing import Any

from tests.api.test_membership import OPERATIONS


def example(path: str) -> Any:
    """A body that is taken."""
    last = path.rsplit("/", maxsplit=1)[-1]
    return next(body for known, body, _ in OPERATIONS if known.split("/")[-1] == last)

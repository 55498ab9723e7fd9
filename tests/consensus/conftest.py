"""The option that rewrites the traces of scenarios."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write the traces of scenarios as they are now; read the difference before committing",
    )

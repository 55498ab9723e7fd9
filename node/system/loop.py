"""How the process runs Python: its event loop, and how often it collects garbage.

Owns the choice of the loop: uvloop where it is installed, else the standard one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

GC_THRESHOLDS = (50_000, 20, 50)
"""A node keeps many thousands of small objects without cycles; with the interpreter's own
thresholds a fifth of the ledger's time went into looking at them again and again."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in a new event loop and return its result."""
    try:
        import uvloop  # noqa: PLC0415 - optional speed; the standard loop serves as well
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)

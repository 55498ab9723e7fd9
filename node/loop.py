"""Which event loop runs. Owns that choice: uvloop where it is installed, else the standard one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in a new event loop and return its result."""
    try:
        import uvloop  # noqa: PLC0415 - optional speed; the standard loop serves as well
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)

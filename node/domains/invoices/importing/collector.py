"""How often Python looks for circles of objects while a large file is read. Owns that pace.

Rows, documents and plans hold each other in no circles: what is let go is freed at once. Looking
for circles among the hundreds of thousands that are kept took a fifth of an import's time. It goes
on at a slower pace: a circle in a library costs some memory for a while, not more and more.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 100_000
"""Python's own number is 700."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Collect circles seldom in this process until the end of the block."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)

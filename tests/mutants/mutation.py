"""What a planted bug is. Owns the shape."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One bug: text in place of other text that occurs exactly once in the module."""

    name: str
    why: str
    """What goes wrong in a cluster that has it; where it is known from."""
    module: str
    changes: tuple[tuple[str, str], ...]
    aimed: bool = False
    """Only runs aimed at leaders and leases are likely to meet it (`Plan.aim`)."""

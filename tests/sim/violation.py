"""The one failure that a simulated run reports, with the name of what did not hold."""

from __future__ import annotations


class Violation(AssertionError):  # noqa: N818 - not every one is an error of the program
    """Something that must always hold did not. Failures of one `kind` are taken for one bug."""

    def __init__(self, kind: str, details: str) -> None:
        super().__init__(f"{kind}: {details}")
        self.kind = kind


def ensure(holds: bool, kind: str, details: str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise Violation(kind, details)

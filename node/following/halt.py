"""Whether this node has stopped applying for good, and why. Owns the reason and who is told of it.

Parts that see that the own ledger is false, or may not go on, say so here; what a node does about
it then is decided elsewhere (`node.runtime.halting`).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

_log = structlog.get_logger("node.following.halt")


class HaltedError(RuntimeError):
    """Applying stopped for good, so that two histories do not mix."""


class FalseLedgerError(HaltedError):
    """What is certified comes to something else over this ledger: its file may be damaged."""


class Halt:
    """The state: running, or halted for a reason. It never goes back."""

    def __init__(self) -> None:
        self.reason: str | None = None
        """Why applying stopped for good, when it did; reads go on."""
        self._listeners: list[Callable[[Exception], None]] = []

    def listen(self, listener: Callable[[Exception], None]) -> None:
        """Tell what it was, once it has stopped; registered before the start."""
        self._listeners.append(listener)

    def stop(self, error: Exception) -> None:
        """Stop applying, keep the evidence, raise the alarm; reads go on, marked as such."""
        if self.reason is not None:
            return
        self.reason = str(error)
        _log.critical("halted", reason=self.reason)
        for listener in self._listeners:
            listener(error)

    def add(self, reason: str) -> None:
        """Say more of why."""
        self.reason = f"{self.reason}; {reason}"

    def check(self) -> None:
        """Raise HaltedError if it has stopped."""
        if self.reason is not None:
            raise HaltedError(self.reason)

"""When the rules themselves fail over a transaction. Owns what such a fault costs, and what stops.

A fault of the rules is a fault of the program: every node has it over the same transaction, so it
is an outcome like any other (`Code.RULE_FAULT`), and the network goes on. A fault of the machine is
one node's alone. Were it an outcome, that node would state another history, so it stops.
"""

from __future__ import annotations

import msgspec

from node.ledger.stored import UnreadableStateError

MACHINE_ERRORS = (MemoryError, OSError, UnreadableStateError)
"""Errors that end the block, not the transaction. RecursionError is not one of them: no rule
recurses over what a transaction holds, so one that did would recurse without end, everywhere."""

FAULTS_KEPT_MAX = 8
"""Of one block, with their tracebacks. All are counted."""


class RuleFault(msgspec.Struct, frozen=True, gc=False):
    """A transaction over which the rules failed."""

    txid: bytes
    operation: int | None
    """Position of the operation; None: before the first, where no leaf is left."""
    error: Exception | None
    """None of those past `FAULTS_KEPT_MAX`: a traceback holds the whole block's state."""

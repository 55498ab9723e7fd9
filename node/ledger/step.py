"""One operation at work: who acts, when, on what. Owns no rule.

Rules are functions of a `Step` and the operation. They return a code; what they wrote before a
refusal goes away with the whole transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from node.ledger.codes import Code
from node.ledger.context import BlockContext
from node.ledger.participants import PARTICIPANTS, ParticipantRow, ParticipantState
from node.ledger.state import State
from node.ledger.types import Role


class Note(msgspec.Struct, frozen=True, gc=False):
    """What an applied operation came to, where its own fields do not say it."""

    operation: int
    number: str | None = None
    """The number that the order has: differs from the operation's when the order was repeated."""
    claim: int | None = None
    """The claim made."""
    form: int | None = None
    """The form opened."""
    confirmed: bool = False
    """Whether that form needs no confirmation."""


class Step:
    """The operation being judged. One object serves a block; the runner moves it on."""

    __slots__ = (
        "actor",
        "context",
        "date",
        "height",
        "home",
        "key",
        "month",
        "notes",
        "now",
        "numbers_of",
        "participant",
        "position",
        "repeated",
        "rules",
        "state",
        "terms",
        "txid",
    )

    def __init__(
        self,
        state: State,
        context: BlockContext,
        rules: Mapping[type, Callable[[Step, Any], Code]],
    ) -> None:
        self.state = state
        self.context = context
        self.terms = context.terms
        self.home = context.home_currency
        self.height = context.height
        self.now = context.time_ms
        self.month = context.month
        self.date = context.date
        self.actor = ""
        """Party reference of who acts: the author's id, or a bare key in hex."""
        self.numbers_of = ""
        """Whose segments numbers are drawn from: the author's, also when it acts for another."""
        self.participant: ParticipantRow | None = None
        """The author, when it acts for itself; None for a bare key."""
        self.txid = b""
        self.key = b""
        """The key that signs the transaction."""
        self.position = 0
        self.notes: list[Note] = []
        self.rules = rules
        """Of every operation, with what other domains attach to it."""
        self.repeated = False
        """Set by a rule that succeeds because all was done before: it changed nothing."""

    def apply(self, operation: object) -> Code:
        """Judge another operation in the place of this one, with all that is attached to it."""
        return self.rules[type(operation)](self, operation)

    def has_role(self, role: Role) -> bool:
        """Whether the actor is a participant with this role."""
        return self.participant is not None and role in self.participant.roles

    def party_exists(self, party: str) -> bool:
        """Whether `party` is a bare key, or a participant that has not retired."""
        if len(party) == 64:
            return True
        row = self.state[PARTICIPANTS].get(party.encode())
        return row is not None and row.state is not ParticipantState.RETIRED

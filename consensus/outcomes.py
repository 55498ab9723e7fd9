"""What became of a proposal. Three answers and no others; owns their names.

`Rejected` is a promise: the payload is not and never will be applied, so it may be proposed
again. `Unknown` is not: it may have been applied or may still be, so a repetition needs a state
machine that knows it (a request number in the payload).
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

import msgspec

from consensus.errors import (
    MembershipError,
    NotLeaderError,
    PayloadTooLargeError,
    ProposalError,
    StoppedError,
    TermChangedError,
    TransferringError,
    WindowFullError,
)
from consensus.types import LogIndex, NodeId, Term


class Committed(msgspec.Struct, frozen=True, gc=False):
    """The payload is committed and was applied here."""

    index: LogIndex
    term: Term
    result: object = None
    """What `Applier.apply` returned for it."""


class RejectReason(Enum):
    """Why a payload was not taken, or is certain never to be applied."""

    NOT_LEADER = "not_leader"
    TERM_CHANGED = "term_changed"
    WINDOW_FULL = "window_full"
    TOO_LARGE = "too_large"
    TRANSFERRING = "transferring"
    STOPPED = "stopped"
    REPLACED = "replaced"
    """Another leader's entry was committed in its place."""
    MEMBERSHIP = "membership"
    """The membership cannot be changed so, or not now; see `detail`."""


class Rejected(msgspec.Struct, frozen=True):
    """The payload is not and never will be applied."""

    reason: RejectReason
    leader: NodeId | None = None
    """Who may lead now."""
    detail: str = ""


class UnknownReason(Enum):
    """Why nobody here can say what became of a payload."""

    TIMEOUT = "timeout"
    STOPPED = "stopped"
    """The node stopped or failed before its place in the log was decided."""
    REPLACED = "replaced"
    """This node leads again and has another entry there; the earlier one may be elsewhere."""
    SNAPSHOT = "snapshot"
    """Its place in the log was passed by an installed snapshot."""


class Unknown(msgspec.Struct, frozen=True):
    """The payload was in the log and may or may not be applied."""

    reason: UnknownReason
    index: LogIndex
    term: Term


Outcome: TypeAlias = Committed | Rejected | Unknown

_REASONS: dict[type[ProposalError], RejectReason] = {
    TermChangedError: RejectReason.TERM_CHANGED,
    WindowFullError: RejectReason.WINDOW_FULL,
    PayloadTooLargeError: RejectReason.TOO_LARGE,
    TransferringError: RejectReason.TRANSFERRING,
    MembershipError: RejectReason.MEMBERSHIP,
    StoppedError: RejectReason.STOPPED,
}


def rejected(error: ProposalError) -> Rejected:
    """The outcome that says what `error` says."""
    if isinstance(error, NotLeaderError):
        return Rejected(RejectReason.NOT_LEADER, error.leader, str(error))
    return Rejected(_REASONS[type(error)], None, str(error))

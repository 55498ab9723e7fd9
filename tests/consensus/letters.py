"""Messages as an honest member would send them, for tests of one core. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.messages import AppendRequest, Heartbeat, VoteRequest
from consensus.types import ZERO_HASH, Entry, LogIndex, Term


def append(entries: Sequence[Entry], after: int, term: int, commit: int = 0) -> AppendRequest:
    """The entries of a log behind index `after`, as a leader of `term` sends them."""
    prev = entries[after - 1] if after else None
    return AppendRequest(
        Term(term),
        LogIndex(after),
        prev.term if prev else Term(0),
        prev.hash if prev else ZERO_HASH,
        LogIndex(commit),
        tuple(entries[after:]),
    )


def heartbeat(term: int, commit: int = 0, last: int = 0) -> Heartbeat:
    """An empty sign of life."""
    return Heartbeat(Term(term), LogIndex(commit), LogIndex(last))


def vote_request(term: int, last_index: int = 0, last_term: int = 0) -> VoteRequest:
    """A candidate asks for a vote."""
    return VoteRequest(
        Term(term), False, LogIndex(last_index), Term(last_term), LogIndex(0), ZERO_HASH
    )

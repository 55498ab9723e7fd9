"""Who votes, who only listens, and what a quorum is. Pure.

A membership is *joint* while it is being changed (Raft paper, section 6): then every decision,
votes and commits alike, needs a majority of `voters` and a majority of `outgoing`. A membership
takes effect as soon as its entry is in the log, committed or not, and goes with the entry when
the entry is truncated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, TypeAlias

import msgspec

from consensus.types import LogIndex, NodeId

MEMBERS_MAX = 1_024
"""Voters, outgoing voters and learners of one membership, each."""
AnyNode: TypeAlias = Annotated[NodeId, msgspec.Meta(ge=0, lt=2**32)]
_Nodes: TypeAlias = Annotated[tuple[AnyNode, ...], msgspec.Meta(max_length=MEMBERS_MAX)]


class Membership(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, dict=True
):
    """The members, each list in ascending order.

    A learner may be among `outgoing`: a voter that becomes a learner when the joint membership is
    left.
    """

    voters: _Nodes
    outgoing: _Nodes = ()
    """The voters before the change; empty unless joint."""
    learners: _Nodes = ()

    @property
    def joint(self) -> bool:
        """Whether a change is under way."""
        return bool(self.outgoing)

    @property
    def voting(self) -> frozenset[NodeId]:
        """Everybody with a vote, in either half."""
        return frozenset(self.voters) | frozenset(self.outgoing)

    @property
    def members(self) -> frozenset[NodeId]:
        """Everybody that gets the log."""
        return self.voting | frozenset(self.learners)

    def has_quorum(self, nodes: Collection[NodeId]) -> bool:
        """Whether `nodes` can decide: a majority of each half. No voters decide nothing."""
        return bool(self.voters) and all(
            sum(voter in nodes for voter in half) * 2 > len(half)
            for half in (self.voters, self.outgoing)
            if half
        )

    def can_reach_quorum(self, without: Collection[NodeId]) -> bool:
        """Whether a quorum is possible without those nodes."""
        return self.has_quorum(self.voting.difference(without))

    def agreed(self, values: Mapping[NodeId, int]) -> int:
        """The highest value that a quorum has reached; a voter without one counts as 0."""
        if not self.voters:
            return 0
        return min(_agreed(half, values) for half in (self.voters, self.outgoing) if half)

    def entering(self, voters: Sequence[NodeId], learners: Sequence[NodeId]) -> Membership:
        """The next membership on the way to these members: joint if the voters change."""
        wanted = Membership(_ordered(voters), (), _ordered(learners))
        if wanted.voters == self.voters:
            return wanted
        return Membership(wanted.voters, self.voters, wanted.learners)

    def left(self) -> Membership:
        """The membership after a joint one."""
        return Membership(self.voters, (), self.learners)

    def encode(self) -> bytes:
        """The payload of a membership entry."""
        return _encoder.encode(self)


def decode_membership(payload: bytes) -> Membership:
    """The membership in the payload of an entry.

    Raises:
        ValueError: when it is none, or contradicts itself.
    """
    membership = _decoder.decode(payload)
    check_membership(membership)
    return membership


def check_membership(membership: Membership) -> None:
    """Refuse a membership that contradicts itself.

    Raises:
        ValueError: with a reason.
    """
    for nodes in (membership.voters, membership.outgoing, membership.learners):
        if nodes != _ordered(nodes):
            raise ValueError("members are not in order")
    if not membership.voters or set(membership.voters) & set(membership.learners):
        raise ValueError("a membership needs voters, and nobody both votes and learns")


class MembershipHistory:
    """The memberships of a log, by the index of their entry; the last one is in force."""

    def __init__(self, base: Membership, later: Sequence[tuple[LogIndex, Membership]] = ()) -> None:
        self._indexes = [LogIndex(0), *(index for index, _ in later)]
        self._memberships = [base, *(membership for _, membership in later)]

    @property
    def current(self) -> Membership:
        """The membership in force."""
        return self._memberships[-1]

    @property
    def index(self) -> LogIndex:
        """Index of the entry that put it in force; 0 when it comes from the base."""
        return self._indexes[-1]

    def at(self, index: LogIndex) -> Membership:
        """The membership in force after the entry at `index`."""
        return self._memberships[max(0, bisect_right(self._indexes, index) - 1)]

    def since(self, index: LogIndex) -> Sequence[Membership]:
        """The membership in force after the entry at `index`, and all later ones."""
        return self._memberships[max(0, bisect_right(self._indexes, index) - 1) :]

    def append(self, index: LogIndex, membership: Membership) -> None:
        """The entry at `index` puts `membership` in force."""
        self._indexes.append(index)
        self._memberships.append(membership)

    def truncate(self, first: LogIndex) -> bool:
        """Entries from `first` on are gone; True when the membership in force changed."""
        before = len(self._indexes)
        while len(self._indexes) > 1 and self._indexes[-1] >= first:
            self._indexes.pop()
            self._memberships.pop()
        return len(self._indexes) < before

    def compact(self, index: LogIndex) -> None:
        """Forget what was in force before the entry at `index`."""
        keep = bisect_right(self._indexes, index) - 1
        if keep > 0:
            del self._indexes[:keep]
            del self._memberships[:keep]

    def reset(self, membership: Membership) -> None:
        """The log starts again after a snapshot with this membership."""
        self._indexes = [LogIndex(0)]
        self._memberships = [membership]


def _agreed(half: Sequence[NodeId], values: Mapping[NodeId, int]) -> int:
    ordered = sorted([values.get(voter, 0) for voter in half], reverse=True)
    return ordered[len(half) // 2]


def _ordered(nodes: Sequence[NodeId]) -> tuple[NodeId, ...]:
    return tuple(sorted(set(nodes)))


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Membership] = msgspec.msgpack.Decoder(Membership)

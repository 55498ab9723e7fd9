"""What an embedder may want to know of a member, at one instant. Owns the shapes; pure."""

from __future__ import annotations

import msgspec

from consensus.core.raft import RaftCore
from consensus.membership import Membership
from consensus.types import LogIndex, NodeId, Role, Term


class FollowerStatus(msgspec.Struct, frozen=True):
    """A follower as its leader sees it."""

    node: NodeId
    match_index: LogIndex
    """Known to be durable there."""
    state: str
    """`probe`, `replicate` or `snapshot`."""
    active: bool
    """Heard from in the present election timeout."""


class RaftStatus(msgspec.Struct, frozen=True):
    """What an embedder may want to know, at one instant."""

    role: Role
    term: Term
    leader: NodeId | None
    """A hint when this node does not lead."""
    commit_index: LogIndex
    applied_index: LogIndex
    last_index: LogIndex
    stable_index: LogIndex
    """Durable on this node's disk."""
    protected_index: LogIndex
    conflicts: int
    """Attempts to replace protected entries that were refused in this run; see `Authority`."""
    suspect: bool
    """The disk lost something: the node does not vote until it has caught up."""
    base_index: LogIndex = LogIndex(0)
    """The log begins after it."""
    membership: Membership = Membership(())
    membership_index: LogIndex = LogIndex(0)
    followers: tuple[FollowerStatus, ...] = ()
    """Of a leader."""


def status_of(core: RaftCore, applied: LogIndex) -> RaftStatus:
    """The status of `core`, whose entries are applied up to `applied`."""
    return RaftStatus(
        role=core.role,
        term=core.term,
        leader=core.leader,
        commit_index=core.commit_index,
        applied_index=applied,
        last_index=core.log.last_index,
        stable_index=core.log.stable_index,
        protected_index=core.protected_index,
        conflicts=core.conflicts,
        suspect=core.suspect,
        base_index=core.log.base.index,
        membership=core.membership,
        membership_index=core.membership_index,
        followers=tuple(
            FollowerStatus(node, peer.match, peer.state.value, peer.active)
            for node, peer in sorted(core.followers().items())
        ),
    )

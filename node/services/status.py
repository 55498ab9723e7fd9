"""The status of a node as the API shows it. Owns the values; `node.services.health` fills them."""

from __future__ import annotations

from typing import Literal

import msgspec

from node.following.evidence_views import EvidenceSummary
from node.voting.signing_view import SigningView


class RaftView(msgspec.Struct, frozen=True):
    """Consensus as this node sees it."""

    state: Literal["leader", "follower", "candidate", "observer"]
    term: int
    leader: str | None
    """Node name of the leader, when known."""
    commit_index: int
    applied_index: int
    base_index: int
    """The log begins after it."""


class PeerView(msgspec.Struct, frozen=True):
    """A peer as this node sees it."""

    node: str
    connected: bool
    height: int | None
    rtt_ms: int | None
    strikes: int = 0
    """How often it broke the rules of the links since this node started."""


class PoolView(msgspec.Struct, frozen=True):
    """What waits for inclusion here."""

    transactions: int
    bytes: int


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `GET /v1/status` shows but the query index. Field names are the JSON names."""

    node: str
    participant: str
    roles: tuple[str, ...]
    network_id: str
    """Lower-case hex."""
    version: str
    raft: RaftView
    height: int
    final_height: int
    tree_size: int
    root: str
    """Lower-case hex of the root at `tree_size`."""
    state_digest: str
    """Lower-case hex of the state digest after block `height`."""
    head_time_ms: int
    """Block time of `height`; 0 before the first block."""
    rules_version: int
    outbox: int
    """Own transactions that are acknowledged but not final."""
    peers: tuple[PeerView, ...]
    pool: PoolView
    observers: tuple[str, ...] = ()
    """Participants whose observers are linked to this voter."""
    evidence: EvidenceSummary = EvidenceSummary(0)
    rule_faults: int = 0
    """Transactions since the start over which the rules failed (`RULE_FAULT`)."""
    signing: SigningView = SigningView("signing")
    clock_offset_ms: int = 0
    """This clock less the middle of all clocks; 0 while too few peers are heard."""
    disk_free_bytes: int = 0
    """Of the file system of the data folder."""


class Check(msgspec.Struct, frozen=True):
    """One named condition of readiness."""

    name: str
    """A short stable word: it becomes a metric label."""
    ok: bool
    detail: str = ""
    fatal: bool = False
    """True when the process cannot recover by itself: `/livez` fails too."""

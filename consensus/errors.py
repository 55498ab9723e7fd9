"""The errors of the package, one family. Owns names only."""

from __future__ import annotations

from consensus.types import NodeId, Term


class ConsensusError(Exception):
    """Base of every error raised by this package."""


class ConfigError(ConsensusError, ValueError):
    """The configuration contradicts itself; the message says where."""


class ProtocolError(ConsensusError):
    """A peer sent bytes that no honest peer sends. Nothing was changed."""


class ProposalError(ConsensusError):
    """A payload was not taken into the log. Nothing was changed."""


class NotLeaderError(ProposalError):
    """This node does not lead. `leader` is a hint, possibly out of date."""

    def __init__(self, leader: NodeId | None) -> None:
        super().__init__(f"not the leader; the leader may be {leader}")
        self.leader = leader


class TermChangedError(ProposalError):
    """This node leads, but in another term than the caller believes."""

    def __init__(self, term: Term) -> None:
        super().__init__(f"the term is {term}")
        self.term = term


class WindowFullError(ProposalError):
    """Too much is proposed and not committed; try again when the commit index moves."""


class PayloadTooLargeError(ProposalError):
    """The payload exceeds `RaftConfig.payload_bytes_max`."""


class TransferringError(ProposalError):
    """This node is handing leadership over and takes no proposals meanwhile."""


class MembershipError(ProposalError):
    """The membership cannot be changed so, or not now; the message says why."""


class ReadError(ConsensusError):
    """No index for a linearizable read: no leader, too many reads, or leadership changed. Retry."""


class SnapshotError(ConsensusError):
    """A snapshot is needed and missing, or cannot be made."""


class StoreFullError(ConsensusError):
    """The disk has no room. Nothing of this write is stored, and it may be tried again."""


class StoppedError(ProposalError):
    """The node has not started, is stopped or has failed."""

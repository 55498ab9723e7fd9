"""Consensus as the other parts of a node see it: who leads, what may be proposed, what it is told.

Owns the way in and out of the Raft member, and whom news of it reaches. Knows no p2p.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from consensus.core.status import RaftStatus
from consensus.driver.node import RaftNode
from consensus.errors import ProposalError, ProtocolError, StoppedError
from consensus.types import LogIndex, NodeId, Role, Term
from node.following.finality import DivergedError
from node.following.halt import Halt, HaltedError
from node.peers.messages import DishonestError
from node.storage.ledger_values import AppliedBlock
from node.voting.cosigner import SigningHaltedError
from node.voting.entry_authority import EntryAuthority
from node.voting.proposing import Leadership

_NOT_STARTED = RaftStatus(
    role=Role.FOLLOWER,
    term=Term(0),
    leader=None,
    commit_index=LogIndex(0),
    applied_index=LogIndex(0),
    last_index=LogIndex(0),
    stable_index=LogIndex(0),
    protected_index=LogIndex(0),
    conflicts=0,
    suspect=False,
)

_log = structlog.get_logger("node.voting.consensus_access")


class ConsensusNews:
    """Hears of every change of role, term or leader, and passes it on."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[RaftStatus], None]] = []

    def listen(self, listener: Callable[[RaftStatus], None]) -> None:
        """Tell of every change; registered before the start."""
        self._listeners.append(listener)

    def __call__(self, status: RaftStatus) -> None:
        """Something changed."""
        _log.info("raft", role=status.role.name.lower(), term=status.term, leader=status.leader)
        for listener in self._listeners:
            listener(status)


class ConsensusAccess:
    """One Raft member; implements `proposing.Consensus`."""

    def __init__(self, raft: RaftNode, authority: EntryAuthority, halt: Halt) -> None:
        self._raft = raft
        self._authority = authority
        self._halt = halt

    # --- What it says ------------------------------------------------------------------------

    def status(self) -> RaftStatus:
        """Consensus now; after a failure its last state, without a leader."""
        try:
            status = self._raft.status
        except StoppedError:
            return _NOT_STARTED
        if self._raft.failed.done() or self._halt.reason is not None:
            return msgspec.structs.replace(status, role=Role.FOLLOWER, leader=None)
        return status

    def leader(self) -> int | None:
        """The leader's number, when one is known."""
        return self.status().leader

    def leadership(self) -> Leadership:
        """The present role."""
        status = self.status()
        return Leadership(status.role is Role.LEADER, status.term, status.leader)

    async def watch(self) -> BaseException | None:
        """Wait until consensus fails. A halt is told as such: reads go on; else the error."""
        failed = self._raft.failed
        await asyncio.wait({failed})
        await self._raft.stop()
        error = failed.exception() or RuntimeError("consensus stopped")
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, (HaltedError, DivergedError, SigningHaltedError)):
                self._halt.stop(cause)
                return None
            cause = cause.__cause__
        return error

    # --- What it is told ---------------------------------------------------------------------

    def propose(self, payload: bytes, term: int) -> int | None:
        """Propose an entry; its index, or None when there is no room or no leadership."""
        try:
            return self._raft.propose(payload, Term(term))
        except ProposalError as error:
            _log.debug("not proposed", reason=str(error))
            return None

    def receive(self, number: int, message: bytes) -> None:
        """A message of another member.

        Raises:
            DishonestError: no honest node sends this.
        """
        if self._halt.reason is not None:
            return
        try:
            self._raft.receive(NodeId(number), message)
        except ProtocolError as error:
            self._authority.salvage(NodeId(number), message)
            raise DishonestError(str(error)) from error

    def applied(self, block: AppliedBlock) -> None:
        """A block is stored: its entry is never given up."""
        self._raft.protect(LogIndex(block.raft_index))

    def distrust(self) -> None:
        """The marker is not what it was, so the votes in it are not either."""
        self._raft.distrust()

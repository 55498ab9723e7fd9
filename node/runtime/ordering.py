"""What puts blocks in order and brings them in: consensus, and the parts around it.

Owns their construction. Consensus and what follows a ledger meet here.
"""

from __future__ import annotations

from typing import NamedTuple

from consensus.config import RaftConfig
from consensus.driver.node import RaftNode
from consensus.ports import Life
from consensus.types import NodeId
from node.following.applier import Applier
from node.following.catchup import CatchUp
from node.following.parts import Following
from node.following.ranges import Ranges
from node.peers.router import Router
from node.runtime.files import VoterFiles
from node.runtime.given import Given
from node.storage.raft_log import ENTRY_FORMAT
from node.voting.consensus_access import ConsensusAccess, ConsensusNews
from node.voting.consensus_adapter import RaftApplier, RaftSender, receipts_secret
from node.voting.entry_authority import EntryAuthority
from node.voting.proposing import InFlight
from node.voting.signing import Signing
from node.voting.snapshots import Snapshots

FORGED = "sent an entry that no leader may sign"


class Ordering(NamedTuple):
    """The parts."""

    signing: Signing
    applier: Applier
    ranges: Ranges
    raft: RaftNode
    news: ConsensusNews
    consensus: ConsensusAccess


def build_ordering(
    given: Given, files: VoterFiles, router: Router, following: Following, in_flight: InFlight
) -> Ordering:
    """Put the parts together; nothing runs yet."""
    voters, (ledger, reader, _) = given.identity.voters, files.books
    certificates = following.certificates
    signing = Signing(given.identity.me.number, files.cosigner, certificates, ledger, router)
    applier = Applier(ledger, certificates, following.halt, signing)
    ranges = Ranges(
        voters,
        lambda: ledger.head.height,
        following.finality,
        following.peers,
        given.clock,
        router.strike,
    )
    catch_up = CatchUp(voters, ledger, applier, ranges, given.clock)
    authority = EntryAuthority(
        voters,
        given.keys.identity,
        given.clock,
        following.evidence.keeper,
        following.evidence.dissent,
        router.allowance.takes_entry,
        lambda number: router.strike_raft(number, FORGED),
    )
    snapshots = Snapshots(voters.network_id, ledger, reader, following.tracker)
    news = ConsensusNews()
    raft = RaftNode(
        raft_config(given),
        files.log_store,
        RaftSender(router.send_raft),
        RaftApplier(voters, ledger, applier, in_flight, snapshots, catch_up),
        authority,
        news,
        files.snapshots,
        Life(rng=given.rng, secret=receipts_secret(given.keys.identity)),
    )
    consensus = ConsensusAccess(raft, authority, following.halt)
    return Ordering(signing, applier, ranges, raft, news, consensus)


def raft_config(given: Given) -> RaftConfig:
    """Pace and limits of consensus."""
    voters, limits = given.identity.voters, given.config.raft
    return RaftConfig(
        node=NodeId(given.identity.me.number),
        voters=tuple(NodeId(voter.number) for voter in voters.voters),
        entries=ENTRY_FORMAT,
        liars_max=voters.f,
        snapshot_entries=limits.snapshot_entries,
        snapshot_bytes=limits.snapshot_bytes,
        trailing_entries=limits.trailing_entries,
        trailing_bytes=limits.trailing_bytes,
    )

"""What every node has to follow a ledger, voter or not: these parts, put together in their order.

Owns that order: each part is made from those before it. What brings blocks to them (`Applier`,
`CatchUp`) comes after, since a voter signs there.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import NamedTuple

from node.chain.certificate import Certificate
from node.chain.evidence.kinds import EntryStatement
from node.following.applier import BlockListener
from node.following.blockserver import BlockServer
from node.following.certificates import Certificates
from node.following.dissent import Dissent, Log
from node.following.evidence_keeper import EvidenceKeeper
from node.following.excuses import Excuses
from node.following.finality import Finality
from node.following.halt import Halt
from node.following.history import HistoryCheck
from node.following.identity import NodeIdentity
from node.following.index_follower import IndexFollower
from node.following.participants import Participants
from node.following.peer_states import PeerStates
from node.following.standing import Standing
from node.following.statements import Statements
from node.following.tracker import Tracker
from node.peers.messages import EvidenceMessage, ResumptionMessage
from node.peers.ports import Links
from node.storage.index import QueryIndex
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.system.clock import Clock


async def no_log(_: int, __: int) -> Sequence[tuple[EntryStatement, bytes]]:
    """Entries of a node that keeps none."""
    return ()


class Books(NamedTuple):
    """The files that a follower writes and reads."""

    ledger: Ledger
    reader: LedgerReader
    query_index: QueryIndex


class Share(NamedTuple):
    """What this node adds, beside following: the defaults are those of one that does not vote."""

    on_work: Callable[[], None] = lambda: None
    """Some peer has work: a leader may be to propose."""
    publish: Callable[[Certificate], Certificate] = lambda certificate: certificate
    """Adds the signature under which outsiders take a checkpoint."""
    read_log: Log = no_log
    """The entries that blocks came from."""


FOLLOWS_ONLY = Share()


class EvidenceParts(NamedTuple):
    """What finds out who lied."""

    excuses: Excuses
    keeper: EvidenceKeeper
    dissent: Dissent

    def attach(self, links: Links) -> None:
        """Take messages from now on. Resumptions are told before what they may excuse."""
        self.excuses.attach(links)
        self.keeper.attach(links)
        self.dissent.attach(links)


class NeighbourParts(NamedTuple):
    """What asks other nodes, and answers them."""

    states: PeerStates
    history: HistoryCheck
    server: BlockServer

    def attach(self, links: Links) -> None:
        """Take messages from now on."""
        self.states.attach(links)
        self.history.attach(links)
        self.server.attach(links)


class Following(NamedTuple):
    """The parts."""

    books: Books
    halt: Halt
    tracker: Tracker
    participants: Participants
    evidence: EvidenceParts
    certificates: Certificates
    neighbours: NeighbourParts
    indexer: IndexFollower

    @property
    def finality(self) -> Finality:
        """The counting of what voters sign."""
        return self.certificates.finality

    @property
    def peers(self) -> PeerStates:
        """Where the other nodes stand."""
        return self.neighbours.states

    def attach(self, links: Links) -> None:
        """Take messages from now on."""
        self.evidence.attach(links)
        Statements(self.certificates, self.evidence.dissent, self.halt).attach(links)
        self.neighbours.attach(links)

    @property
    def listeners(self) -> tuple[BlockListener, ...]:
        """Those that hear of every stored block, in this order."""
        return (
            self.tracker.on_block,
            self.participants.on_block,
            self.evidence.dissent.on_block,
            self.indexer.applied,
        )

    def loops(self) -> tuple[Coroutine[object, object, None], ...]:
        """The work that does not wait for anything else to be started."""
        return (
            self.evidence.keeper.keep(),
            self.evidence.keeper.settle(),
            self.certificates.keep(),
            self.neighbours.server.serve(),
            self.evidence.dissent.run(),
            self.neighbours.history.run(),
        )


def build_following(
    identity: NodeIdentity, books: Books, links: Links, clock: Clock, share: Share = FOLLOWS_ONLY
) -> Following:
    """Put the parts together; nothing runs yet."""
    voters, (ledger, reader, query_index) = identity.voters, books
    halt, tracker = Halt(), Tracker()
    excuses = Excuses(voters, ledger, reader, lambda body: links.broadcast(ResumptionMessage(body)))
    keeper = EvidenceKeeper(
        voters,
        ledger,
        reader,
        clock,
        lambda body: links.broadcast(EvidenceMessage(body)),
        halt.stop,
        excuses,
    )
    dissent = Dissent(voters, keeper, lambda: ledger.head, share.read_log, links.broadcast, clock)
    finality = Finality(voters, 0, keeper, dissent.notice)
    certificates = Certificates(voters, finality, ledger, tracker, clock, share.publish)
    peers = PeerStates(links, certificates, Standing(voters.f), clock, share.on_work)
    history = HistoryCheck(
        voters,
        finality,
        lambda: ledger.head,
        reader,
        clock,
        halt.stop,
        peers,
        lambda: certificates.note,
    )
    return Following(
        books=books,
        halt=halt,
        tracker=tracker,
        participants=Participants(identity.genesis),
        evidence=EvidenceParts(excuses, keeper, dissent),
        certificates=certificates,
        neighbours=NeighbourParts(peers, history, BlockServer(links, reader, clock)),
        indexer=IndexFollower(query_index, reader, tracker),
    )

"""Who waits in a node is answered once, and only with what is certain."""

from __future__ import annotations

import asyncio

import pytest

from consensus.core.log import RaftLog
from consensus.core.reads import ReadAnswer
from consensus.driver.waiting import Proposals, Reads, Watchers
from consensus.errors import NotLeaderError, ReadError
from consensus.membership import Membership
from consensus.outcomes import Committed, Outcome, Rejected, RejectReason, Unknown, UnknownReason
from consensus.snapshot import BEGINNING
from consensus.types import LogIndex, NodeId, Role, Term
from tests.consensus.lab import chain


def waiting() -> asyncio.Future[Outcome]:
    return asyncio.get_running_loop().create_future()


async def test_a_second_proposal_at_one_place_leaves_the_first_unknown() -> None:
    proposals, first, second = Proposals(), waiting(), waiting()
    proposals.add(LogIndex(1), Term(1), first)
    proposals.add(LogIndex(1), Term(3), second)
    proposals.applied(chain(3), ["result"])

    assert first.result() == Unknown(UnknownReason.REPLACED, LogIndex(1), Term(1))
    assert second.result() == Committed(LogIndex(1), Term(3), "result")


async def test_who_gave_up_is_not_answered() -> None:
    proposals = Proposals()
    for index in (1, 2, 3):
        given_up = waiting()
        proposals.add(LogIndex(index), Term(1), given_up)
        given_up.cancel()
    proposals.applied(chain(1), None)
    proposals.passed(LogIndex(2))
    proposals.abandon()


async def test_another_entry_at_the_place_is_a_rejection() -> None:
    proposals, future = Proposals(), waiting()
    proposals.add(LogIndex(1), Term(1), future)
    proposals.applied(chain(2, leader=7), None)

    outcome = future.result()
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.leader) == (RejectReason.REPLACED, 7)


async def test_a_read_waits_until_its_index_is_applied() -> None:
    loop = asyncio.get_running_loop()
    reads = Reads(9)
    futures = [loop.create_future() for _ in range(4)]
    tickets = [reads.add(future) for future in futures]
    futures[3].cancel()
    reads.answered([ReadAnswer(99, LogIndex(1))], LogIndex(1))
    reads.answered(
        [
            ReadAnswer(tickets[0], LogIndex(5)),
            ReadAnswer(tickets[1], LogIndex(3)),
            ReadAnswer(tickets[2], LogIndex(4)),
            ReadAnswer(tickets[3], LogIndex(3)),
        ],
        LogIndex(2),
    )
    futures[2].cancel()
    assert not any(future.done() for future in futures[:2])
    reads.applied(LogIndex(4))

    assert futures[1].result() == 3
    assert not futures[0].done()
    reads.abandon()
    with pytest.raises(ReadError, match="stopped"):
        futures[0].result()


async def test_reads_of_a_stopped_node_fail_but_for_those_given_up() -> None:
    loop = asyncio.get_running_loop()
    reads = Reads(9)
    given_up, open_still = loop.create_future(), loop.create_future()
    reads.add(given_up)
    reads.add(open_still)
    given_up.cancel()
    reads.abandon()

    assert isinstance(open_still.exception(), ReadError)


async def test_who_gave_up_takes_no_room_of_the_next() -> None:
    """An index may be far off: of a leader that lied, it is never applied."""
    loop = asyncio.get_running_loop()
    reads = Reads(2)
    futures = [loop.create_future() for _ in range(2)]
    tickets = [reads.add(future) for future in futures]
    reads.answered([ReadAnswer(ticket, LogIndex(2**62)) for ticket in tickets], LogIndex(1))
    with pytest.raises(ReadError, match="too many"):
        reads.add(loop.create_future())
    futures[0].cancel()
    later = loop.create_future()
    reads.answered([ReadAnswer(reads.add(later), LogIndex(3))], LogIndex(1))
    reads.applied(LogIndex(3))
    assert later.result() == 3
    assert not futures[1].done()


class Leader:
    """Stands for a core that leads, and of whose change another leader may have made an end."""

    role = Role.LEADER
    leader = NodeId(1)
    commit_index = membership_index = LogIndex(5)
    membership = Membership((NodeId(1),))

    def __init__(self, term: int, entry_term: int) -> None:
        self.term = Term(term)
        self.log = RaftLog([(Term(entry_term), b"h" * 32)] * 5, 1_000, BEGINNING)


async def test_a_change_counts_only_if_its_own_entry_is_committed() -> None:
    watchers = Watchers()
    await watchers.settled(Leader(3, 3), LogIndex(5), Term(3))  # type: ignore[arg-type]
    for other in (Leader(4, 4), Leader(3, 4)):
        with pytest.raises(NotLeaderError):
            await watchers.settled(other, LogIndex(5), Term(3))  # type: ignore[arg-type]


async def test_who_leads_again_in_another_term_has_lost_what_it_began() -> None:
    core = Leader(4, 3)
    with pytest.raises(NotLeaderError):
        await Watchers().turn(core, Term(3))  # type: ignore[arg-type]

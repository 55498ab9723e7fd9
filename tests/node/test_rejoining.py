"""A voter that lost its memory signs again when that is safe, and not later than it can."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consensus.status import RaftStatus
from consensus.types import HardState, LogIndex, NodeId, Role, Term
from node.chain.merkle import Frontier
from node.chain.voters import VoterSet
from node.cosigner import Cosigner
from node.rejoining import FILE, Rejoining
from node.storage.marker import Marker
from node.tracker import Tracker
from tests.chain.network import TIME_S, make_genesis, seed

STATUS = RaftStatus(
    role=Role.FOLLOWER,
    term=Term(2),
    leader=NodeId(1),
    commit_index=LogIndex(30),
    applied_index=LogIndex(20),
    last_index=LogIndex(30),
    stable_index=LogIndex(30),
    protected_index=LogIndex(0),
    conflicts=0,
    suspect=False,
)
replace = msgspec.structs.replace


class Voter:
    """One voter's parts, as after a start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = Marker.open(folder / "marker")
        voter = VoterSet.from_genesis(make_genesis()).voters[0]
        self.cosigner = Cosigner(voter, seed("bureau/cosign"), self.marker, lambda: TIME_S)
        self.tracker = Tracker()
        self.rejoining = Rejoining(folder, self.cosigner, self.tracker)

    def begin(self, height: int) -> bool:
        self.tracker.height = height
        self.rejoining.begin(self.marker, height)
        return self.cosigner.suspended

    def apply(self, height: int, index: int) -> None:
        self.tracker.height = height
        self.rejoining.on_applied(height, index)

    def signs(self, status: RaftStatus, final: int) -> bool:
        self.tracker.final_height = final
        self.rejoining.look(status)
        return not self.cosigner.suspended


@pytest.fixture
def voter(tmp_path: Path) -> Iterator[Voter]:
    made = Voter(tmp_path)
    yield made
    made.marker.close()


def restarted(voter: Voter) -> Voter:
    voter.marker.close()
    return Voter(voter.folder)


def test_a_new_voter_signs_at_once(voter: Voter) -> None:
    assert not voter.begin(0)


def test_without_a_marker_a_ledger_is_not_signed(voter: Voter) -> None:
    assert voter.begin(7)


def test_an_intact_marker_is_trusted_though_the_log_lost_something(voter: Voter) -> None:
    frontier = Frontier().append_hashes([bytes(32)])
    assert voter.cosigner.sign(1, 1, frontier.root(), frontier) is not None
    voter.marker.record_log(HardState(), LogIndex(0), bytes(32), suspect=True)
    again = restarted(voter)
    assert not again.begin(7)
    again.marker.close()


def test_a_lost_marker_is_still_lost_at_the_next_start(voter: Voter) -> None:
    voter.marker.record_log(HardState(), LogIndex(0), bytes(32), suspect=True)
    again = restarted(voter)
    assert again.begin(7)
    again.marker.close()


def test_it_waits_for_the_leader_the_log_and_finality_and_no_more(voter: Voter) -> None:
    assert voter.begin(5)
    assert not voter.signs(STATUS, 99)  # nothing was said of it yet
    voter.rejoining.on_status(replace(STATUS, suspect=True))
    voter.rejoining.on_status(replace(STATUS, leader=None))
    assert not voter.signs(STATUS, 99)
    voter.rejoining.on_status(STATUS)
    voter.rejoining.on_status(replace(STATUS, commit_index=LogIndex(900)))
    assert not voter.signs(STATUS, 99)
    voter.apply(9, 29)
    voter.apply(10, 32)  # between them, entries without a block
    voter.apply(11, 33)
    caught_up = replace(STATUS, applied_index=LogIndex(33))
    assert not voter.signs(caught_up, 8)
    assert voter.signs(caught_up, 9)  # heights 10 and 11 may need this voter


def test_the_committed_entry_itself_may_be_a_block(voter: Voter) -> None:
    assert voter.begin(5)
    voter.rejoining.on_status(STATUS)
    voter.apply(9, 30)
    assert not voter.signs(replace(STATUS, applied_index=LogIndex(30)), 8)
    assert voter.signs(replace(STATUS, applied_index=LogIndex(30)), 9)


def test_entries_without_blocks_are_caught_up_with_too(voter: Voter) -> None:
    assert voter.begin(5)
    voter.rejoining.on_status(STATUS)
    assert not voter.signs(replace(STATUS, applied_index=LogIndex(30)), 4)
    assert voter.signs(replace(STATUS, applied_index=LogIndex(30)), 5)


def test_the_operators_word_holds_over_restarts_until_it_signs(voter: Voter) -> None:
    (voter.folder / FILE).touch()
    assert Rejoining.is_asked(voter.folder)
    assert voter.begin(0)
    again = restarted(voter)
    assert again.begin(0)
    again.rejoining.on_status(STATUS)
    again.apply(3, 30)
    assert again.signs(replace(STATUS, applied_index=LogIndex(30)), 3)
    assert not Rejoining.is_asked(voter.folder)
    last = restarted(again)
    assert not last.begin(0)
    last.marker.close()

"""Plays the scenarios in `scenarios/`: each file says what goes wrong and what must happen."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.messages import AppendResponse, AppendStatus
from consensus.snapshot import BEGINNING
from consensus.types import HardState, LogIndex, NodeId, Role, Term
from tests.consensus import scenario
from tests.consensus.directives import play
from tests.consensus.expectations import UnmetError
from tests.consensus.invariants import ViolationError
from tests.consensus.lab import chain

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.txt"))
UNSOLVED: dict[str, str] = {}
"""What fails, and why it does."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scenario(path: Path, request: pytest.FixtureRequest) -> None:
    if path.stem in UNSOLVED:
        request.applymarker(pytest.mark.xfail(strict=True, reason=UNSOLVED[path.stem]))
    as_is, played = scenario.run(path)
    if request.config.getoption("--rewrite", default=False):
        path.write_text(played, encoding="utf-8")
    else:
        assert played == as_is


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_says_why_it_is_there(path: Path) -> None:
    first, *_ = path.read_text(encoding="utf-8").split("\n\n")

    assert all(line.startswith("#") for line in first.splitlines())
    assert "Found:" in first


# --- The players themselves ----------------------------------------------------------------------


def played(tmp_path: Path, *blocks: str) -> tuple[str, str]:
    path = tmp_path / "scenario.txt"
    path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return scenario.run(path)


def test_a_trace_is_held_against_the_file_and_can_be_rewritten(tmp_path: Path) -> None:
    head = "# Why.\n# Found: here."
    as_is, written = played(tmp_path, head, "add-nodes 1\n----\nwrong", "campaign 1\n----")
    expected = f"{head}\n\nadd-nodes 1\n----\nok\n\ncampaign 1\n----\n  1: pre-candidate"

    assert as_is != written
    assert written.startswith(expected.removesuffix("pre-candidate"))
    again, same = played(tmp_path, *written.removesuffix("\n").split("\n\n"))
    assert again == same == written


def test_several_directives_are_named_in_their_trace(tmp_path: Path) -> None:
    _, written = played(tmp_path, "add-nodes 1\ncampaign 1\nprocess 1\n----")

    assert "> campaign 1\n  1: candidate" in written
    assert "> process 1\n1 writes term=1 vote=1" in written


def test_a_demand_that_is_not_met_is_never_rewritten(tmp_path: Path) -> None:
    with pytest.raises(UnmetError, match="expect role 1 leader: it is follower"):
        played(tmp_path, "add-nodes 1\nexpect role 1 leader\n----\nok")


def test_a_refusal_must_be_expected(tmp_path: Path) -> None:
    refused = "add-nodes 1\npropose 1 x\n"
    with pytest.raises(AssertionError, match="nobody expected the refusal: not the leader"):
        played(tmp_path, refused + "----")
    with pytest.raises(UnmetError, match="expected a refusal"):
        played(tmp_path, refused + "expect refused because\n----")

    played(tmp_path, refused + "expect refused not the leader\n----")


def test_members_must_agree_in_the_end(tmp_path: Path) -> None:
    lost = "add-nodes 2\ncrash 1\ncrash 2\nwipe 1\nwipe 2\n"
    with pytest.raises(AssertionError, match="never agree again"):
        played(tmp_path, lost + "----")


@pytest.mark.parametrize(
    ("directives", "violation"),
    [
        ("forget-vote 2", "2 voted for 1 and 3"),
        ("replace-committed 3", "3 committed another entry at 1"),
        ("second-leader 2", "1 and 2 both lead term 1"),
        ("promise-unwritten 2", "2 promised to 1 what is not on its disk"),
        ("shorten-log 1", "the leader 1 replaced its own entries"),
        ("forget-term 2", "the disk of 2 forgot"),
    ],
)
def test_a_member_that_breaks_a_rule_is_found_out(directives: str, violation: str) -> None:
    """Rules are broken here by reaching into a core or its disk; no directive can do it."""
    stage = play("add-nodes 3", "campaign 1", "stabilize")
    trick, number = directives.split()
    member = stage.members[int(number)]
    core = stage.running(member.number)
    if trick == "forget-vote":
        core.state.vote = NodeId(3)
    elif trick == "replace-committed":
        entry = chain(1, leader=7)[0]
        core.log.reset(BEGINNING)
        core.log.append(entry)
        member.seen["commit"] = 0
    elif trick == "second-leader":
        core.state.role = Role.LEADER
    elif trick == "promise-unwritten":
        member.disk.entries.clear()
        core.state.outgoing.append(
            (NodeId(1), AppendResponse(Term(1), AppendStatus.OK, LogIndex(1)))
        )
    elif trick == "shorten-log":
        core.log.truncate(LogIndex(1))
        core.state.commit_index = LogIndex(0)
        member.seen["commit"] = 0
    else:
        member.disk.hard_state = HardState(Term(0))
    with pytest.raises(ViolationError, match=violation):
        stage.process(member)

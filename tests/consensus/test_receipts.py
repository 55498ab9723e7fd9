"""Receipts: a member recognises what it has forgotten, and nothing that others make up."""

from __future__ import annotations

import msgspec
import pytest

from consensus.config import RaftConfig
from consensus.core.raft import RaftCore
from consensus.core.state import Start
from consensus.messages import AppendResponse, AppendStatus, Heartbeat
from consensus.ports import Recovered
from consensus.receipts import SEAL_BYTES, Receipt, Sealer
from consensus.types import Entry, HardState, LogIndex, NodeId, Term
from tests.consensus.lab import Lab, ScriptedAuthority, ScriptedRng, chain
from tests.consensus.letters import append

SECRET = b"known to member 1"
LEADER = NodeId(0)
LOG = chain(2, 2, 2)


def restarted(log: list[Entry], term: int = 2, life: int = 7) -> RaftCore:
    """Member 1 with that log, in a later life than that of the receipts here."""
    return RaftCore(
        RaftConfig(node=NodeId(1), voters=(NodeId(0), NodeId(1), NodeId(2))),
        Start(
            recovered=Recovered(HardState(Term(term)), [(entry.term, entry.hash) for entry in log]),
            life=life,
            secret=SECRET,
        ),
        ScriptedAuthority(),
        ScriptedRng(1),
    )


def receipt(index: int = 3, term: int = 2, life: int = 5, secret: bytes = SECRET) -> Receipt:
    """For the entry at `index` of the leader's log."""
    at, entry_hash = LogIndex(index), LOG[index - 1].hash
    return Receipt(life, at, entry_hash, Sealer(secret).seal(life, Term(term), at, entry_hash))


def show(core: RaftCore, shown: Receipt, term: int = 2) -> None:
    core.step(LEADER, Heartbeat(Term(term), LogIndex(0), LogIndex(3), held=shown))


def test_an_older_copy_is_told_by_its_own_seal() -> None:
    core = restarted(LOG[:1])
    show(core, receipt())

    assert core.suspect
    write = core.ready().write
    assert write is not None
    assert write.batch.distrusted, "and the disk knows it before anybody else"


def test_a_copy_from_before_the_leaders_term_is_told_too() -> None:
    core = restarted([], term=1)
    show(core, receipt())

    assert core.suspect


@pytest.mark.parametrize(
    "shown",
    [
        receipt(secret=b"of somebody else"),
        receipt(term=1),
        receipt(life=7),
        receipt(life=9),
        msgspec.structs.replace(receipt(), seal=bytes(SEAL_BYTES)),
        msgspec.structs.replace(receipt(), seal=b""),
        msgspec.structs.replace(receipt(2), index=LogIndex(3)),
        msgspec.structs.replace(receipt(), hash=bytes(32)),
        msgspec.structs.replace(receipt(), life=4),
    ],
    ids=["another", "earlier term", "this life", "later", "zero", "none", "index", "hash", "life"],
)
def test_what_a_liar_makes_up_or_has_kept_puts_nobody_out_of_action(shown: Receipt) -> None:
    core = restarted(LOG[:1])
    show(core, shown)

    assert not core.suspect


def test_what_is_held_was_not_forgotten() -> None:
    core = restarted(LOG)
    show(core, receipt())

    assert not core.suspect


def test_what_a_leader_replaced_was_not_forgotten() -> None:
    """A leader that lies has member 1 acknowledge an entry, and replaces it itself."""
    core = restarted(LOG)
    core.step(LEADER, append(chain(2, leader=9, first=LOG[:1]), 1, 2))
    show(core, receipt())

    assert core.log.hash_at(LogIndex(2)) != LOG[1].hash
    assert not core.suspect


def test_a_leader_shows_the_most_that_was_acknowledged_to_it() -> None:
    lab = Lab(3)
    lab.elect(0)
    for _ in range(3):
        lab.propose(0)
    lab.settle()
    lab.cores[0].step(NodeId(1), AppendResponse(Term(1), AppendStatus.OK, LogIndex(2)))
    lab.cores[0].tick()
    lab.tick(0)
    shown = [m.held for _, to, m in lab.mail if isinstance(m, Heartbeat) and to == 1]

    assert shown[-1] is not None
    assert (shown[-1].index, shown[-1].hash) == (4, lab.cores[0].log.hash_at(LogIndex(4)))
    assert Sealer(b"").made(shown[-1], Term(1))

"""Letting a stage run: until nothing moves, tick by tick, and to the agreement at the end.

Owns the order in which members take their turns; what a turn does is the stage's.
"""

from __future__ import annotations

from collections.abc import Collection

from consensus.ports import Admission
from tests.consensus.member import Member
from tests.consensus.stage import Mail, Stage
from tests.consensus.trace import KINDS
from tests.consensus.views import place_of

_ROUNDS = 2_000
"""More than any scenario needs until nothing moves."""
_TICKS_TO_AGREE = 300


def stabilize(stage: Stage, chosen: Collection[int] = (), kinds: Collection[str] = KINDS) -> None:
    """Let these (or all) members work and receive until nothing moves between them.

    Messages of other kinds than `kinds`, or to other members, stay where they are.
    """
    chosen = sorted(chosen or stage.members)
    stage.sent_shown = False
    for _round in range(_ROUNDS):
        moved = [_move(stage, stage.members[number]) for number in chosen]
        reachable = {*chosen, *(n for n, member in stage.members.items() if member.core is None)}
        mail: list[Mail] = []
        before, stage.mail = stage.mail, []
        for letter in before:
            taken = letter[1] in reachable and stage.kind(letter) in kinds
            (mail if taken else stage.mail).append(letter)
        for letter in mail:
            stage.deliver(letter)
        if not any(moved) and not mail:
            stage.sent_shown = True
            return
    raise AssertionError("the members never fall silent")


def _move(stage: Stage, member: Member) -> bool:
    moved = False
    for step in (stage.process, stage.write, stage.read, stage.apply):
        if member.core is None or (step in {stage.write, stage.read} and member.hung):
            continue
        moved |= step(member)
    return moved


def run_once(stage: Stage) -> None:
    """One tick for everybody, and what comes of it."""
    for member in stage.members.values():
        stage.tick(member)
    stabilize(stage)
    for member in stage.members.values():
        if member.snapshot_wanted and member.core is not None:
            newest = member.disk.shelf.newest
            if newest is None or member.applied > newest.index:
                stage.capture(member)


def _agreed(stage: Stage, left_out: Collection[int]) -> bool:
    """Whether a leader has committed something now, and all of its members have applied it."""
    leaders = [
        member
        for member in stage.members.values()
        if member.core is not None and member.core.leads_safely
    ]
    if not leaders:
        return False
    leader = max(leaders, key=lambda member: stage.running(member.number).term)
    core = stage.running(leader.number)
    if core.handing_over or core.membership.joint:
        return False
    last = core.propose(b"end", core.term)
    stabilize(stage)
    members = [
        stage.members[number]
        for number in sorted(core.membership.members)
        if number not in left_out
    ]
    return all(
        member.applied >= last
        and member.words == leader.words
        and not stage.running(member.number).suspect
        for member in members
    )


def close(stage: Stage, left_out: Collection[int]) -> None:
    """Once all faults are gone everybody must agree and go on, whatever happened before.

    Raises:
        AssertionError: when they do not.
    """
    stage.out, stage.quiet = [], True
    stage.cut.clear()
    for member in stage.members.values():
        member.hung = member.fails = False
        member.authority.verdict = Admission.ACCEPT
        if member.core is None and member.number not in left_out:
            stage.start(member)
    for _ in range(_TICKS_TO_AGREE):
        run_once(stage)
        if _agreed(stage, left_out):
            return
    places = [place_of(member) for member in stage.members.values()]
    raise AssertionError("the members never agree again: " + "; ".join(places))

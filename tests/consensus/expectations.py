"""What a scenario may demand. Unlike its trace, a demand is never rewritten.

    role|term|vote|leader|commit|last|base|applied|suspect|conflicts|up NODES VALUE
    log|stored NODE term/index…      the log in memory, or on the disk
    words NODE word…                 the state machine
    members NODE voters …            as the trace prints a membership
    stored-vote NODE term/vote       the hard state on the disk
    read NODE TICKET INDEX|fails|waits
    match|state LEADER NODE VALUE    what a leader knows of a follower
    leaders NODES|none               who leads now
    mail KIND from->to COUNT         messages on their way
    agree NODES                      equal logs and commit indexes
    refused TEXT                     the directive before was refused so

NODES is one number or several with commas.
"""

from __future__ import annotations

from consensus import codec
from consensus.core.raft import RaftCore
from consensus.errors import ConsensusError
from consensus.types import NodeId, Role
from tests.consensus.disk import Disk
from tests.consensus.member import Member
from tests.consensus.stage import Stage
from tests.consensus.trace import kind_of, show_membership


class UnmetError(AssertionError):
    """A scenario demands something else."""


def expect(stage: Stage, line: str, refusal: ConsensusError | None) -> ConsensusError | None:
    """Hold `line` against the stage.

    Returns:
        `refusal`, unless this expectation was about it.

    Raises:
        UnmetError: with what is there instead.
    """
    what, *words = line.split()
    if what == "refused":
        wanted = " ".join(words)
        if refusal is None or wanted not in str(refusal):
            raise UnmetError(f"expected a refusal with {wanted!r}; it was {refusal}")
        return None
    for found, wanted in _compare(stage, what, words):
        if found != wanted:
            raise UnmetError(f"expect {line}: it is {found}")
    return refusal


def _compare(stage: Stage, what: str, words: list[str]) -> list[tuple[str, str]]:
    """What there is beside what is wanted."""
    rest = " ".join(words[1:])
    if what == "leaders":
        leading = [n for n, member in stage.members.items() if _leads(member)]
        return [(_join(leading), words[0])]
    if what == "mail":
        return [(str(_count(stage, words[0], words[1])), words[2])]
    nodes = [int(node) for node in words[0].split(",")]
    members = [stage.members[node] for node in nodes]
    if what == "agree":
        ends = {_end_of(stage.running(node)) for node in nodes}
        return [(str(len(ends)), "1")]
    if what in {"match", "state"}:
        peer = stage.running(nodes[0]).followers()[NodeId(int(words[1]))]
        return [(str(peer.match) if what == "match" else peer.state.value, words[2])]
    if what == "read":
        return [(_read(members[0], int(words[1])), words[2])]
    found = [_of_disk(member.disk, what) or _of_member(member, what) for member in members]
    if any(value is None for value in found):
        raise ValueError(f"expect {what}: there is nothing of that name")
    return [(str(value), rest) for value in found]


def _of_disk(disk: Disk, what: str) -> str | None:
    if what == "stored":
        return " ".join(f"{entry.term}/{entry.index}" for entry in disk.entries) or "none"
    if what == "stored-vote":
        return f"{disk.hard_state.term}/{_name(disk.hard_state.vote)}"
    return None


def _of_member(member: Member, what: str) -> str | None:
    core = member.core
    match what:
        case "up":
            return "no" if core is None else "yes"
        case "applied":
            return str(member.applied)
        case "words":
            return " ".join(member.words) or "none"
        case _:
            assert core is not None, f"{member.number} is down"
            return _of_core(core, what)


def _of_core(core: RaftCore, what: str) -> str | None:
    log = core.log
    match what:
        case "role":
            return Role(core.role).name.lower().replace("_", "-")
        case "term":
            return str(core.term)
        case "vote":
            return _name(core.vote)
        case "leader":
            return _name(core.leader)
        case "commit":
            return str(core.commit_index)
        case "last":
            return f"{log.last_term}/{log.last_index}"
        case "base":
            return f"{log.base.term}/{log.base.index}"
        case "durable":
            return str(log.stable_index)
        case "log":
            places = range(log.base.index + 1, log.last_index + 1)
            return " ".join(f"{log.term_at(index)}/{index}" for index in places) or "none"
        case "members":
            return show_membership(core.membership)
        case "suspect":
            return "yes" if core.suspect else "no"
        case "handing-over":
            return "yes" if core.handing_over else "no"
        case "conflicts":
            return str(core.conflicts)
        case _:
            return None


def _read(member: Member, ticket: int) -> str:
    if ticket not in member.answers:
        return "waits"
    index = member.answers[ticket]
    return "fails" if index is None else str(index)


def _leads(member: Member) -> bool:
    return member.core is not None and member.core.role is Role.LEADER


def _end_of(core: RaftCore) -> tuple[int, bytes, int]:
    return core.log.last_index, core.log.last_hash, core.commit_index


def _count(stage: Stage, kind: str, link: str) -> int:
    sender, to = (int(end) for end in link.split("->"))
    return sum(
        (mail[0], mail[1]) == (sender, to)
        and kind_of(codec.decode(mail[2], NodeId(sender), stage.members[sender].config)) == kind
        for mail in stage.mail
    )


def _name(node: int | None) -> str:
    return "none" if node is None else str(node)


def _join(nodes: list[int]) -> str:
    return ",".join(map(str, nodes)) or "none"

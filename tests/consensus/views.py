"""What a scenario can print of a member that stands still. Pure."""

from __future__ import annotations

from consensus.core.raft import RaftCore
from consensus.types import Role
from tests.consensus.member import Member
from tests.consensus.trace import show_entry


def show_place(core: RaftCore) -> str:
    """Role, term, vote and leader."""
    role = Role(core.role).name.lower().replace("_", "-")
    vote = "none" if core.vote is None else core.vote
    leader = "none" if core.leader is None else core.leader
    return f"{role} term={core.term} vote={vote} leader={leader}"


def place_of(member: Member) -> str:
    """A member in one line."""
    core = member.core
    if core is None:
        return f"{member.number}: down"
    leading = " (safely)" if core.role is Role.LEADER and core.leads_safely else ""
    end = f"last={core.log.last_term}/{core.log.last_index}"
    suspect = " suspect" if core.suspect else ""
    return f"{member.number}: {show_place(core)}{leading} commit={core.commit_index} {end}{suspect}"


def show_positions(core: RaftCore) -> str:
    """Terms and indexes of the log in memory."""
    log = core.log
    places = range(log.base.index + 1, log.last_index + 1)
    return " ".join(f"{log.term_at(index)}/{index}" for index in places) or "empty"


def show_log(core: RaftCore) -> list[str]:
    """The log in memory, and how far it is durable."""
    log = core.log
    begins = f" after {log.base.term}/{log.base.index}" if log.base.index else ""
    return [f"{show_positions(core)}{begins}, durable up to {log.stable_index}"]


def show_followers(core: RaftCore) -> list[str]:
    """What a leader knows of its followers."""
    lines: list[str] = []
    for node, peer in sorted(core.followers().items()):
        notes = {
            "paused": peer.paused and not peer.replicating,
            "inactive": not peer.active,
            "uncounted": not peer.counted,
            "leaving": peer.leaving_ticks is not None,
            f"inflight={len(peer.window)}": bool(peer.window),
        }
        line = f"{node}: {peer.state.value} match={peer.match} next={peer.next}"
        lines.append(" ".join([line, *(note for note, there in notes.items() if there)]))
    return lines


def show_disk(member: Member) -> str:
    """What is stored."""
    disk = member.disk
    vote = "none" if disk.hard_state.vote is None else disk.hard_state.vote
    begins = f" after {disk.base.term}/{disk.base.index}" if disk.base.index else ""
    entries = ", ".join(map(show_entry, disk.entries)) or "no entries"
    return f"{member.number}: term={disk.hard_state.term} vote={vote}{begins}: {entries}"

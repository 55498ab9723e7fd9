"""How scenarios print what moves: one line a message, an entry as `term/index what`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.membership import Membership, decode_membership
from consensus.messages import (
    AppendRequest,
    AppendResponse,
    AppendStatus,
    ChunkResponse,
    Heartbeat,
    HeartbeatResponse,
    Message,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotChunk,
    TermRequest,
    TermResponse,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from consensus.ports import AppendBatch
from consensus.snapshot import Snapshot
from consensus.types import Entry, EntryKind


def kind_of(message: Message) -> str:
    """The name by which directives choose messages."""
    match message:
        case VoteRequest():
            return "PreVote" if message.pre else "Vote"
        case VoteResponse():
            return "PreVoteAnswer" if message.pre else "VoteAnswer"
        case AppendRequest():
            return "Append"
        case AppendResponse():
            return "AppendAnswer"
        case Heartbeat():
            return "Heartbeat"
        case HeartbeatResponse():
            return "HeartbeatAnswer"
        case TimeoutNow():
            return "TimeoutNow"
        case ReadIndexRequest():
            return "ReadIndex"
        case ReadIndexResponse():
            return "ReadIndexAnswer"
        case SnapshotChunk():
            return "Chunk" if message.data else "Offer"
        case ChunkResponse():
            return "ChunkAnswer"
        case TermRequest():
            return "Term"
        case TermResponse():
            return "TermAnswer"


_QUESTIONS = ("PreVote", "Vote", "Append", "Heartbeat", "ReadIndex", "Chunk", "Term")
KINDS = frozenset((*_QUESTIONS, *(f"{kind}Answer" for kind in _QUESTIONS), "TimeoutNow", "Offer"))


def show_message(sender: int, to: int, message: Message) -> str:
    """A message on its way."""
    return f"{sender}->{to} {kind_of(message)} term={message.term}{_details(message)}"


def _details(message: Message) -> str:
    match message:
        case VoteRequest():
            floor = f" floor={message.floor_index}" if message.floor_index else ""
            return f" last={message.last_term}/{message.last_index}{floor}"
        case VoteResponse():
            floor = f" floor={message.floor}" if message.floor else ""
            return f" for={message.campaign} {'granted' if message.granted else 'refused'}{floor}"
        case AppendRequest():
            place = f" prev={message.prev_term}/{message.prev_index} commit={message.commit}"
            return f"{place} {show_entries(message.entries)}"
        case AppendResponse():
            counted = "" if message.counted else " uncounted"
            if message.status is AppendStatus.MISMATCH:
                hint = f"{message.hint_term}/{message.hint_index}"
                return f" mismatch={message.index} hint={hint}{counted}"
            refused = " refused" if message.status is AppendStatus.REFUSED else ""
            return f" ok={message.index}{refused}{counted}"
        case Heartbeat():
            heir = "" if message.heir is None else f" heir={message.heir}"
            read = f" round={message.round}" if message.round else ""
            return f" commit={message.commit} last={message.last_index}{read}{heir}"
        case HeartbeatResponse():
            read = f" round={message.round}" if message.round else ""
            return read if message.counted else f"{read} uncounted"
        case TimeoutNow() | TermRequest() | TermResponse():
            return ""
        case ReadIndexRequest():
            return f" ticket={message.ticket}"
        case ReadIndexResponse():
            return f" ticket={message.ticket} index={message.index}"
        case SnapshotChunk():
            part = f" bytes={message.offset}..{message.offset + len(message.data)}"
            whole = f" snapshot={show_snapshot(message.snapshot)} size={message.snapshot.size}"
            return whole + (part if message.data else "")
        case ChunkResponse():
            outcome = "refused" if message.refused else f"held={message.offset}"
            return f" snapshot={message.index} {outcome}"


def show_entries(entries: Iterable[Entry]) -> str:
    """Entries in brackets."""
    return "[" + ", ".join(map(show_entry, entries)) + "]"


def show_entry(entry: Entry) -> str:
    """An entry; the payload of one that was there from the start says nothing new."""
    place = f"{entry.term}/{entry.index}"
    if entry.kind is EntryKind.NOOP:
        return f"{place} noop"
    if entry.kind is EntryKind.MEMBERSHIP:
        return f"{place} {show_membership(decode_membership(entry.payload))}"
    payload = entry.payload.decode()
    return place if payload == place else f'{place} "{payload}"'


def show_membership(membership: Membership) -> str:
    """Who votes, who voted before, who learns."""
    shown = "voters " + ",".join(map(str, membership.voters))
    if membership.outgoing:
        shown += " outgoing " + ",".join(map(str, membership.outgoing))
    if membership.learners:
        shown += " learners " + ",".join(map(str, membership.learners))
    return shown


def show_snapshot(snapshot: Snapshot) -> str:
    """A snapshot by the place of its last entry."""
    return f"{snapshot.term}/{snapshot.index}"


def show_batch(batch: AppendBatch) -> str:
    """What one write makes durable."""
    parts: list[str] = []
    if batch.hard_state is not None:
        parts.append(f"term={batch.hard_state.term} vote={batch.hard_state.vote or 'none'}")
    if batch.base is not None:
        begins = f"{batch.base.term}/{batch.base.index}"
        parts.append(f"{'reset' if batch.reset else 'compact'}={begins}")
    if batch.caught_up:
        parts.append("caught-up")
    if batch.distrusted:
        parts.append("distrusted")
    if batch.entries:
        parts.append(show_entries(batch.entries))
    return " ".join(parts)

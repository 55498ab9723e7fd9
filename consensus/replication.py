"""What a leader knows of its followers. Exists only while this node leads; pure.

Each follower is probed, one append at a time, until its log is known to match; then appends are
pipelined within a window of messages and bytes. A lost message shows within a heartbeat: the
answer to a heartbeat makes the leader send an append, if only an empty one, which the follower
cannot match when something before it is missing; the window is then dropped and probing resumes.
"""

from __future__ import annotations

from collections import deque

import msgspec

from consensus.config import RaftConfig
from consensus.durability import Addressed
from consensus.log import RaftLog, entry_bytes
from consensus.messages import AppendRequest, AppendResponse, AppendStatus
from consensus.types import Entry, LogIndex, NodeId, Term


class ReadRequest(msgspec.Struct, frozen=True):
    """Entries that a follower needs and memory lacks. Answer with `RaftCore.on_read`."""

    follower: NodeId
    term: Term
    first: LogIndex
    last: LogIndex
    bytes_max: int


class Progress:
    """One follower, as its leader sees it."""

    __slots__ = (
        "active",
        "counted",
        "match",
        "next",
        "nudged",
        "paused",
        "reading",
        "refused",
        "replicating",
        "told_commit",
        "window",
        "window_bytes",
    )

    def __init__(self, next_index: LogIndex) -> None:
        self.match = LogIndex(0)
        """Known to be durable there and equal."""
        self.next = next_index
        """First entry of the next append."""
        self.replicating = False
        """False: probing."""
        self.paused = False
        """Probing, and the probe is on its way."""
        self.nudged = False
        """Send an append even if there is nothing new."""
        self.active = True
        """Heard from since the last check of the quorum."""
        self.counted = True
        self.refused = False
        self.told_commit = LogIndex(0)
        self.reading: ReadRequest | None = None
        self.window: deque[tuple[LogIndex, int]] = deque()
        """(last index, bytes) of the appends on their way."""
        self.window_bytes = 0

    def probe(self, next_index: int) -> None:
        """Forget what is on its way and probe from `next_index`."""
        self.next = LogIndex(max(next_index, self.match + 1))
        self.replicating = self.paused = False
        self.reading = None
        self.window.clear()
        self.window_bytes = 0

    def advance(self, index: LogIndex) -> None:
        """Everything up to `index` is durable there."""
        self.match = max(self.match, index)
        self.next = max(self.next, LogIndex(self.match + 1))
        while self.window and self.window[0][0] <= self.match:
            self.window_bytes -= self.window.popleft()[1]


class Leadership:
    """Progress of all followers, and what is proposed and not committed."""

    def __init__(self, config: RaftConfig, log: RaftLog, term: Term) -> None:
        self._config = config
        self._log = log
        self._term = term
        self._followers = {peer: Progress(LogIndex(log.last_index + 1)) for peer in config.peers}
        self._uncommitted: deque[tuple[LogIndex, int]] = deque()
        self._uncommitted_bytes = 0
        self._built: tuple[tuple[int, int, int], AppendRequest, int] | None = None

    def progress(self, follower: NodeId) -> Progress:
        """What is known of `follower`."""
        return self._followers[follower]

    def proposed(self, entry: Entry) -> None:
        """This node added `entry`."""
        size = entry_bytes(entry)
        self._uncommitted.append((entry.index, size))
        self._uncommitted_bytes += size

    def committed(self, index: LogIndex) -> None:
        """The commit index moved to `index`."""
        while self._uncommitted and self._uncommitted[0][0] <= index:
            self._uncommitted_bytes -= self._uncommitted.popleft()[1]

    def has_room(self, payload: bytes) -> bool:
        """Whether one more proposal fits."""
        return (
            len(self._uncommitted) < self._config.uncommitted_entries_max
            and self._uncommitted_bytes + len(payload) <= self._config.uncommitted_bytes_max
        )

    def agreed_index(self) -> LogIndex:
        """The highest index that is durable at a majority, this node's disk included."""
        matches = [self._log.stable_index]
        matches += [peer.match for peer in self._followers.values() if peer.counted]
        matches.sort(reverse=True)
        majority = self._config.majority
        return matches[majority - 1] if len(matches) >= majority else LogIndex(0)

    def keeps_quorum(self) -> bool:
        """Whether a majority was heard from since the last call (CheckQuorum)."""
        active = 1 + sum(peer.active for peer in self._followers.values())
        for peer in self._followers.values():
            peer.active = False
        return active >= self._config.majority

    def is_refused(self) -> bool:
        """Whether so many followers refuse an entry that no majority is left to store it."""
        refused = sum(peer.refused for peer in self._followers.values())
        return len(self._config.voters) - refused < self._config.majority

    def on_append_response(self, follower: NodeId, response: AppendResponse) -> None:
        """Take in an answer of this term."""
        peer = self._followers[follower]
        peer.active = True
        if response.index > self._log.last_index:
            return  # of nothing that this leader ever sent
        peer.counted = response.counted
        if response.status is AppendStatus.MISMATCH:
            self._on_mismatch(peer, response)
            return
        peer.advance(response.index)
        peer.refused = response.status is AppendStatus.REFUSED
        if peer.refused:
            peer.probe(peer.match + 1)
            peer.paused = True  # ask again after the next heartbeat
        elif not peer.replicating and peer.match + 1 >= peer.next:
            peer.replicating, peer.paused = True, False

    def on_heartbeat_response(self, follower: NodeId) -> None:
        """The follower lives and can be sent to."""
        peer = self._followers[follower]
        peer.active = True
        peer.paused = False
        peer.nudged = peer.match < self._log.last_index

    def on_read(
        self, request: ReadRequest, entries: list[Entry], commit: LogIndex
    ) -> list[Addressed]:
        """Entries arrived from the log store; an answer that is out of date is ignored."""
        peer = self._followers[request.follower]
        if peer.reading is not request:
            return []
        peer.reading = None
        if not entries or entries[0].index != peer.next:
            return []
        entries = entries[: self._config.message_entries_max]
        if any(self._log.hash_at(entry.index) != entry.hash for entry in entries):
            return []
        size = sum(map(entry_bytes, entries))
        self._note_sent(peer, entries[-1].index, size)
        return [(request.follower, self._append(entries[0].index, entries, commit))]

    def collect(self, commit: LogIndex) -> tuple[list[Addressed], list[ReadRequest]]:
        """The appends that can go now, and the reads without which some cannot."""
        messages: list[Addressed] = []
        reads: list[ReadRequest] = []
        for follower, peer in self._followers.items():
            if peer.reading is not None:
                continue
            sent = len(messages)
            while self._may_send(peer):
                if self._log.tail_first > peer.next <= self._log.last_index:
                    peer.reading = self._read_request(follower, peer.next)
                    reads.append(peer.reading)
                    break
                message, size = self._build(peer.next, commit)
                self._note_sent(peer, LogIndex(message.prev_index + len(message.entries)), size)
                peer.told_commit = commit
                messages.append((follower, message))
            told_enough = peer.told_commit >= min(commit, peer.next - 1) and not peer.nudged
            if len(messages) == sent and peer.replicating and not told_enough:
                messages.append((follower, self._append(peer.next, [], commit)))
                peer.told_commit = commit
            peer.nudged = False
        return messages, reads

    def _on_mismatch(self, peer: Progress, response: AppendResponse) -> None:
        if not response.counted:
            peer.match = LogIndex(0)  # it lost what it had acknowledged
        elif response.index <= peer.match:
            return  # answers an append from before the match was known
        if not peer.replicating and response.index != peer.next - 1:
            return  # answers an earlier probe
        found, _ = self._log.hint(response.hint_index, response.hint_term)
        peer.probe(min(response.index, found + 1))

    def _may_send(self, peer: Progress) -> bool:
        if not peer.replicating:
            return not peer.paused
        return (
            peer.next <= self._log.last_index
            and len(peer.window) < self._config.window_messages
            and peer.window_bytes < self._config.window_bytes
        )

    def _note_sent(self, peer: Progress, last: LogIndex, size: int) -> None:
        if not peer.replicating:
            peer.paused = True
            return
        peer.next = LogIndex(last + 1)
        peer.window.append((last, size))
        peer.window_bytes += size

    def _read_request(self, follower: NodeId, first: LogIndex) -> ReadRequest:
        last = min(self._log.tail_first - 1, first + self._config.message_entries_max - 1)
        return ReadRequest(
            follower, self._term, first, LogIndex(last), self._config.message_bytes_max
        )

    def _build(self, first: LogIndex, commit: LogIndex) -> tuple[AppendRequest, int]:
        """The append that starts at `first`; the same object for followers at the same place."""
        key = (first, self._log.last_index, commit)
        if self._built is None or self._built[0] != key:
            entries = self._log.slice(
                first,
                self._log.last_index,
                self._config.message_entries_max,
                self._config.message_bytes_max,
            )
            size = sum(map(entry_bytes, entries))
            self._built = (key, self._append(first, entries, commit), size)
        return self._built[1], self._built[2]

    def _append(self, first: LogIndex, entries: list[Entry], commit: LogIndex) -> AppendRequest:
        prev = LogIndex(first - 1)
        return AppendRequest(
            self._term,
            prev,
            self._log.term_at(prev),
            self._log.hash_at(prev),
            commit,
            tuple(entries),
        )

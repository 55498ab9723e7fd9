"""Messages that were received and not looked at. Owns their bounds, and whose turn it is. Pure.

Each sender has a queue of its own, and one message of each is taken in turn; when there is no room,
whoever has most in the box loses its newest. So a sender that floods costs itself its messages and
the others nothing.
"""

from __future__ import annotations

from collections import deque

from consensus.config import RaftConfig
from consensus.messages import Message
from consensus.types import NodeId


class _Queue:
    """What one sender has in the box."""

    __slots__ = ("mail", "size_bytes")

    def __init__(self) -> None:
        self.mail: deque[tuple[Message, int]] = deque()
        self.size_bytes = 0


class Inbox:
    """The messages of all senders, at most `inbox_messages_max` and `inbox_bytes_max`."""

    def __init__(self, config: RaftConfig) -> None:
        self._messages_max = config.inbox_messages_max
        self._bytes_max = config.inbox_bytes_max
        self._queues: dict[NodeId, _Queue] = {}
        """Of senders with mail; the first is whose turn it is."""
        self._messages = 0
        self._bytes = 0

    def __bool__(self) -> bool:
        return self._messages > 0

    def put(self, sender: NodeId, message: Message, size_bytes: int) -> None:
        """Add a message of `sender`, and drop what there is no room for."""
        queue = self._queues.setdefault(sender, _Queue())
        queue.mail.append((message, size_bytes))
        queue.size_bytes += size_bytes
        self._messages += 1
        self._bytes += size_bytes
        while self._messages > self._messages_max:
            self._drop(max(self._queues, key=lambda node: len(self._queues[node].mail)))
        while self._bytes > self._bytes_max:
            self._drop(max(self._queues, key=lambda node: self._queues[node].size_bytes))

    def take(self) -> tuple[NodeId, Message]:
        """The next message; there must be one."""
        sender, queue = next(iter(self._queues.items()))
        message, size_bytes = queue.mail.popleft()
        self._gone(sender, queue, size_bytes)
        if queue.mail and len(self._queues) > 1:  # to the end of the row
            del self._queues[sender]
            self._queues[sender] = queue
        return sender, message

    def clear(self) -> None:
        """Drop everything."""
        self._queues.clear()
        self._messages = self._bytes = 0

    def _drop(self, sender: NodeId) -> None:
        queue = self._queues[sender]
        _, size_bytes = queue.mail.pop()
        self._gone(sender, queue, size_bytes)

    def _gone(self, sender: NodeId, queue: _Queue, size_bytes: int) -> None:
        queue.size_bytes -= size_bytes
        self._messages -= 1
        self._bytes -= size_bytes
        if not queue.mail:
            del self._queues[sender]

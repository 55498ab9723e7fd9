"""How a message looks in the record of a run."""

from __future__ import annotations

from consensus.messages import AppendRequest, Message
from consensus.snapshot import Snapshot


def shown(message: Message) -> str:
    """A message on one line, without hashes and payloads."""
    name = type(message).__name__
    if isinstance(message, AppendRequest):
        last = message.prev_index + len(message.entries)
        prev = f"{message.prev_term}/{message.prev_index}"
        return f"{name} term={message.term} after {prev} to {last} commit={message.commit}"
    fields = {field: getattr(message, field) for field in message.__struct_fields__}
    parts = [
        f"{field}={value.index if isinstance(value, Snapshot) else value}"
        for field, value in fields.items()
        if not isinstance(value, bytes)
    ]
    return " ".join([name, *parts])

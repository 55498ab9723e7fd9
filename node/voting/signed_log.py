"""What leaders signed, as it stands in logs and messages: read to be compared, never to be obeyed.

Owns the reading of entries for that, of the log in use, of one set aside, and of a message that
consensus cannot take in.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import structlog

from consensus.errors import ConsensusError
from consensus.ports import LogStore
from consensus.stores.inspection import newest_entries
from consensus.types import Entry, LogIndex
from node.chain.evidence.kinds import EntryStatement
from node.storage.database import file_uri
from node.storage.raft_log import ENTRY_FORMAT

SALVAGED_MAX = 16
"""Entries looked at in a message that is malformed; it costs its sender the link anyway."""
SIGNATURE_BYTES = 64
OBSERVED_BYTES_MAX = 8 * 1_048_576
"""Of entries that are not applied yet; few, since applying is durable soon after a commit."""
RECORDED_MAX = 128
"""Entries of a log set aside that are told of: twice the heights that a voter may sign ahead."""

_log = structlog.get_logger("node.voting.signed_log")

_append_decoder = msgspec.msgpack.Decoder(
    tuple[int, object, object, object, object, object, list[msgspec.Raw]]
)
_entry_decoder = msgspec.msgpack.Decoder(tuple[int, int, int, int, bytes, bytes, bytes])


def signed_entries(message: bytes) -> list[tuple[EntryStatement, bytes]]:
    """The first entries in an append, with their payloads, however false its fields are."""
    found = []
    try:
        for raw in _append_decoder.decode(message)[-1][:SALVAGED_MAX]:
            term, index, kind, leader, prev_hash, payload, attestation = _entry_decoder.decode(raw)
            payload_hash = hashlib.sha256(payload).digest()
            header = ENTRY_FORMAT.header(term, index, kind, leader, prev_hash, payload_hash)
            if len(prev_hash) == len(payload_hash) and len(attestation) == SIGNATURE_BYTES:
                found.append((EntryStatement(header, attestation), payload))
    except (msgspec.MsgspecError, RecursionError, OverflowError, struct.error):
        pass  # what was read before counts
    return found


def statement_of(entry: Entry) -> EntryStatement:
    """What its leader signed of an entry."""
    return EntryStatement(entry.header, entry.attestation)


async def read_signed(store: LogStore, first: int, last: int) -> list[tuple[EntryStatement, bytes]]:
    """Applied entries of the log with their payloads; none where it was cut."""
    if not 0 < first <= last:
        return []
    try:
        entries = await store.read(LogIndex(first), LogIndex(last), OBSERVED_BYTES_MAX)
    except ConsensusError as error:  # damaged: consensus sees to that
        _log.warning("entries cannot be compared", reason=str(error))
        return []
    return [(statement_of(entry), entry.payload) for entry in entries]


def recorded_statements(path: Path) -> list[EntryStatement]:
    """What leaders signed of the newest entries in the file of a log that is no more in use."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(file_uri(path, "ro"), uri=True)) as connection:
            entries = newest_entries(connection, RECORDED_MAX, OBSERVED_BYTES_MAX, ENTRY_FORMAT)
    except (sqlite3.Error, ConsensusError) as error:
        _log.warning("a record of a log cannot be read", file=str(path), reason=str(error))
        return []
    return [statement_of(entry) for entry in entries]


async def observe_stored(
    store: LogStore, first: LogIndex, last: LogIndex, observe: Callable[[bytes, bytes], None]
) -> None:
    """Compare later entries with those that leaders signed before a restart."""
    if first > last:
        return
    try:
        entries = await store.read(first, last, OBSERVED_BYTES_MAX)
    except ConsensusError as error:  # cut off meanwhile, or damaged: consensus sees to that
        _log.warning("stored entries are not compared", reason=str(error))
        return
    for entry in entries:
        observe(entry.header, entry.attestation)

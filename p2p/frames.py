"""Encrypted records and the messages inside them, sans-IO.

Owns the record cipher, the framing and the bounded queue of what is to be sent. Must not know
sockets, clocks or randomness. Invariants: a plaintext is 1 to 65,519 bytes; a reader holds at
most one unfinished message per lane and at most 4 MiB of it; after its first error a reader or
opener must not be used again.

A record is a transport message of the Noise specification (rev. 34, sections 5.1 and 11.3):
ChaCha20-Poly1305 under the direction's key, the records' number as nonce, no associated data; both
sides call REKEY after every `REKEY_RECORDS`.

A plaintext is a sequence of pieces, each `flags u8 | kind u8 | length u16 | body`. A message of
more than one piece sets MORE on all but its last. Two lanes interleave, urgent and bulk; the
kind tells which. SESSION pieces belong to the session itself.
"""

from __future__ import annotations

import struct
from collections import deque

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from p2p.errors import LocalProtocolError, RecordError, RemoteProtocolError
from p2p.types import KIND_MAX, MESSAGE_BYTES_MAX, URGENT_KINDS, Link

RECORD_BYTES_MAX = 65_535
"""Noise's bound of a message."""
RECORD_OVERHEAD_BYTES = 16
PLAINTEXT_BYTES_MAX = RECORD_BYTES_MAX - RECORD_OVERHEAD_BYTES
REKEY_RECORDS = 4_096
"""At most 256 MiB under one key; on an idle link, where pings are the only records, an hour."""

HEADER = struct.Struct(">BBH")
PIECE_BYTES_MAX = PLAINTEXT_BYTES_MAX - HEADER.size
PIECE_BYTES_MIN = 1_024
"""Only the last piece of a message may be smaller, so a message has at most 4,097 pieces."""
MORE = 0x80
SESSION = 0x01

ACCEPT, PING, PONG, BYE = 0, 1, 2, 3
"""Session kinds: link confirmed (empty); round trip (8 bytes); its answer (same); end (text)."""
PING_BYTES = 8
BYE_BYTES_MAX = 128

MESSAGE_COST_BYTES = 128
"""What a queued message costs beyond its body: bounds the number of small ones."""
URGENT_RESERVE_BYTES = 1024 * 1024
"""Room in the gossip queue that bulk cannot take."""
SESSION_PIECES_MAX = 64

Received = tuple[bool, int, bytes]
"""(is a session piece, kind, body)."""


_NONCE = struct.Struct("<4xQ")
_REKEY_NONCE = _NONCE.pack(2**64 - 1)


class _Cipher:
    """Key and nonce of one direction: `CipherState` of the Noise specification."""

    __slots__ = ("_aead", "_number")

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._number = 0

    def next(self) -> tuple[ChaCha20Poly1305, bytes]:
        """The cipher and the nonce of the next record."""
        number = self._number
        if number and number % REKEY_RECORDS == 0:
            self._aead = ChaCha20Poly1305(self._aead.encrypt(_REKEY_NONCE, bytes(32), None)[:32])
        self._number = number + 1
        return self._aead, _NONCE.pack(number)


class Sealer:
    """Encrypts the records of one direction, in order."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher = _Cipher(key)

    def seal(self, plaintext: bytes) -> bytes:
        """The next record.

        Raises:
            LocalProtocolError: the plaintext is empty or too long.
        """
        if not 0 < len(plaintext) <= PLAINTEXT_BYTES_MAX:
            raise LocalProtocolError("a plaintext that cannot be sealed")
        aead, nonce = self._cipher.next()
        return aead.encrypt(nonce, plaintext, None)


class Opener:
    """Decrypts the records of one direction. One lost, repeated or altered record is the end."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        self._cipher: _Cipher | None = _Cipher(key)

    def open(self, record: bytes) -> bytes:
        """The plaintext of the next record.

        Raises:
            RecordError: the record is not the next one of this stream; also ever after.
        """
        cipher, self._cipher = self._cipher, None
        if cipher is None:
            raise RecordError("a record after a bad one")
        if not RECORD_OVERHEAD_BYTES < len(record) <= RECORD_BYTES_MAX:
            raise RecordError(f"a record of {len(record)} bytes")
        aead, nonce = cipher.next()
        try:
            plaintext = aead.decrypt(nonce, record, None)
        except InvalidTag as error:
            raise RecordError("a record that does not authenticate") from error
        self._cipher = cipher
        return plaintext


def session_piece(kind: int, body: bytes = b"") -> bytes:
    """One session piece, which is also a whole plaintext."""
    return HEADER.pack(SESSION, kind, len(body)) + body


class _Unfinished:
    """A message of which pieces are still to come."""

    __slots__ = ("kind", "pieces", "size")

    def __init__(self, kind: int, body: bytes) -> None:
        self.kind = kind
        self.pieces = [body]
        self.size = len(body)


class FrameReader:
    """Turns plaintexts back into messages."""

    __slots__ = ("_open", "_urgent_kinds")

    def __init__(self, link: Link) -> None:
        self._urgent_kinds = URGENT_KINDS if link is Link.GOSSIP else 0
        self._open: list[_Unfinished | None] = [None, None]
        """Per lane (bulk, urgent): the unfinished message."""

    def feed(self, plaintext: bytes) -> list[Received]:
        """The messages that `plaintext` completes, in order.

        Raises:
            RemoteProtocolError: the plaintext breaks the framing or a bound.
        """
        messages: list[Received] = []
        position, end = 0, len(plaintext)
        if end > PLAINTEXT_BYTES_MAX or end == 0:
            raise RemoteProtocolError(f"a plaintext of {end} bytes")
        unfinished, header_bytes, urgent_kinds = self._open, HEADER.size, self._urgent_kinds
        while position < end:
            if end - position < header_bytes:
                raise RemoteProtocolError("a truncated piece header")
            flags, kind, length = HEADER.unpack_from(plaintext, position)
            start = position + header_bytes
            position = start + length
            if position > end:
                raise RemoteProtocolError("a piece longer than its record")
            body = plaintext[start:position]
            if flags == 0 and unfinished[kind < urgent_kinds] is None:
                messages.append((False, kind, body))
            elif flags == SESSION:
                _check_session(kind, body)
                messages.append((True, kind, body))
            elif (whole := self._join(flags, kind, body)) is not None:
                messages.append((False, kind, whole))
        return messages

    def _join(self, flags: int, kind: int, body: bytes) -> bytes | None:
        if flags not in (0, MORE):
            raise RemoteProtocolError(f"unknown piece flags {flags:#x}")
        lane = kind < self._urgent_kinds
        if flags == MORE and len(body) < PIECE_BYTES_MIN:
            raise RemoteProtocolError(f"a piece of {len(body)} bytes that is not the last")
        unfinished = self._open[lane]
        if unfinished is None:
            self._open[lane] = _Unfinished(kind, body)
            return None
        if unfinished.kind != kind:
            raise RemoteProtocolError("a message begins within another of its lane")
        unfinished.size += len(body)
        if not body or unfinished.size > MESSAGE_BYTES_MAX:
            raise RemoteProtocolError("a message of more than 4 MiB, or with an empty end")
        unfinished.pieces.append(body)
        if flags == MORE:
            return None
        self._open[lane] = None
        return b"".join(unfinished.pieces)


def _check_session(kind: int, body: bytes) -> None:
    sound = {
        ACCEPT: not body,
        PING: len(body) == PING_BYTES,
        PONG: len(body) == PING_BYTES,
        BYE: len(body) <= BYE_BYTES_MAX,
    }
    if not sound.get(kind, False):
        raise RemoteProtocolError(f"a bad session piece {kind}")


class Outbox:
    """What waits to be sent on one link: bounded, urgent first, packed into full records."""

    __slots__ = (
        "_bulk",
        "_bulk_max",
        "_bytes_max",
        "_offsets",
        "_session",
        "_urgent",
        "_urgent_kinds",
        "queued_bytes",
    )

    def __init__(self, link: Link, bytes_max: int) -> None:
        self._urgent_kinds = URGENT_KINDS if link is Link.GOSSIP else 0
        self._bytes_max = bytes_max
        self._bulk_max = bytes_max - (URGENT_RESERVE_BYTES if link is Link.GOSSIP else 0)
        self._session: deque[bytes] = deque()
        self._bulk: deque[tuple[int, bytes]] = deque()
        self._urgent: deque[tuple[int, bytes]] = deque()
        self._offsets = [0, 0]
        """Per lane (bulk, urgent): what of its first message has been sent."""
        self.queued_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._bulk or self._urgent or self._session)

    def put(self, kind: int, body: bytes) -> bool:
        """Queue a message; False when there is no room.

        Raises:
            LocalProtocolError: the message could never be sent.
        """
        size = len(body)
        if size > MESSAGE_BYTES_MAX or not 0 <= kind <= KIND_MAX:
            raise LocalProtocolError(f"no message may have kind {kind} and {size} bytes")
        queued = self.queued_bytes + size + MESSAGE_COST_BYTES
        if kind < self._urgent_kinds:
            if queued > self._bytes_max:
                return False
            self._urgent.append((kind, body))
        else:
            if queued > self._bulk_max:
                return False
            self._bulk.append((kind, body))
        self.queued_bytes = queued
        return True

    def put_session(self, kind: int, body: bytes = b"") -> bool:
        """Queue a session piece ahead of everything; False when too many wait."""
        if len(self._session) >= SESSION_PIECES_MAX:
            return False
        self._session.append(session_piece(kind, body))
        return True

    def take(self) -> bytes:
        """The next plaintext, as full as the queue allows; empty when nothing waits."""
        parts: list[bytes] = []
        room = PLAINTEXT_BYTES_MAX
        while self._session:
            parts.append(self._session.popleft())
            room -= len(parts[-1])
        if self._urgent:
            room = self._pack(self._urgent, 1, parts, room)
        if self._bulk and not (self._urgent and room < HEADER.size + PIECE_BYTES_MIN):
            self._pack(self._bulk, 0, parts, room)
        return b"".join(parts)

    def _pack(
        self, queue: deque[tuple[int, bytes]], lane: int, parts: list[bytes], room: int
    ) -> int:
        """Move pieces of `queue` to `parts` while there is room; what room is left."""
        pack, header_bytes = HEADER.pack, HEADER.size
        offset = self._offsets[lane]
        while queue:
            kind, body = queue[0]
            size = len(body) - offset
            if size + header_bytes <= room:
                parts.append(pack(0, kind, size))
                parts.append(body[offset:] if offset else body)
                room -= size + header_bytes
                queue.popleft()
                self.queued_bytes -= len(body) + MESSAGE_COST_BYTES
                offset = 0
                continue
            piece = min(room - header_bytes, PIECE_BYTES_MAX)
            if piece >= PIECE_BYTES_MIN:
                parts.append(pack(MORE, kind, piece))
                parts.append(body[offset : offset + piece])
                offset += piece
                room -= piece + header_bytes
            break
        self._offsets[lane] = offset
        return room

"""Messages in encrypted records. Sans-IO: bytes in, messages out, and the other way round.

    stream      message ‖ message ‖ …     message: kind (1) ‖ length (4, big-endian) ‖ body
    record      ChaCha20-Poly1305 of at most 65,536 bytes of the stream; one a WebSocket frame

Records cut the stream where they are full, so many small messages share one and a large one spans
several. Each record's nonce counts up, so a lost, repeated or reordered record does not decrypt.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from nacl.exceptions import CryptoError

from p2p.errors import RemoteProtocolError
from p2p.handshake import TAG_BYTES, seal, unseal

RECORD_BYTES_MAX = 65_536
"""Plaintext of one record."""
FRAME_BYTES_MAX = RECORD_BYTES_MAX + TAG_BYTES
MESSAGE_BYTES_MAX = 4 * 1_048_576
"""Body of one message: the largest Raft entry with its envelope."""
REKEY_RECORDS = 65_536
"""A direction's key is replaced after so many records: at most 4 GiB under one key."""
_HEADER = struct.Struct(">BI")
_REKEY_NONCE = 2**64 - 1


class _Direction:
    """The key and nonce of one direction."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._nonce = 0

    def next(self) -> tuple[bytes, int]:
        """Key and nonce of the next record; re-keys as Noise section 11.3 describes."""
        if self._nonce and self._nonce % REKEY_RECORDS == 0:
            self._key = seal(self._key, _REKEY_NONCE, bytes(32))[:32]
        nonce = self._nonce
        self._nonce += 1
        return self._key, nonce


class RecordWriter:
    """Turns messages into records."""

    def __init__(self, key: bytes) -> None:
        self._direction = _Direction(key)

    def write(self, messages: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
        """Records that carry `messages`; the last one may be short."""
        parts: list[bytes] = []
        for kind, body in messages:
            parts += (_HEADER.pack(kind, len(body)), body)
        stream = memoryview(b"".join(parts))
        for start in range(0, len(stream), RECORD_BYTES_MAX):
            key, nonce = self._direction.next()
            yield seal(key, nonce, bytes(stream[start : start + RECORD_BYTES_MAX]))


class RecordReader:
    """Turns records into messages. After an error the link must be closed."""

    def __init__(self, key: bytes) -> None:
        self._direction = _Direction(key)
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes of an incomplete message."""
        return len(self._buffer)

    def read(self, record: bytes) -> list[tuple[int, bytes]]:
        """The messages that `record` completes.

        Raises:
            RemoteProtocolError: it does not authenticate, or announces too large a message.
        """
        if not TAG_BYTES < len(record) <= FRAME_BYTES_MAX:
            raise RemoteProtocolError("record has a wrong length")
        key, nonce = self._direction.next()
        try:
            self._buffer += unseal(key, nonce, record)
        except CryptoError as error:
            raise RemoteProtocolError("record does not authenticate") from error
        messages: list[tuple[int, bytes]] = []
        start, end = 0, len(self._buffer)
        with memoryview(self._buffer) as view:
            while end - start >= _HEADER.size:
                kind, length = _HEADER.unpack_from(view, start)
                if length > MESSAGE_BYTES_MAX:
                    raise RemoteProtocolError("message is too large")
                stop = start + _HEADER.size + length
                if stop > end:
                    break
                messages.append((kind, view[start + _HEADER.size : stop].tobytes()))
                start = stop
        del self._buffer[:start]
        return messages

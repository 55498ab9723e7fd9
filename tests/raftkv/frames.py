"""Frames on a stream: four bytes of length, then so many bytes. Owns buffers and their bounds.

Knows nothing of what a frame means. What is written in one turn of the event loop leaves together.
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

from typing_extensions import override

_LENGTH = struct.Struct(">I")
_BUFFER_BYTES = 262_144
UNSENT_BYTES_MAX = 64 * 1_048_576
"""More than two full windows of appends; what a peer does not read beyond that is dropped."""


class FrameStream(asyncio.BufferedProtocol):
    """One connection. Subclasses take frames in `on_frame`."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray(_BUFFER_BYTES)
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self.dropped = 0
        """Frames that the other side was too slow for."""

    def on_open(self) -> None:
        """The connection stands."""

    def on_frame(self, frame: bytes) -> None:
        """A whole frame arrived."""
        raise NotImplementedError

    def on_close(self) -> None:
        """The connection is gone."""

    def send(self, frame: bytes) -> bool:
        """Queue a frame; False when it is dropped, because nothing is open or too much waits."""
        transport = self._transport
        if transport is None:
            return False
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.dropped += 1
            return False
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += (_LENGTH.pack(len(frame)), frame)
        return True

    def close(self) -> None:
        """Close after what was queued."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(unsent)

    # --- What the transport calls ----------------------------------------------------------------

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.on_open()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._unsent = []
        self.on_close()

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._filled :]

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        start = 0
        with memoryview(self._buffer) as view:
            while self._filled - start >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(view, start)
                if size > self._frame_bytes_max:
                    self.close()
                    return
                end = start + _LENGTH.size + size
                if end > self._filled:
                    break
                self.on_frame(bytes(view[start + _LENGTH.size : end]))
                start = end
        self._keep(start)

    def _keep(self, start: int) -> None:
        """Move the part of a frame at `start` to the front, into a buffer that holds all of it."""
        rest = self._buffer[start : self._filled]
        if len(rest) >= _LENGTH.size:
            whole = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
            if whole > len(self._buffer):
                self._buffer = bytearray(whole + _BUFFER_BYTES)
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

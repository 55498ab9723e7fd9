"""The errors of the package: what the peer did, and what we did."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes in use (RFC 6455 section 7.4; 4000 and up are ours)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    TEXT = 1003
    INTERNAL = 1011
    HANDSHAKE = 4400
    """The handshake is malformed, forged, of another network or of another version."""
    UNKNOWN_IDENTITY = 4401
    REPLACED = 4409
    """Another connection serves this peer and link."""
    PENALISED = 4429
    """The peer broke rules a moment ago, or connects too often."""


class P2PError(Exception):
    """Base of everything this package raises."""


class LocalProtocolError(P2PError):
    """This program used the package wrongly: a bug here, not there."""


class ConfigError(P2PError, ValueError):
    """The configuration contradicts itself."""


class RemoteProtocolError(P2PError):
    """The peer broke the rules. The link is closed and the peer has to wait."""


class RecordError(P2PError):
    """A record failed authentication: the link is closed.

    Whoever is on the path can cause it, so it is not held against the peer.
    """


class HandshakeError(P2PError):
    """The other side is not who it should be, or speaks another protocol."""

    def __init__(self, reason: str, code: CloseCode = CloseCode.HANDSHAKE) -> None:
        super().__init__(reason)
        self.code = code


class LinkLostError(P2PError):
    """The connection ended."""


class DialError(P2PError):
    """A dial did not lead to a link."""

"""The errors of the package, one family. Owns names only."""

from __future__ import annotations


class P2PError(Exception):
    """Base of every error raised by this package."""


class ConfigError(P2PError, ValueError):
    """The configuration contradicts itself."""


class RemoteProtocolError(P2PError):
    """The peer sent what no honest peer sends. The link is closed."""


class HandshakeError(RemoteProtocolError):
    """The peer is not who it should be, or does not speak this protocol or network."""

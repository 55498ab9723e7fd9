"""Handshakes on the wire, in both roles: what `p2p.handshake` decides, sent and received.

Owns the node's secrets of the channel. Knows no table of links: the caller says when it may go on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from p2p.errors import CloseCode, LinkLostError, RemoteProtocolError
from p2p.frames import ACCEPT, Opener, Sealer, session_piece
from p2p.handshake import KEY_BYTES, Dialler, Listener, Local, Secrets
from p2p.identity import Identity
from p2p.transport import WebSocketStream
from p2p.types import Link, PeerId

Codec = tuple[Sealer, Opener]


class Handshakes:
    """All handshakes of one node."""

    def __init__(
        self,
        identity: Identity,
        network_id: bytes,
        known: Collection[PeerId],
        *,
        guests: bool = False,
    ) -> None:
        """Draw the channel's secret.

        Args:
            identity: This node's.
            network_id: Its network.
            known: Who may connect.
            guests: Whether others may too, on the gossip link.
        """
        self._identity = identity
        self._network_id = network_id
        self._known = known
        self._guests = guests
        self._static_secret = secrets.token_bytes(KEY_BYTES)

    async def listen(self, stream: WebSocketStream, link: Link) -> Secrets:
        """The listener's side, up to the dialler's last message.

        Raises:
            P2PError: it failed.
        """
        anyone = self._guests and link is Link.GOSSIP
        handshake = Listener(self._local(link), None if anyone else self._known)
        await stream.send(handshake.answer(await stream.receive()))
        return handshake.finish(await stream.receive())

    async def dial(
        self, stream: WebSocketStream, link: Link, peer: PeerId, commit: Callable[[Secrets], None]
    ) -> tuple[Secrets, Codec]:
        """The dialler's side, up to the listener's confirmation.

        Args:
            stream: The connection.
            link: Which link it is to be.
            peer: Who is dialled.
            commit: Called before the last message is sent; may raise.

        Raises:
            P2PError: it failed.
        """
        handshake = Dialler(self._local(link), peer)
        await stream.send(handshake.hello())
        message, keys = handshake.finish(await stream.receive())
        commit(keys)
        await stream.send(message)
        sealer, opener = Sealer(keys.send_key), Opener(keys.receive_key)
        if opener.open(await stream.receive()) != session_piece(ACCEPT):
            raise RemoteProtocolError("the link was not confirmed")
        return keys, (sealer, opener)

    def _local(self, link: Link) -> Local:
        return Local(
            identity=self._identity,
            network_id=self._network_id,
            link=link,
            static_secret=self._static_secret,
            ephemeral_secret=secrets.token_bytes(KEY_BYTES),
        )


async def refuse(stream: WebSocketStream, code: CloseCode) -> None:
    """Close a connection whose handshake came to nothing."""
    try:
        await stream.close(code)
    except LinkLostError:
        pass  # it has gone first
    finally:
        stream.abort()

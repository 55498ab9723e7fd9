"""All links of a node: listening, dialling, authenticating, replacing.

Owns connections and their number. The node with the lower identity dials both links of a pair, so
two nodes never race; a new authenticated link replaces a stale one of the same peer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from functools import partial

import aiohttp
from aiohttp import web

from p2p.config import P2PConfig
from p2p.errors import HandshakeError, RemoteProtocolError
from p2p.frames import FRAME_BYTES_MAX
from p2p.handshake import Handshake, HandshakeRole, LocalIdentity, SessionKeys
from p2p.limits import TokenBucket
from p2p.session import Session, Socket
from p2p.types import KnownPeer, Link, PeerHandler, PeerId, PeerStatus, Rng

PATHS = {Link.GOSSIP: "/p2p/1", Link.RAFT: "/raft/1"}
SUBPROTOCOL = "piaolian.p2p.1"
_HEADER_TIMEOUT_S = 10.0
"""aiohttp's keep-alive timer is its only limit on slow headers; its default is an hour."""
_CLOSE_TIMEOUT_S = 0.5
"""aiohttp waits ten seconds for a peer's close frame; a peer that broke the rules gets less."""
_BACKLOG = 128


class PeerNetwork:
    """The peers of one node."""

    def __init__(
        self,
        config: P2PConfig,
        secret_key: bytes,
        peers: Sequence[KnownPeer],
        handler: PeerHandler,
        rng: Rng,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            config: Where to listen, and the limits.
            secret_key: 64-byte Ed25519 identity key.
            peers: Who may connect, and is dialled.
            handler: Gets links and messages.
            rng: Jitter of redials.
        """
        self._config = config
        self._identity = LocalIdentity(secret_key, os.urandom(32), config.network_id)
        self._me = PeerId(secret_key[32:])
        self._peers = {peer.peer: peer for peer in peers}
        self._handler = handler
        self._rng = rng
        self._sessions: dict[tuple[PeerId, Link], Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unauthenticated: dict[str, int] = {}
        self._accepts = TokenBucket(config.accepts_per_second, config.accepts_burst, 0.0)
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None

    # --- Life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and begin to dial.

        Raises:
            OSError: the address cannot be bound.
        """
        application = web.Application()
        for link, path in PATHS.items():
            application.router.add_get(path, partial(self._accept, link))
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=_HEADER_TIMEOUT_S, shutdown_timeout=0.5
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.host, self._config.port, backlog=_BACKLOG)
        await site.start()
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the default would stop at fifty peers
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._config.handshake_timeout_s),
        )
        for peer in self._peers.values():
            if peer.address is not None and self._me < peer.peer:
                for link in Link:
                    self._spawn(self._keep_dialling(peer, link))

    async def stop(self) -> None:
        """Close every link and the listener."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in list(self._sessions.values()):
            session.abort("stopping")
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def port(self) -> int:
        """The port bound; useful when 0 was asked for."""
        assert self._runner is not None, "not started"
        return int(self._runner.addresses[0][1])

    def set_address(self, peer: PeerId, address: str) -> None:
        """Tell, before `start`, where a peer listens."""
        known = self._peers[peer]
        self._peers[peer] = KnownPeer(known.peer, known.name, address)

    # --- Messages ----------------------------------------------------------------------------

    def send(self, peer: PeerId, link: Link, kind: int, body: bytes) -> bool:
        """Queue a message; False when the link is down or its queue is full. Never blocks."""
        session = self._sessions.get((peer, link))
        return session is not None and session.send(kind, body)

    def connected(self, peer: PeerId, link: Link) -> bool:
        """Whether a link is up."""
        return (peer, link) in self._sessions

    def statuses(self) -> list[PeerStatus]:
        """What is known of every peer."""
        statuses = []
        for peer in self._peers.values():
            gossip = self._sessions.get((peer.peer, Link.GOSSIP))
            connected = all(self.connected(peer.peer, link) for link in Link)
            rtt_ms = None if gossip is None else gossip.rtt_ms
            statuses.append(PeerStatus(peer.peer, peer.name, connected, rtt_ms))
        return statuses

    def disconnect(self, peer: PeerId, reason: str) -> None:
        """Close both links to a peer."""
        for link in Link:
            session = self._sessions.get((peer, link))
            if session is not None:
                session.abort(reason)

    # --- Dialling ----------------------------------------------------------------------------

    async def _keep_dialling(self, peer: KnownPeer, link: Link) -> None:
        delay = self._config.redial_min_s
        while True:
            try:
                if await self._dial(peer, link):
                    delay = self._config.redial_min_s
            except (aiohttp.ClientError, OSError, TimeoutError, RemoteProtocolError):
                pass  # the peer is down, or not who it should be: try again
            except Exception as error:  # noqa: BLE001 - a fault here must not end the dialling
                _report("a link failed", error)
            await asyncio.sleep(delay * (0.5 + self._rng.random()))
            delay = min(delay * 2, self._config.redial_max_s)

    async def _dial(self, peer: KnownPeer, link: Link) -> bool:
        assert self._client is not None
        async with asyncio.timeout(self._config.handshake_timeout_s):
            socket = await self._client.ws_connect(
                f"http://{peer.address}{PATHS[link]}",
                protocols=(SUBPROTOCOL,),
                compress=0,
                autoping=False,
                autoclose=False,
                max_msg_size=FRAME_BYTES_MAX + 1,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT_S),
            )
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                keys = await self._shake(socket, HandshakeRole.INITIATOR, link, peer.peer)
                session = self._session(socket, link, keys)
                # A responder that refuses this node says so by closing: no link until it spoke.
                await session.confirm()
            await self._serve(session)
        finally:
            await _close(socket)
        return True

    # --- Accepting ---------------------------------------------------------------------------

    async def _accept(self, link: Link, request: web.Request) -> web.StreamResponse:
        remote = request.remote or ""
        limits = self._config
        now = asyncio.get_running_loop().time()
        if (
            sum(self._unauthenticated.values()) >= limits.unauthenticated_max
            or self._unauthenticated.get(remote, 0) >= limits.unauthenticated_per_address_max
            or not self._accepts.try_take(1, now)
        ):
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            autoping=False,
            autoclose=False,
            max_msg_size=FRAME_BYTES_MAX + 1,
            timeout=_CLOSE_TIMEOUT_S,
        )
        self._unauthenticated[remote] = self._unauthenticated.get(remote, 0) + 1
        try:
            async with asyncio.timeout(limits.handshake_timeout_s):
                await socket.prepare(request)
                keys = await self._shake(socket, HandshakeRole.RESPONDER, link, None)
        except (HandshakeError, TimeoutError, OSError):
            _abort(request)
            return socket
        finally:
            self._unauthenticated[remote] -= 1
            if not self._unauthenticated[remote]:
                del self._unauthenticated[remote]
        try:
            await self._serve(self._session(socket, link, keys))
        except Exception as error:  # noqa: BLE001 - aiohttp would answer 500 on a closed socket
            _report("a link failed", error)
        return socket

    async def _shake(
        self, socket: Socket, role: HandshakeRole, link: Link, expected: PeerId | None
    ) -> SessionKeys:
        handshake = Handshake(role, link, self._identity, os.urandom(32), expected)
        writing = role is HandshakeRole.INITIATOR
        while handshake.keys is None:
            if writing:
                await socket.send_bytes(handshake.write())
            else:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise HandshakeError("no handshake message")
                handshake.read(message.data)
            writing = not writing
        if handshake.keys.peer not in self._peers:
            raise HandshakeError("identity is not known here")
        return handshake.keys

    # --- Links -------------------------------------------------------------------------------

    def _session(self, socket: Socket, link: Link, keys: SessionKeys) -> Session:
        deliver = partial(self._handler.on_message, keys.peer, link)
        return Session(self._config, link, keys, socket, deliver)

    async def _serve(self, session: Session) -> None:
        place = (session.peer, session.link)
        stale = self._sessions.get(place)
        if stale is not None:
            self._drop(stale, "replaced by a new connection")
            stale.abort("replaced by a new connection")
        self._sessions[place] = session
        reason = "a fault of this node"
        try:
            self._handler.on_link_up(session.peer, session.link)
            reason = await session.run()
        except asyncio.CancelledError:
            reason = "stopping"
            raise
        finally:
            self._drop(session, reason)
            session.abort(reason)

    def _drop(self, session: Session, reason: str) -> None:
        place = (session.peer, session.link)
        if self._sessions.get(place) is session:
            del self._sessions[place]
            self._handler.on_link_down(session.peer, session.link, reason)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async with asyncio.timeout(0.5):
            await socket.close()
    except (TimeoutError, OSError, aiohttp.ClientError):
        pass


def _report(what: str, error: Exception) -> None:
    """A fault of this node, not of a peer: told to whoever watches the loop, with its trace."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()

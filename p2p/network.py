"""All links of a node: who is connected, who dials whom, which of two connections stays.

Owns the table of links (`p2p.places`), who is dialled when, and what goes up and down. Must not
know what messages mean. Invariants: at most one session per (peer, link); the handler hears of a
link's end before it hears of its successor; both nodes of a pair keep the same one of two crossing
connections.

Both nodes dial, so that whichever of them was restarted reconnects at once. When two dials cross,
the one by the lower identity stays: the lower node refuses the other's from the moment it has sent
its last handshake message, and the higher node takes the lower's in any case. Every other new
connection replaces the old one: a peer dials only when it believes it has no link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

import structlog

from p2p.config import P2PConfig
from p2p.errors import (
    CloseCode,
    DialError,
    HandshakeError,
    LinkLostError,
    P2PError,
    RemoteProtocolError,
)
from p2p.frames import ACCEPT, Opener, Sealer, session_piece
from p2p.guests import Guests
from p2p.handshake import Secrets
from p2p.handshaking import Handshakes, refuse
from p2p.identity import Identity
from p2p.limits import TokenBucket
from p2p.places import Place, status_of
from p2p.session import Ending, Session
from p2p.transport import Listener as WebSocketListener
from p2p.transport import WebSocketDialler, WebSocketStream
from p2p.types import KnownPeer, Link, PeerHandler, PeerId, PeerStatus, Rng

_LASTING_S = 1.0
"""A link that ends sooner is redialled with growing waits, as if the dial had failed."""
_REDIAL_LOWER_S = 0.02
_REDIAL_HIGHER_S = 0.1
"""After a loss the lower identity dials first, so dials seldom cross."""

_REFUSALS_LOGGED = (1.0, 20.0)
"""Per second, and burst: strangers do not fill the log."""

_log = structlog.get_logger("p2p.network")


class PeerNetwork:
    """The links of this node to its known peers."""

    def __init__(
        self,
        config: P2PConfig,
        signing_key: bytes,
        peers: Sequence[KnownPeer],
        handler: PeerHandler,
        rng: Rng,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            config: Where to listen, and the limits.
            signing_key: The identity: 64 bytes, Ed25519 seed ‖ public key.
            peers: Who may connect, and where they are dialled.
            handler: Gets links and messages.
            rng: Jitter of the redials; keys never come from it.

        Raises:
            LocalProtocolError: the key has another length.
        """
        self._config = config
        self._identity = Identity(signing_key)
        self._handler = handler
        self._rng = rng
        self._places = {
            (known.peer, link): Place(known, link, config)
            for known in peers
            if known.peer != self._identity.peer
            for link in config.links
        }
        self._guests = Guests(config)
        known_peers = {peer for peer, _ in self._places}
        self._handshakes = Handshakes(
            self._identity, config.network_id, known_peers, guests=self._guests.are_welcome
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Future[None]] = set()
        """One for each session that is served; done once its goodbye is said."""
        self._listener: WebSocketListener | None = None
        self._dialler: WebSocketDialler | None = None
        self._stopping = False
        self._refusals_logged = TokenBucket(*_REFUSALS_LOGGED, 0.0)

    # --- Life --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and begin to dial.

        Raises:
            OSError: the address cannot be bound.
        """
        if self._config.listens:
            self._listener = WebSocketListener(self._config, self._serve_inbound)
            await self._listener.start()
        self._dialler = WebSocketDialler(self._config)
        self._spawn(self._tick())
        for place in self._places.values():
            self._spawn(self._keep_dialled(place))

    async def stop(self) -> None:
        """Say goodbye on every link and release everything. Takes about a second at most."""
        self._stopping = True
        if self._listener is not None:
            await self._listener.close_door()
        places = [*self._places.values(), *self._guests]
        sessions = [place.session for place in places if place.session is not None]
        for session in sessions:
            session.end(Ending("stopping", CloseCode.GOING_AWAY))
        for place in places:
            self._put_down(place, "stopping")
        if self._serving:
            await asyncio.wait(self._serving, timeout=self._config.close_timeout_s)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._dialler is not None:
            await self._dialler.close()
        if self._listener is not None:
            await self._listener.stop()

    @property
    def links(self) -> tuple[Link, ...]:
        """Which links there are to known peers."""
        return self._config.links

    @property
    def port(self) -> int:
        """The port that is listened on; of use when 0 was asked for."""
        return self._config.port if self._listener is None else self._listener.port

    def set_address(self, peer: PeerId, address: str) -> None:
        """Tell where a known peer listens, also after `start`."""
        for link in self._config.links:
            place = self._places[peer, link]
            place.known = KnownPeer(peer, place.known.name, address)
            place.backoff.reset()
            place.addressed.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("a network task failed", exc_info=error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._config.tick_s)
            for place in (*self._places.values(), *self._guests):
                if place.session is not None:
                    place.session.tick()

    def _find(self, peer: PeerId, link: Link) -> Place | None:
        return self._places.get((peer, link)) or self._guests.get(peer, link)

    # --- For the embedder --------------------------------------------------------------------

    def send(self, peer: PeerId, link: Link, kind: int, body: bytes) -> bool:
        """Queue a message; False when not connected or the queue is full. Never blocks.

        Raises:
            LocalProtocolError: the body is larger than 4 MiB or the kind is not 0 to 255.
        """
        place = self._find(peer, link)
        return place is not None and place.session is not None and place.session.send(kind, body)

    def connected(self, peer: PeerId, link: Link) -> bool:
        """Whether the link is up."""
        place = self._find(peer, link)
        return place is not None and place.session is not None

    def rtt_ms(self, peer: PeerId) -> float | None:
        """The newest round trip to a peer; None before the first."""
        place = self._find(peer, Link.GOSSIP)
        return None if place is None or place.session is None else place.session.rtt_ms

    def statuses(self) -> list[PeerStatus]:
        """A snapshot per known peer, in the order given."""
        return [
            status_of(place, self._places.get((peer, Link.RAFT)))
            for (peer, link), place in self._places.items()
            if link is Link.GOSSIP
        ]

    def disconnect(self, peer: PeerId, reason: str) -> None:
        """Close the links of a peer. It may connect again."""
        for link in Link:
            place = self._find(peer, link)
            if place is not None and place.session is not None:
                place.session.end(Ending(reason))
                self._put_down(place, reason)

    def strike(self, peer: PeerId, link: Link, reason: str) -> None:
        """A message that was taken earlier broke the rules: the link ends, as if it did so now.

        Also when the peer has gone first. Further ones of the same link cost nothing more.
        """
        place = self._find(peer, link)
        if place is None or place.penalty.remaining(asyncio.get_running_loop().time()) > 0:
            return
        self._strike(place, reason)
        if place.session is not None:
            place.session.end(Ending(reason, CloseCode.PROTOCOL))

    def _strike(self, place: Place, reason: str) -> None:
        place.strikes += 1
        place.penalty.strike(asyncio.get_running_loop().time())
        _log.warning(
            "peer broke the rules",
            peer=place.known.name,
            link=place.link.name.lower(),
            reason=reason,
        )

    # --- Links up and down -------------------------------------------------------------------

    def _put_up(
        self, place: Place, stream: WebSocketStream, keys: Secrets, codec: tuple[Sealer, Opener]
    ) -> Session:
        """Make the session the link of its place, in place of an older one."""
        if place.session is not None:
            place.session.end(Ending("replaced by a new connection", CloseCode.REPLACED))
            self._put_down(place, "replaced by a new connection")
        peer, link = place.known.peer, place.link
        deliver = partial(self._handler.on_message, peer, link)
        is_known = (peer, link) in self._places
        config = self._config if is_known else self._guests.config
        session = Session(config, peer, link, stream, *codec, deliver)
        place.session = session
        place.remote_static = keys.remote_static
        place.up_at = asyncio.get_running_loop().time()
        place.down.clear()
        try:
            self._handler.on_link_up(peer, link)
        except Exception as error:  # noqa: BLE001 - a bug there must not leave a link unserved here
            _log.exception("handler failed at link up", peer=place.known.name)
            session.end(Ending(f"internal error: {type(error).__name__}", CloseCode.INTERNAL))
        return session

    def _put_down(self, place: Place, reason: str) -> None:
        if place.session is None:
            return
        place.session = None
        place.last_error = reason
        if asyncio.get_running_loop().time() - place.up_at >= _LASTING_S:
            place.backoff.reset()
        place.down.set()
        try:
            self._handler.on_link_down(place.known.peer, place.link, reason)
        except Exception:  # noqa: BLE001 - as above
            _log.exception("handler failed at link down", peer=place.known.name)

    async def _run(self, place: Place, session: Session) -> None:
        """Serve a session from up to down."""
        served = asyncio.get_running_loop().create_future()
        self._serving.add(served)
        try:
            await session.run()
        finally:
            ending = session.ending  # also when this task is cancelled before it could say it
            if ending.strike:
                self._strike(place, ending.reason)
            if place.session is session:
                self._put_down(place, ending.reason)
            try:
                await session.close(ending)
            finally:
                self._serving.discard(served)
                served.set_result(None)

    # --- Being dialled -----------------------------------------------------------------------

    async def _serve_inbound(
        self, stream: WebSocketStream, link: Link, let_in: Callable[[], None]
    ) -> None:
        """Serve one inbound connection to its end; the door holds the deadline."""
        try:
            keys = await self._handshakes.listen(stream, link)
            if self._stopping:
                raise HandshakeError("stopping", CloseCode.GOING_AWAY)
            place = self._places.get((keys.peer, link)) or self._guests.place(keys.peer, link)
            now = asyncio.get_running_loop().time()
            place.check_claim(keys, self._identity.peer, now, self._config.crossing_s)
        except HandshakeError as error:
            now = asyncio.get_running_loop().time()
            # Crossing dials are daily life; and strangers do not fill the log.
            routine = error.code is CloseCode.REPLACED or not self._refusals_logged.take(1, now)
            log = _log.debug if routine else _log.info
            log("handshake refused", link=link.name.lower(), reason=str(error))
            await refuse(stream, error.code)
            return
        except (LinkLostError, RemoteProtocolError):
            stream.abort()
            return
        let_in()
        sealer, opener = Sealer(keys.send_key), Opener(keys.receive_key)
        place.dialled = False
        # Up before the dialler is told: what it sends at once finds its session.
        session = self._put_up(place, stream, keys, (sealer, opener))
        try:
            await stream.send(sealer.seal(session_piece(ACCEPT)))
        except LinkLostError as error:
            session.end(Ending(str(error), polite=False))
        await self._run(place, session)

    # --- Dialling ----------------------------------------------------------------------------

    async def _keep_dialled(self, place: Place) -> None:
        """Dial whenever there is no link, with growing waits, for as long as the node runs."""
        delay_s = 0.0
        while True:
            await place.addressed.wait()
            await place.down.wait()
            await asyncio.sleep(delay_s)
            penalty_s = place.penalty.remaining(asyncio.get_running_loop().time())
            if penalty_s > 0:
                await asyncio.sleep(penalty_s)
            if place.session is not None:  # the peer connected while this side waited
                delay_s = self._redial_s(place)
                continue
            try:
                await self._dial_and_run(place)
                delay_s = self._redial_s(place)
            except P2PError as error:
                if place.last_error != str(error):  # one line for a peer that stays away
                    place.last_error = str(error)
                    _log.debug("dial failed", peer=place.known.name, reason=str(error))
                delay_s = place.backoff.next(self._rng)
            except Exception:  # noqa: BLE001 - a link must not stay down for good
                _log.exception("dialling failed", peer=place.known.name)
                delay_s = self._config.backoff_max_s

    def _redial_s(self, place: Place) -> float:
        """The wait after a link was lost."""
        if asyncio.get_running_loop().time() - place.up_at < _LASTING_S:
            return place.backoff.next(self._rng)
        lower = self._identity.peer < place.known.peer
        step = _REDIAL_LOWER_S if lower else _REDIAL_HIGHER_S
        return step * (0.5 + self._rng.random() / 2)

    @staticmethod
    def _commit(place: Place, keys: Secrets) -> None:
        """Our dial is about to send its last handshake message.

        Raises:
            DialError: a connection from the other side came first.
        """
        if place.session is not None:
            raise DialError("connected from the other side meanwhile")
        place.committed, place.remote_static = True, keys.remote_static

    async def _dial_and_run(self, place: Place) -> None:
        address = place.known.address
        assert self._dialler is not None, "dialling begins in start"
        assert address is not None, "only what has an address is dialled"
        stream: WebSocketStream | None = None
        session: Session | None = None
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                stream = await self._dialler.open(address, place.link)
                keys, codec = await self._handshakes.dial(
                    stream, place.link, place.known.peer, partial(self._commit, place)
                )
            if place.session is not None:
                raise DialError("connected from the other side meanwhile")
            place.dialled = True
            session = self._put_up(place, stream, keys, codec)
        except TimeoutError as error:
            raise DialError(f"no handshake within {self._config.handshake_timeout_s} s") from error
        finally:
            place.committed = False
            if session is None and stream is not None:
                stream.abort()
        await self._run(place, session)

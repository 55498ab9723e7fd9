"""Where the other nodes stand, as they say, and where this one does, as it tells them.

Owns the newest status of each peer and the sending of the own. What is made of claims that may be
lies is `node.following.standing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from node.following.certificates import Certificates
from node.following.standing import Claim, Standing, clock_complaint
from node.following.tracker import Tracker
from node.peers.messages import CertificateMessage, Kind, StatusMessage
from node.peers.ports import Routing, Sending
from node.system.clock import Clock


class PeerState(msgspec.Struct):
    """The newest status of a peer."""

    height: int = 0
    final_height: int = 0
    work: bool = False
    """It has pending or lapsing work."""


class PeerStates:
    """The other nodes; implements `peers.ports.Neighbours`."""

    def __init__(
        self,
        sending: Sending,
        certificates: Certificates,
        standing: Standing,
        clock: Clock,
        on_work: Callable[[], None],
    ) -> None:
        """Know nothing yet.

        Args:
            sending: To peers.
            certificates: The newest one is told to who is behind it.
            standing: Told what each peer claims.
            clock: Its times are compared with theirs.
            on_work: Some peer has work now that had none.
        """
        self._sending = sending
        self._certificates = certificates
        self._standing = standing
        self._clock = clock
        self._on_work = on_work
        self._listeners: list[Callable[[], None]] = []
        self.states = {number: PeerState() for number in sending.peers}

    def attach(self, routes: Routing) -> None:
        """Take statuses from now on."""
        # It checks nothing, but perhaps causes the newest certificate as an answer.
        routes.on(Kind.STATUS, StatusMessage, self._on_status, price=0.5)
        routes.when_down(self._forget)

    def listen(self, listener: Callable[[], None]) -> None:
        """Tell of each status of a peer; registered before the start."""
        self._listeners.append(listener)

    @property
    def work_reported(self) -> bool:
        """Whether some peer has pending or lapsing work."""
        return any(state.work for state in self.states.values())

    def final_heights(self) -> Mapping[int, int]:
        """The final height of each peer that is connected, as it says."""
        return {
            number: state.final_height
            for number, state in self.states.items()
            if self._sending.linked(number)
        }

    @property
    def peers(self) -> Sequence[int]:
        """All others."""
        return self._sending.peers

    def send(self, number: int, message: msgspec.Struct) -> bool:
        """Send a message to one of them; False when that cannot be."""
        return self._sending.send(number, message)

    def complaint(self) -> str | None:
        """Why this node is not where its peers are; None when it is, or catches up in time."""
        return self._standing.complaint(self._clock.monotonic_ms())

    @property
    def clock_offset_ms(self) -> float:
        """This clock less the middle of all clocks."""
        return self._standing.clock_offset_ms(self._clock.monotonic_ms())

    def clock_complaint(self, head_time_ms: int, ahead_ms_max: float) -> str | None:
        """What is wrong with the time here, the newest block being of that time; None: nothing."""
        head_ahead_ms = head_time_ms - self._clock.time_ms()
        return clock_complaint(self.clock_offset_ms, head_ahead_ms, ahead_ms_max)

    def look(self, final_height: int) -> None:
        """Note where this node stands among them."""
        self._standing.look(final_height, self._clock.monotonic_ms())

    def _on_status(self, number: int, message: StatusMessage) -> None:
        state = self.states[number]
        had_work = state.work
        state.height, state.final_height = message.height, message.final_height
        state.work = message.work
        rtt_ms = self._sending.rtt_ms(number) or 0.0
        offset_ms = message.time_ms + rtt_ms / 2 - self._clock.time_ms()
        claim = Claim(message.final_height, offset_ms, self._clock.monotonic_ms())
        self._standing.heard(number, claim)
        if message.work and not had_work:
            self._on_work()
        for listener in self._listeners:
            listener()
        newest = self._certificates.newest
        if newest is not None and newest[0] > message.final_height:
            self._sending.send(number, CertificateMessage(*newest))

    def _forget(self, number: int) -> None:
        self.states[number].work = False
        self._standing.forget(number)


class OwnStatus:
    """What this node tells of itself."""

    def __init__(
        self, sending: Sending, tracker: Tracker, clock: Clock, has_work: Callable[[], bool]
    ) -> None:
        self._sending = sending
        self._tracker = tracker
        self._clock = clock
        self._has_work = has_work

    def attach(self, routes: Routing) -> None:
        """Tell it to each peer that comes."""
        routes.when_up(lambda number: self._sending.send(number, self._message()))

    def tell(self) -> None:
        """Tell it to all."""
        self._sending.broadcast(self._message())

    def _message(self) -> StatusMessage:
        return StatusMessage(
            self._tracker.height,
            self._tracker.final_height,
            self._has_work(),
            self._clock.time_ms(),
        )

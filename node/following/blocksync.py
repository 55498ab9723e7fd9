"""Whom a node asks for blocks that its log no longer brings, and what it makes of their answers.

Owns the choice of the peer, the one request that is under way, deadlines, and the memory of who was
slow or false. Pure: the time is an argument, messages are the caller's. Knows no content: whether a
run is true is judged elsewhere and told here.

A peer without a known pace is asked first, then the fastest; so one that answers just within the
deadline, again and again, is asked no more than once while there is another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from node.peers.messages import DishonestError

ANSWER_MS = 8_000
"""A run is at most a few mebibytes; a peer that takes longer is passed over."""
REST_MS = 500
"""Of a peer that had nothing or was silent. A silent one is asked after all others then."""
FALSE_MS = 60_000
FALSE_MS_MAX = 3_600_000


class UnaskedError(DishonestError):
    """An answer without a request: no honest node sends one."""


class Request(msgspec.Struct, frozen=True):
    """What to send."""

    peer: int
    number: int
    """Counts the requests to this peer; the answer repeats it."""
    first: int


class _Peer(msgspec.Struct):
    asked: int = 0
    answered: int = 0
    rest_until_ms: int = 0
    false: int = 0
    pace: float | None = None
    """Bytes a millisecond, of its newest answer."""


class BlockSync:
    """The requests of one node. Peers are voters' numbers."""

    def __init__(self, peers: Iterable[int]) -> None:
        self._peers = {peer: _Peer() for peer in peers}
        self._open: Request | None = None
        self._opened_ms = 0

    @property
    def open(self) -> Request | None:
        """The request that is under way."""
        return self._open

    def ask(
        self,
        now_ms: int,
        first: int,
        heights: Mapping[int, int],
        height: int,
        but: Collection[int] = (),
    ) -> int | None:
        """Choose a peer for the leaves from `first` on; then `open` is the request to it.

        Args:
            now_ms: Monotonic time.
            first: Tree index of the first leaf that is missing.
            heights: Final height of each peer with a link, as it says.
            height: Height that is wanted: who says less is not asked.
            but: Nor are these.

        Returns:
            None when there is a request now; else the milliseconds to wait for a peer.
        """
        assert self._open is None, "one request at a time"
        able = [p for p in self._peers if heights.get(p, -1) >= height and p not in but]
        rested = [peer for peer in able if self._peers[peer].rest_until_ms <= now_ms]
        if not rested:
            waits = [self._peers[peer].rest_until_ms - now_ms for peer in able]
            return min([REST_MS, *waits])
        chosen = max(rested, key=self._preference)
        state = self._peers[chosen]
        state.asked += 1
        self._open = Request(chosen, state.asked, first)
        self._opened_ms = now_ms
        return None

    def _preference(self, peer: int) -> tuple[bool, float, int]:
        pace = self._peers[peer].pace
        return (pace is None, pace or 0.0, -peer)

    def expects(self, peer: int, number: int) -> bool:
        """Whether an answer is the awaited one; False: it is late, and of no use any more.

        Raises:
            UnaskedError: it was never asked for, or was given before.
        """
        state = self._peers.get(peer)
        if state is None or not state.answered < number <= state.asked:
            raise UnaskedError(f"blocks {number} were not asked for")
        state.answered = number
        return self._open is not None and (self._open.peer, self._open.number) == (peer, number)

    def left_ms(self, now_ms: int) -> int:
        """How long to wait for the answer yet."""
        return max(0, self._opened_ms + ANSWER_MS - now_ms)

    # --- What became of the request -----------------------------------------------------------

    def good(self, now_ms: int, size: int) -> None:
        """A true run of `size` bytes."""
        state = self._close()
        state.pace = size / max(1, now_ms - self._opened_ms)
        state.false = 0

    def empty(self, now_ms: int) -> None:
        """The peer has not got these leaves, or not certified.

        To say so takes no time: who is slow, or has never given any, is asked after the others.
        """
        state = self._close()
        if state.pace is None or now_ms - self._opened_ms > REST_MS:
            state.pace = 0.0
        state.rest_until_ms = now_ms + REST_MS

    def silent(self, now_ms: int) -> None:
        """No answer in time, or the link went down."""
        state = self._close()
        state.pace = 0.0
        state.rest_until_ms = now_ms + REST_MS

    def false(self, now_ms: int) -> None:
        """A false run: the peer rests for longer each time."""
        state = self._close()
        state.pace = 0.0
        state.rest_until_ms = now_ms + min(FALSE_MS_MAX, FALSE_MS << min(state.false, 8))
        state.false += 1

    def link_down(self, peer: int) -> bool:
        """Answers that are on their way from a peer are lost. True if the open request is."""
        state = self._peers[peer]
        state.answered = state.asked
        return self._open is not None and self._open.peer == peer

    def _close(self) -> _Peer:
        assert self._open is not None
        state = self._peers[self._open.peer]
        self._open = None
        return state

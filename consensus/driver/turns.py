"""Turns: when a node takes in what has arrived, and what time it is then. Owns inbox and ticks.

A turn is a plain callback of the event loop: it takes in messages, counts ticks, and lets the
driver carry out one `Ready`. Knows nothing of stores, of the state machine and of who waits.

    message, proposal, write done ──▶ want ──▶ one turn, in the next round of the loop
    timer ──▶ a few rounds later, when what a blocked loop left in its sockets was read ──▶ a turn
              that may count what was slept through

Ticks and messages are kept in the order in which they belong: a tick that was due before a message
is counted before it, never after. Else a follower would hold time against a leader that had passed
before its heartbeat, forget it too early, and a lease would not hold. And as ticks go between
messages, no flood of those holds up the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consensus.config import RaftConfig
from consensus.core.raft import RaftCore
from consensus.driver.inbox import Inbox
from consensus.messages import AppendRequest, Message
from consensus.types import NodeId

_LATE_ROUNDS = 3
"""Rounds of the loop between a tick's time and the tick, so that what a blocked loop left unread in
its sockets is read first and a leader's heartbeat is not overlooked."""
_TURN_ENTRIES = 1_024
"""Entries (or messages without any) that one turn takes in, so that it stays below 5 ms."""
_BURST = 128
"""Proposals after which a turn is taken at once. Else a caller that proposes a thousand in one go
keeps them all back, and followers and disk have nothing to do meanwhile."""


class Turns:
    """The turns of one node, from `begin` to `halt`."""

    def __init__(
        self,
        config: RaftConfig,
        carry_out: Callable[[RaftCore], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Prepare; nothing happens before `begin`.

        Args:
            config: Pace and limits.
            carry_out: Does what the core wants, at the end of each turn.
            fail: Hears of anything that a turn raises. The node must not go on then.
        """
        self._loop = asyncio.get_running_loop()
        self._carry_out = carry_out
        self._fail = fail
        self._core: RaftCore | None = None
        """None before the start and after the end: no callback does anything then."""
        self._inbox = Inbox(config)
        self._tick_s = config.tick_ms / 1_000
        self._catch_up_ticks_max = config.catch_up_ticks_max
        self._timer: asyncio.TimerHandle | None = None
        self._next_tick = 0.0
        """Of the loop's clock."""
        self._time_read = False
        """The timer went off, and the sockets were read since."""
        self._scheduled = False
        self._in_turn = False
        self._burst = 0

    def begin(self, core: RaftCore) -> None:
        """Time runs from now on."""
        self._core = core
        self._next_tick = self._loop.time() + self._tick_s
        self._arm()
        self.want()

    def halt(self) -> None:
        """No turn and no tick any more."""
        self._core = None
        self._inbox.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def want(self) -> None:
        """The core has changed: take a turn soon."""
        if self._core is not None and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def proposed(self) -> None:
        """Something was proposed: take a turn soon, after many at once."""
        self._burst += 1
        if self._burst >= _BURST and not self._in_turn:
            self._turn()
        else:
            self.want()

    def receive(self, sender: NodeId, message: Message, size_bytes: int) -> None:
        """A message arrived; beyond the inbox's bounds one is dropped."""
        if self._core is not None:
            self._inbox.put(sender, message, size_bytes)
            self.want()

    def _turn(self) -> None:
        self._scheduled = False
        self._burst = 0
        core = self._core
        if core is None:
            return
        self._in_turn = True
        try:
            self._take_in(core)
            if self._time_read:
                self._time_read = False
                self._pass_time(core, self._catch_up_ticks_max)
            self._carry_out(core)
        except BaseException as error:
            # Half a turn is done, and what the core wanted may be lost. That holds for a
            # cancellation that an embedder's hook let through, too.
            self._fail(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._in_turn = False

    def _take_in(self, core: RaftCore) -> None:
        """Step through the inbox, for as long as a turn may take; the rest has its own turn."""
        budget = _TURN_ENTRIES
        while self._inbox and budget > 0:
            # What this loop slept through ended with mail: one tick of it counts, not all, as the
            # leader may have been heard all the time.
            self._pass_time(core, 1)
            sender, message = self._inbox.take()
            core.step(sender, message)
            budget -= len(message.entries) if isinstance(message, AppendRequest) else 1
        if self._inbox:
            self.want()

    def _pass_time(self, core: RaftCore, ticks_max: int) -> None:
        """Count the ticks that are due, at most so many; the others are forgotten."""
        late_s = self._loop.time() - self._next_tick
        if late_s < 0:
            return
        due = 1 + int(late_s / self._tick_s)
        self._next_tick += due * self._tick_s
        for _ in range(min(due, ticks_max)):
            core.tick()

    def _arm(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._on_time, 0)

    def _on_time(self, rounds: int) -> None:
        if self._core is None:
            return
        if rounds < _LATE_ROUNDS:
            self._loop.call_soon(self._on_time, rounds + 1)
            return
        self._time_read = True
        self._arm()
        self.want()

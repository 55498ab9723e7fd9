"""Clients, and what they saw. Owns the history of a run.

A client has one request at a time. It looks for the leader, repeats a request whose outcome it does
not know under the same number, and at last may give up: then the outcome stays unknown in the
history. Calls take no time here, so that the history is as strict as it can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded

from consensus.types import NodeId
from tests.sim.linearizability import Action, Operation
from tests.sim.machine import Machine, Request, Value
from tests.sim.node import SimNode
from tests.sim.plan import Plan
from tests.sim.world import World

SET = "set"
_RETRY_MS = 25
_READER_THINK_MS = 25


class History:
    """What all clients saw, in one order of calls and returns."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._moment = 0

    def moment(self) -> int:
        """Now; no two moments are equal."""
        self._moment += 1
        return self._moment


@dataclass
class _Call:
    """A request on its way to an outcome."""

    request: Request
    call: int
    give_up_at_ms: float
    attempt: int = 0
    """Only the newest attempt is listened to."""
    doubtful: bool = False
    """Some attempt may have had an effect, or may still have."""


class Client:
    """One client."""

    def __init__(
        self,
        number: int,
        plan: Plan,
        world: World,
        nodes: Sequence[SimNode],
        history: History,
        *,
        reads_only: bool = False,
    ) -> None:
        self._closed = False
        self._change: _Call | None = None
        self._number = number
        self._reads_only = reads_only
        self._plan = plan
        self._world = world
        self._nodes = nodes
        self._history = history
        self._rng: Random = world.stream(f"client {number}")
        self._leader: NodeId | None = None
        self._requests = 0
        self._last_seen: dict[str, Value] = {}
        self._keys = [f"r{key}" for key in range(plan.keys)]
        self._think()

    def close(self) -> None:
        """The run is over: what is under way stays unknown."""
        self._closed = True
        if self._change is not None:
            self._record(self._change, None, None)

    def _think(self) -> None:
        self._change = None
        think_ms = _READER_THINK_MS if self._reads_only else self._plan.think_ms
        self._world.later(2 * self._rng.random() * think_ms, self._begin)

    def _begin(self) -> None:
        if self._closed:
            return
        rng = self._rng
        if self._reads_only:
            self._read(rng.choice(self._keys), self._history.moment(), self._world.now_ms + 200)
            return
        key = SET if rng.random() < 0.25 else rng.choice(self._keys)
        patience_ms = rng.choice([100, 1_000, 3_000])
        until_ms = self._world.now_ms + patience_ms
        if rng.random() < 0.4:
            self._read(key, self._history.moment(), until_ms)
            return
        self._requests += 1
        value = self._number * 100_000 + self._requests
        expected: Value = None
        action = Action.WRITE
        if key == SET:
            action = Action.ADD
        elif rng.random() < 0.4:
            action, expected = Action.CAS, self._last_seen.get(key)
        filler = bytes(rng.randrange(200)) if rng.random() < 0.3 else b""
        request = Request(self._number, self._requests, action.value, key, value, expected, filler)
        self._change = _Call(request, self._history.moment(), until_ms)
        self._attempt(self._change)

    # --- Changes -------------------------------------------------------------------------------

    def _attempt(self, call: _Call) -> None:
        call.attempt += 1
        attempt = call.attempt
        node = self._choose()

        def settled(outcome: str, value: NodeId | Value) -> None:
            if attempt != call.attempt:
                return  # an answer after this client's patience was at its end
            call.attempt += 1
            if outcome == "committed":
                self._leader = node.id
                self._done(call, value)
            elif outcome == "unknown":
                call.doubtful = True
                self._leader = None
                self._again(call)
            else:
                self._leader = None if value is None else NodeId(value)
                self._again(call)

        timeout_ms = self._rng.choice([60, 300, 1_000])
        self._world.later(timeout_ms, self._timed_out, call, attempt)
        node.propose(call.request, settled)
        for number in range(self._rng.randrange(self._plan.burst)):
            node.propose(_noise(self._number, self._rng, number), lambda *_: None)

    def _timed_out(self, call: _Call, attempt: int) -> None:
        if attempt == call.attempt:
            call.attempt += 1
            call.doubtful = True
            self._leader = None
            self._again(call)

    def _again(self, call: _Call) -> None:
        if self._world.now_ms < call.give_up_at_ms:
            self._world.later(1 + self._rng.random() * _RETRY_MS, self._attempt, call)
            return
        if call.doubtful:
            self._record(call, None, None)
            self._world.counts["outcome unknown"] += 1
        else:
            self._world.counts["outcome rejected"] += 1
        self._think()

    def _done(self, call: _Call, result: Value) -> None:
        self._world.counts["outcome committed"] += 1
        self._record(call, self._history.moment(), result)
        request = call.request
        if request.action != Action.CAS.value or result == request.expected:
            self._last_seen[request.key] = request.value
        else:
            self._last_seen[request.key] = result
        self._think()

    def _record(self, call: _Call, end: int | None, result: Value) -> None:
        request = call.request
        action = Action(request.action)
        self._history.operations.append(
            Operation(request.key, action, call.call, end, request.value, request.expected, result)
        )

    # --- Reads ---------------------------------------------------------------------------------

    def _read(self, key: str, call: int, until_ms: float) -> None:
        answered = False
        node = self._choose_reader()

        def take(machine: Machine | None) -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            if machine is not None:
                result = machine.read(key)
                end = self._history.moment()
                self._history.operations.append(
                    Operation(key, Action.READ, call, end, result=result)
                )
                self._world.counts["read"] += 1
                if not isinstance(result, tuple):
                    self._last_seen[key] = result
                self._think()
            elif self._world.now_ms < until_ms:
                delay_ms = 1 + self._rng.random() * _RETRY_MS
                self._world.later(delay_ms, self._read, key, call, until_ms)
            else:
                self._think()  # a read without an answer has no effect

        self._world.later(500, take, None)
        node.read(take)

    def _choose_reader(self) -> SimNode:
        """Anybody may be asked; a leader that was stopped or cut off is the interesting one."""
        leaders = [node for node in self._nodes if node.leads]
        if leaders and self._rng.random() < 0.6:
            return self._rng.choice(leaders)
        return self._rng.choice(self._nodes)

    def _choose(self) -> SimNode:
        if self._leader is not None and self._rng.random() < 0.6:
            return self._nodes[self._leader]
        leaders = [node for node in self._nodes if node.leads]
        if leaders and self._rng.random() < 0.7:
            return self._rng.choice(leaders)
        return self._rng.choice(self._nodes)


def _noise(client: int, rng: Random, number: int) -> Request:
    """A change that nobody waits for, so it is in no history; it repeats a request long done."""
    return Request(client, 0, Action.WRITE.value, "noise", number, None, bytes(rng.randrange(300)))

"""Clients: a connection, one that finds the leader and repeats itself, and what they have seen.

A session has one command under way at a time and numbers its commands, so that it may repeat one
whose outcome is unknown: the state machine does it once. Owns retries and the recorded history.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from typing_extensions import override

from tests.raftkv.frames import FrameStream
from tests.raftkv.messages import (
    Address,
    Answer,
    Call,
    Cas,
    ChangeMembers,
    Done,
    Execute,
    Get,
    NodeReport,
    Put,
    Refused,
    Request,
    Status,
    decode_reply,
    encode,
)
from tests.raftkv.transport import ClientHello, encode_hello
from tests.sim.linearizability import Action, Operation

ANSWER_BYTES_MAX = 64 * 1_048_576
_CALL_S = 2.0
_PAUSE_S = 0.02
T = TypeVar("T")


class GoneError(ConnectionError):
    """The connection ended, or no answer came, or nobody listens."""


class NotDoneError(RuntimeError):
    """The server refused, or could not tell; the answer says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


class Connection(FrameStream):
    """A connection to one server."""

    def __init__(self) -> None:
        super().__init__(ANSWER_BYTES_MAX)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count()
        self.open = False

    @classmethod
    async def dial(cls, host: str, port: int) -> Connection:
        """Connect.

        Raises:
            GoneError: when nobody listens there.
        """
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(cls, host, port)
        except OSError as error:
            raise GoneError(str(error)) from error
        return connection

    @override
    def on_open(self) -> None:
        self.open = True
        self.send(encode_hello(ClientHello()))

    @override
    def on_frame(self, frame: bytes) -> None:
        reply = decode_reply(frame)
        future = self._waiting.pop(reply.id, None)
        if future is not None and not future.done():
            future.set_result(reply.answer)

    @override
    def on_close(self) -> None:
        self.open = False
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(GoneError("the connection ended"))

    async def ask(self, request: Request, timeout_s: float | None = _CALL_S) -> Answer:
        """Whatever the server answers.

        Raises:
            GoneError: when no answer comes.
        """
        if not self.open:
            raise GoneError("the connection ended")
        name = next(self._ids)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[name] = future
        self.send(encode(Call(name, request)))
        try:
            async with asyncio.timeout(timeout_s):  # `wait_for` may swallow a cancellation
                return await future
        except TimeoutError:
            raise GoneError("no answer in time") from None
        finally:
            self._waiting.pop(name, None)

    async def get(self, request: Request, kind: type[T], timeout_s: float = _CALL_S) -> T:
        """The result, when it is done.

        Raises:
            NotDoneError: when it is not.
            GoneError: when no answer comes.
        """
        answer = await self.ask(request, timeout_s)
        if not isinstance(answer, Done):
            raise NotDoneError(answer)
        return msgspec.msgpack.decode(answer.result, type=kind)


class History:
    """Operations of all clients on one clock, which ticks at every call and every return."""

    def __init__(self) -> None:
        self._clock = itertools.count(1)
        self.operations: list[Operation] = []

    def tick(self) -> int:
        """A moment."""
        return next(self._clock)

    def add(self, operation: Operation) -> None:
        """It has returned, or its client has given up."""
        self.operations.append(operation)

    @property
    def completed(self) -> int:
        """Operations with a known outcome."""
        return sum(operation.end is not None for operation in self.operations)


class Client:
    """A session that finds the leader."""

    def __init__(
        self, addresses: Mapping[int, tuple[str, int]], history: History | None = None
    ) -> None:
        self.addresses = addresses
        """Looked at anew at each dialling: members come and go."""
        self._history = history or History()
        self._id = int.from_bytes(os.urandom(7), "big")
        self._numbers = itertools.count(1)
        self._connections: dict[int, Connection] = {}
        self._target: int | None = None
        self._round = 0

    async def put(self, key: str, value: str, give_up_s: float = 30.0) -> bool:
        """Write; whether that is certain."""
        command = Put(self._id, next(self._numbers), key, value)
        call = self._history.tick()
        done, _ = await self._insist(Execute(command), give_up_s)
        end = self._history.tick() if done else None
        self._history.add(Operation(key, Action.WRITE, call, end, value))
        return done

    async def cas(
        self, key: str, expected: str | None, value: str, give_up_s: float = 30.0
    ) -> tuple[bool, str | None]:
        """Write if the key holds `expected`; whether the outcome is certain, and what it held."""
        command = Cas(self._id, next(self._numbers), key, expected, value)
        call = self._history.tick()
        done, result = await self._insist(Execute(command), give_up_s)
        end = self._history.tick() if done else None
        self._history.add(Operation(key, Action.CAS, call, end, value, expected, result))
        return done, result

    async def read(
        self, key: str, at: int | None = None, give_up_s: float = 30.0
    ) -> tuple[bool, str | None]:
        """Read linearizably, from the node `at` or whichever answers."""
        call = self._history.tick()
        done, result = await self._insist(Get(key), give_up_s, at)
        if done:
            end = self._history.tick()
            self._history.add(Operation(key, Action.READ, call, end, result=result))
        return done, result

    async def tell_address(self, node: int, host: str, port: int) -> None:
        """Make known to all members where `node` listens."""
        done, _ = await self._insist(Execute(Address(node, host, port)), 30.0)
        assert done, "no leader took the address of a new member"

    async def change_members(
        self, voters: tuple[int, ...], learners: tuple[int, ...] = (), timeout_s: float = 60.0
    ) -> None:
        """Insist until these are the members and the change is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline:
            report = await self.leader_report()
            if report is not None:
                if (report.voters, report.outgoing, report.learners) == (voters, (), learners):
                    return
                try:
                    connection = await self._connection(report.node)
                    await connection.ask(ChangeMembers(voters, learners), timeout_s)
                except GoneError:
                    pass
            await asyncio.sleep(_PAUSE_S)
        raise TimeoutError(f"the members are not {voters} after {timeout_s} s")

    async def leader_report(self) -> NodeReport | None:
        """The status of the node that leads in the newest term, if one answers."""
        reports = [report for report in await self.reports() if report.role == "leader"]
        return max(reports, key=lambda report: report.term, default=None)

    async def reports(self) -> list[NodeReport]:
        """The status of every node that answers."""
        found = []
        for node in list(self.addresses):
            report = await self.report(node)
            if report is not None:
                found.append(report)
        return found

    async def report(self, node: int, *, reset: bool = False) -> NodeReport | None:
        """The status of one node; None when it does not answer."""
        try:
            return await (await self._connection(node)).get(Status(reset), NodeReport)
        except GoneError:
            return None

    async def close(self) -> None:
        """Hang up."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # --- Finding who answers ---------------------------------------------------------------------

    async def _connection(self, node: int) -> Connection:
        found = self._connections.get(node)
        if found is None or not found.open:
            if node not in self.addresses:
                raise GoneError(f"nobody knows {node}")
            found = self._connections[node] = await Connection.dial(*self.addresses[node])
        return found

    async def _insist(
        self, request: Execute | Get, give_up_s: float, at: int | None = None
    ) -> tuple[bool, str | None]:
        """Repeat until it is done; False when the time is over and nobody knows."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + give_up_s
        while loop.time() < deadline:
            node = self._next_target() if at is None else at
            try:
                answer = await (await self._connection(node)).ask(request)
            except GoneError:
                self._target, at = None, None
                await asyncio.sleep(_PAUSE_S)
                continue
            if isinstance(answer, Done):
                if at is None:
                    self._target = node
                return True, msgspec.msgpack.decode(answer.result, type=str | None)
            at = None
            leader = answer.leader if isinstance(answer, Refused) else None
            if leader is not None and leader != node and leader in self.addresses:
                self._target = leader
            else:
                self._target = None
                await asyncio.sleep(_PAUSE_S)
        return False, None

    def _next_target(self) -> int:
        if self._target is not None and self._target in self.addresses:
            return self._target
        self._round += 1
        nodes = list(self.addresses)
        return nodes[self._round % len(nodes)]


async def wait_for_leader(client: Client, timeout_s: float = 20.0) -> NodeReport:
    """The leader, once it has committed in its term."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while loop.time() < deadline:
        report = await client.leader_report()
        if report is not None and report.commit:
            return report
        await asyncio.sleep(0.05)
    raise TimeoutError("no leader")

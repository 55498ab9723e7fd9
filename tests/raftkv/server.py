"""What the server does for its clients. Owns requests and answers, not the log."""

from __future__ import annotations

import asyncio
import cProfile
import io
import pstats
import time
from collections.abc import Callable, Coroutine
from typing import TypeAlias

import msgspec

from consensus.driver.node import RaftNode
from consensus.errors import ConsensusError
from consensus.outcomes import Committed, Outcome, Rejected, Unknown
from consensus.types import NodeId
from tests.raftkv import vitals
from tests.raftkv.frames import FrameStream
from tests.raftkv.load import run_load
from tests.raftkv.machine import Machine, StaleError
from tests.raftkv.messages import (
    COMMAND_TAG,
    Answer,
    ChangeMembers,
    Done,
    Dump,
    Execute,
    Get,
    Load,
    NodeReport,
    Profile,
    Refused,
    Reply,
    Status,
    Stop,
    TakeSnapshot,
    Transfer,
    Unsure,
    decode_call,
    encode,
)
from tests.raftkv.transport import Peers

CALLS_MAX = 10_000
Awaited: TypeAlias = (
    Get | Dump | ChangeMembers | Transfer | TakeSnapshot | Status | Load | Profile | Stop
)


def _done(result: object = None) -> Done:
    return Done(msgspec.Raw(encode(result)))


class Server:
    """Answers calls with the help of a node and its state machine."""

    def __init__(
        self,
        node: RaftNode,
        number: NodeId,
        machine: Machine,
        peers: Peers,
        watch: vitals.LoopWatch,
        writes: Callable[[], int],
    ) -> None:
        self._node = node
        self._number = number
        self._machine = machine
        self._peers = peers
        self._watch = watch
        self._writes = writes
        self._calls: set[asyncio.Future[None]] = set()
        self.stopped = asyncio.Event()

    def open_session(self, stream: FrameStream) -> Callable[[bytes], None]:
        """What takes the frames of a client."""

        def take(frame: bytes) -> None:
            try:
                call = decode_call(frame)
            except msgspec.MsgspecError:
                stream.close()
                return
            if len(self._calls) >= CALLS_MAX:
                stream.send(encode(Reply(call.id, Refused("busy"))))
                return
            if isinstance(call.request, Execute):
                self._execute(stream, call.id, COMMAND_TAG + encode(call.request.command))
                return
            task = asyncio.ensure_future(self._serve(stream, call.id, call.request))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

        return take

    async def close(self) -> None:
        """Abandon the calls that wait."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _serve(self, stream: FrameStream, call: int, request: Awaited) -> None:
        try:
            answer = await self._answer(request)
        except ConsensusError as error:
            answer = Refused(f"{type(error).__name__}: {error}")
        stream.send(encode(Reply(call, answer)))

    def _answer(self, request: Awaited) -> Coroutine[None, None, Answer]:
        match request:
            case Get(key):
                return self._get(key)
            case ChangeMembers(voters, learners):
                return self._change(voters, learners)
            case Transfer(to):
                return self._transfer(to)
            case Load() as load:
                return self._load(load)
            case Profile(seconds):
                return self._profile(seconds)
            case _:
                return self._at_once(request)

    def _execute(self, stream: FrameStream, call: int, payload: bytes) -> None:
        """Without a task: the bulk of all calls. A client that waits too long asks again."""

        def answer(future: asyncio.Future[Outcome]) -> None:
            stream.send(encode(Reply(call, self._outcome(future.result()))))

        self._node.submit(payload).add_done_callback(answer)

    def _outcome(self, outcome: Outcome) -> Answer:
        match outcome:
            case Committed(result=StaleError()):
                return Refused("stale")
            case Committed(result=result):
                return _done(result)
            case Rejected():
                leader = self._node.status.leader if outcome.leader is None else outcome.leader
                return Refused(f"{outcome.reason.value} {outcome.detail}", leader)
            case Unknown():
                return Unsure(outcome.reason.value)

    async def _get(self, key: str) -> Answer:
        await self._node.read_index()
        return _done(self._machine.values.get(key))

    async def _change(self, voters: tuple[int, ...], learners: tuple[int, ...]) -> Answer:
        outcome = await self._node.change_membership(
            [NodeId(voter) for voter in voters], [NodeId(learner) for learner in learners]
        )
        return self._outcome(outcome)

    async def _transfer(self, to: int | None) -> Answer:
        return _done(await self._node.transfer_leadership(None if to is None else NodeId(to)))

    async def _load(self, load: Load) -> Answer:
        return _done(await run_load(self._node, load))

    async def _profile(self, seconds: float) -> Answer:
        """A profile of the loop's thread; the other threads show only as time that is missing."""
        profile = cProfile.Profile(time.thread_time)
        profile.enable()
        await asyncio.sleep(seconds)
        profile.disable()
        text = io.StringIO()
        pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(45)
        return _done(text.getvalue())

    async def _at_once(self, request: Dump | TakeSnapshot | Status | Stop) -> Answer:
        match request:
            case Dump():
                return _done(self._machine.values)
            case TakeSnapshot():
                snapshot = await self._node.take_snapshot()
                return _done(None if snapshot is None else snapshot.index)
            case Status(reset):
                report = self._report()
                if reset:
                    self._watch.start()
                return _done(report)
            case Stop():
                self.stopped.set()
                return _done()

    def _report(self) -> NodeReport:
        status, slices = self._node.status, self._watch.slices
        return NodeReport(
            node=self._number,
            role=status.role.name.lower(),
            term=status.term,
            leader=status.leader,
            commit=status.commit_index,
            applied=status.applied_index,
            last=status.last_index,
            base=status.base_index,
            suspect=status.suspect,
            voters=status.membership.voters,
            outgoing=status.membership.outgoing,
            learners=status.membership.learners,
            followers={f.node: (f.match_index, f.state) for f in status.followers},
            restored=self._machine.restored,
            writes=self._writes(),
            cpu_s=vitals.cpu_seconds(),
            loop_cpu_s=time.thread_time(),
            rss_mib=vitals.rss_mib(),
            gap_ms=self._watch.gap_ms,
            gap_own_ms=self._watch.gap_own_ms,
            slice_ms=None if slices is None else slices.wall_ms,
            slice_own_ms=None if slices is None else slices.own_ms,
            slice_of="" if slices is None else slices.longest,
            dropped=self._peers.dropped,
        )

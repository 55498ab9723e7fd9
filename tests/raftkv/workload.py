"""Clients that write, read and compare-and-set at random, and the judgement of what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random  # noqa: TID251 - seeded

from tests.raftkv.client import Client, Connection, History
from tests.raftkv.messages import Dump
from tests.raftkv.processes import Processes
from tests.sim.linearizability import check_registers

KEYS = ("amber", "beryl", "coral", "diamond")
_PAUSE_S = 0.004


class Workload:
    """Sessions at work on a few shared keys; each also writes keys of its own, once."""

    def __init__(self, processes: Processes, sessions: int, seed: int) -> None:
        self._processes = processes
        self.history = History()
        self._rngs = [Random(seed * 1_000 + number) for number in range(sessions)]
        self._written: dict[str, str] = {}
        """Own keys whose write was acknowledged."""
        self._tasks: list[asyncio.Future[None]] = []
        self._over = False

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.ensure_future(self._work(number, rng)) for number, rng in enumerate(self._rngs)
        ]

    async def stop(self) -> None:
        """Finish what is under way; raises what a session has raised."""
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _work(self, number: int, rng: Random) -> None:
        client = Client(self._processes.addresses, self.history)
        held: dict[str, str | None] = {}
        count = 0
        while not self._over:
            count += 1
            key, value = rng.choice(KEYS), f"{number}.{count}"
            draw = rng.random()
            if draw < 0.35:
                await client.put(key, value)
            elif draw < 0.7:
                nodes = self._processes.running
                at = rng.choice(nodes) if nodes else None
                done, found = await client.read(key, at)
                if done:
                    held[key] = found
            elif draw < 0.9:
                done, found = await client.cas(key, held.get(key), value)
                if done:
                    held[key] = value if found == held.get(key) else found
            elif await client.put(f"own {value}", value):
                self._written[f"own {value}"] = value
            await asyncio.sleep(_PAUSE_S * rng.random())
        await client.close()

    async def lost(self, leader: int) -> list[str]:
        """Acknowledged writes of own keys that the leader does not have."""
        connection = await Connection.dial(*self._processes.addresses[leader])
        held = await connection.get(Dump(), dict[str, str], 30.0)
        connection.close()
        return [key for key, value in self._written.items() if held.get(key) != value]

    async def read_all(self) -> None:
        """One last read of each shared key."""
        client = Client(self._processes.addresses, self.history)
        for key in KEYS:
            done, _ = await client.read(key)
            assert done, f"nobody answers a read of {key}"
        await client.close()

    def contradictions(self) -> Sequence[str]:
        """Why the history is not linearizable; empty if it is."""
        return check_registers(self.history.operations)

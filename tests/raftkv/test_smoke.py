"""Three real processes elect, write, read everywhere, hand over, restart and stop."""

from __future__ import annotations

from pathlib import Path

from tests.raftkv.client import Client, Connection, wait_for_leader
from tests.raftkv.messages import Load, LoadReport, TakeSnapshot, Transfer
from tests.raftkv.processes import Processes


async def test_three_processes_serve_a_client(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.found(1, 2, 3)
        client = Client(processes.addresses)
        leader = await wait_for_leader(client)

        assert await client.put("key", "one")
        assert await client.cas("key", "two", "three") == (True, "one")
        assert await client.cas("key", "one", "two") == (True, "one")
        for node in processes.addresses:
            assert await client.read("key", at=node) == (True, "two")

        connection = await Connection.dial(*processes.addresses[leader.node])
        load = await connection.get(Load(0.2, 64, 200), LoadReport, 10.0)
        assert load.entries >= 64
        assert load.failed == 0
        assert await connection.get(TakeSnapshot(), int) > load.entries
        assert await connection.get(Transfer(), bool)
        successor = await wait_for_leader(client)
        assert successor.node != leader.node

        processes.kill(successor.node)
        assert await client.put("key", "three")
        processes.start(successor.node)
        assert await client.read("key", at=successor.node) == (True, "three")
        connection.close()
        await client.close()

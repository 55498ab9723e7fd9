"""A stop that takes for ever ends the process all the same, and says what it waited for."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, time
from node.runtime import daemon

daemon.STOP_S = daemon._STUCK_S = 30.0
daemon.{limit} = 0.2

async def waits_for_ever():
    await asyncio.get_running_loop().create_future()

class Stuck:
    async def stop(self):
        {stop}

asyncio.run(daemon._end(Stuck()))
print("ended")
"""


def run(limit: str, stop: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-c", SCRIPT.format(limit=limit, stop=stop))
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_part_that_never_ends_is_named() -> None:
    done = run("STOP_S", "await asyncio.ensure_future(waits_for_ever())")
    assert done.returncode == 1
    assert "did not stop in time" in done.stdout
    assert "waits_for_ever at line 9" in done.stdout
    assert "ended" not in done.stdout


def test_a_loop_that_stands_still_is_ended_too() -> None:
    done = run("_STUCK_S", "time.sleep(60)")
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "in stop" in done.stderr


@pytest.mark.parametrize("limit", ["STOP_S", "_STUCK_S"])
def test_a_stop_in_time_is_none_of_these(limit: str) -> None:
    done = run(limit, "pass")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")

"""A log that cannot be written ends nothing, and what was lost is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from node.system.log_output import LogOutput


def test_lines_for_which_there_is_no_room_are_counted() -> None:
    reader, writer = os.pipe()
    out = LogOutput(os.open("/dev/full", os.O_WRONLY), lambda count: f"{count} lost")
    for number in range(3):
        print(f"line {number}", file=out, flush=True)
    os.dup2(writer, out._descriptor)  # room again
    for text in ("a line", "another \ud800"):
        print(text, file=out, flush=True)
    os.close(writer)
    os.close(out._descriptor)
    with os.fdopen(reader) as file:
        assert file.read() == "3 lost\na line\nanother \\ud800\n"


CODE = """
import logging, os, sys, structlog
from node.system.log_output import open_standard_streams
from node.system.logs import set_up_logging
for closed in map(int, sys.argv[1]):
    os.close(closed)
open_standard_streams()
file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
assert file > 2, file
set_up_logging("json", "info")
for _ in range(1_000):
    structlog.get_logger("a").warning("an event", reason="x" * 100)
    logging.getLogger("b").warning("another")
os.write(file, b"to the end")
"""


def test_a_full_disk_under_the_log_ends_nothing(tmp_path: str) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-c", CODE, "", f"{tmp_path}/made"]
        ended = subprocess.run(command, stderr=full, stdout=full, timeout=30, check=False)
    assert ended.returncode == 0
    with open(f"{tmp_path}/made", "rb") as file:
        assert file.read() == b"to the end"


def test_a_file_never_takes_the_place_of_a_closed_standard_descriptor(tmp_path: str) -> None:
    command = [sys.executable, "-c", CODE, "012", f"{tmp_path}/made"]
    assert subprocess.run(command, timeout=30, check=False).returncode == 0
    with open(f"{tmp_path}/made", "rb") as file:
        assert file.read() == b"to the end"


def test_lines_are_whole_and_readable() -> None:
    code = CODE.replace("1_000", "5")
    command = [sys.executable, "-c", code, "", os.devnull]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["an event", "another"] * 5


def test_a_command_whose_output_is_closed_does_its_work(tmp_path: str) -> None:
    """Exit code 2 of `verify`: a file cannot be read. 1 would say that a proof is not valid."""
    command = [sys.executable, "-m", "node", "verify", f"{tmp_path}/none", "--network", "none"]
    ended = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], check=False)
    assert ended.returncode == 2
    shown = [sys.executable, "-m", "node", "--version"]
    assert subprocess.run(["sh", "-c", '"$@" >&-', "sh", *shown], check=False).returncode == 0

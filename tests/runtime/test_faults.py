"""What is told of a failed request: of a disk its reason, of a fault of the program the place."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from node.runtime.server import _fault
from node.storage.damage import DamagedFileError


def io_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (io_error(), "disk I/O error"),
        (DamagedFileError(Path("index.db"), "malformed"), "index.db is damaged: malformed"),
        (ValueError("a fault"), None),
    ],
)
def test_a_disk_is_told_without_a_trace(error: Exception, told: str | None) -> None:
    with capture_logs() as lines:
        assert _fault(make_mocked_request("GET", "/v1/invoices"), "1", error).status == 500
    (line,) = lines
    assert line.get("reason") == told
    assert ("exc_info" in line) is (told is None)

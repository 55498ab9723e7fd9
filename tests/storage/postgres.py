"""A PostgreSQL server for tests: Debian's programs, a folder of its own, a Unix socket and no port.

`postgres_server` starts one and ends it; `fresh_schema` gives a connection that sees no table of
another test. Without the programs tests are skipped, and in CI they fail.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

_FOLDERS = "/usr/lib/postgresql/*/bin"
"""Debian's, one for each version; they are in no PATH."""
_START_S = 30.0
_OPTIONS = (
    *("listen_addresses=", "fsync=off", "full_page_writes=off", "autovacuum=off"),
    *("shared_buffers=16MB", "max_connections=8"),
)
_schemas = count(1)

Connection = psycopg.Connection[tuple[Any, ...]]


def _programs() -> Path:
    """The folder of the newest server's programs."""
    found = sorted(Path("/").glob(f"{_FOLDERS[1:]}/postgres"))
    if not found:
        message = "PostgreSQL is missing: make postgres-tools"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found[-1].parent


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server that runs meanwhile; how to connect to it."""
    programs = _programs()
    # The server will not run as root: then as the user that its package made, in a folder that
    # this user can reach.
    root = os.geteuid() == 0
    user = "postgres" if root else pwd.getpwuid(os.geteuid()).pw_name
    runs_as: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if root else {}
    folder = Path(tempfile.mkdtemp(prefix="piaolian-pg-"))
    try:
        if root:
            shutil.chown(folder, user, user)
        subprocess.run(
            [
                *(programs / "initdb", "--pgdata", folder / "data", "--username", "tests"),
                *("--auth", "trust", "--encoding", "UTF8", "--no-sync"),
                # Unlike SQLite it would order texts as people do, if nobody asked otherwise.
                *("--locale", "C.UTF-8", "--locale-provider", "icu", "--icu-locale", "en-US"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **runs_as,
        )
        options = [part for option in _OPTIONS for part in ("-c", option)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", "-k", folder, *options],
                stdout=log,
                stderr=log,
                cwd=folder,
                **runs_as,
            )
        try:
            address = f"host={folder} user=tests dbname=postgres"
            _wait(server, address, folder / "log")
            yield address
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed any more
            server.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Until it answers."""
    end = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def fresh_schema(address: str) -> Iterator[Connection]:
    """A connection whose tables are in a schema of their own."""
    with psycopg.connect(address, autocommit=True) as connection:
        schema = f"test_{next(_schemas)}"
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"SET search_path TO {schema}")
        yield connection
        connection.execute(f"DROP SCHEMA {schema} CASCADE")

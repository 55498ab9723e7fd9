"""Starts and stops a node: locks, keys, signals, systemd. Owns the order of both.

Start: data folder locked, keys opened, node wired and started, API listening, READY told.
Stop (first SIGTERM or SIGINT): readiness fails, API stops, node stops, files close. A second
signal ends the process at once, and so does a stop that takes too long, which says what it waited
for: nothing acknowledged depends on a clean stop.
SIGHUP: configuration and tokens are read again; what can change while it runs, does.
A file that is damaged and can be made again is set aside, and the node starts once more.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from node.api.security import TokenError
from node.custody.keystore import KeyFile, KeystoreError, NodeKeys, open_key_file
from node.custody.wallet import WalletError
from node.ledger.genesis import Genesis, GenesisError
from node.ledger.genesis_file import GENESIS_BYTES_MAX, parse_genesis
from node.runtime.observer import Observer
from node.runtime.running import RunningNode
from node.runtime.voter import Voter
from node.storage.damage import (
    REBUILT,
    DamagedFileError,
    DiskFullError,
    UnusableFileError,
    damage_in,
    disk_failure,
    is_full,
    missing,
    set_aside,
)
from node.storage.ledger_values import WrongNetworkError
from node.system.clock import Clock, SystemClock
from node.system.config import ConfigError, NodeConfig
from node.system.folder_lock import lock_folder
from node.system.logs import set_log_level, set_up_logging
from node.system.loop import GC_THRESHOLDS, run_loop
from node.voting.astray import AstrayError
from node.voting.rejoin_word import RejoinFileError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
STOP_S = 20.0
"""A stop takes a second or two; service managers wait 30 s and more."""
_STUCK_S = 25.0
"""The same for an event loop that stands still, and for what runs after it."""
_NOT_FATAL = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Their default ends the process on the spot. SIGHUP gets its meaning once the node starts."""
_LOOK_S = 10.0
_WATCHDOG_DIGITS_MAX = 18
_SQLITE_SOUND = (3, 51, 3)

_log = structlog.get_logger("node.runtime.daemon")


def run(config: NodeConfig, reload: Callable[[], NodeConfig]) -> int:
    """Run the node until it is told to stop; the process's exit code.

    Args:
        config: The node's.
        reload: Reads it again, for SIGHUP; may raise `ConfigError`.
    """
    os.umask(0o077)  # what the node writes is its own
    for number in _NOT_FATAL:
        signal.signal(number, signal.SIG_IGN)
    set_up_logging(config.log.format, config.log.level)
    if sqlite3.sqlite_version_info < _SQLITE_SOUND:
        _log.warning(
            "this SQLite is older than 3.51.3",
            version=sqlite3.sqlite_version,
            risk="two connections that checkpoint one file at once can corrupt it; a node has one",
        )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the keys
    gc.freeze()  # what is loaded by now stays: no collection needs to look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        genesis = _load_genesis(config.node.network)
        key_file = open_key_file(config.keys.file, config.keys.passphrase_file)
        _check_identity(config, genesis, key_file.keys)
        config.node.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_folder(config.node.data_dir)  # two processes of one identity break consensus
    except (ConfigError, GenesisError, KeystoreError, OSError) as error:
        _log.error("cannot start", reason=str(error))
        return EXIT_CONFIG
    try:
        return run_loop(_Service(config, reload, genesis, key_file, SystemClock()).serve())
    finally:
        os.close(lock)


class _Service:
    """One node after another: the next one only when a damaged or false file was set aside."""

    def __init__(
        self,
        config: NodeConfig,
        reload: Callable[[], NodeConfig],
        genesis: Genesis,
        key_file: KeyFile,
        clock: Clock,
    ) -> None:
        self._config = config
        self._reload = reload
        self._genesis = genesis
        self._key_file = key_file
        self._clock = clock
        self._stopping = asyncio.Event()
        self._node: RunningNode | None = None
        self._set_aside: set[str] = set()
        self._started = False
        """A node ran: what fails from here on is none of the configuration."""

    async def serve(self) -> int:
        """Until it is told to stop, or cannot go on; the process's exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        data = self._config.node.data_dir
        for name, remedy in missing(data).items():
            _log.error(f"{name} is missing", file=str(data / name), remedy=remedy)
        while True:
            node = self._node = self._make()
            failure = await self._run(node)
            self._node = None
            await _end(node)
            if failure is None:
                _log.info("stopped")
                return EXIT_OK
            if isinstance(failure, AstrayError):
                if self._stopping.is_set():
                    return EXIT_OK  # the next start sets the files aside
                _log.warning("starting anew", reason=str(failure))
                continue
            damaged = damage_in(failure)
            if damaged is None or not self._can_rebuild(damaged):
                return self._failed(failure)

    def _make(self) -> RunningNode:
        kind = Observer if self._config.node.kind == "observer" else Voter
        return kind(self._config, self._genesis, self._key_file)

    async def _run(self, node: RunningNode) -> BaseException | None:
        """Start a node and wait; what ended it, or None: it was told to stop."""
        try:
            await node.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends with its reason
            return error
        self._started = True
        _notify("READY=1")
        watchdog_s = _watchdog_seconds()
        failure: BaseException | None = None
        while not self._stopping.is_set() and failure is None:
            try:
                async with asyncio.timeout(watchdog_s):
                    failure = await _first(self._stopping, node.failed)
            except TimeoutError:
                _notify(f"WATCHDOG=1\nSTATUS={node.summary()}")
        _notify("STOPPING=1")
        return failure

    def _failed(self, failure: BaseException) -> int:
        """Tell why the node ended; the exit code."""
        told = disk_failure(failure, self._config.node.data_dir) if self._started else None
        if told is None:
            return _exit_code(failure)
        _log.error("node failed", reason=told)
        return EXIT_FAILED

    def _can_rebuild(self, damaged: DamagedFileError) -> bool:
        """Set a damaged file aside; False when it cannot be made again, or just was."""
        name = damaged.path.name
        if name not in REBUILT or name in self._set_aside:
            return False
        try:
            aside = set_aside(damaged.path, self._clock.time_ms())
        except OSError as error:
            _log.error("a damaged file cannot be set aside", file=name, reason=str(error))
            return False
        self._set_aside.add(name)
        _log.error(
            "damaged file set aside",
            file=str(damaged.path),
            aside=str(aside),
            reason=str(damaged),
            remedy=REBUILT[name],
        )
        return True

    def _on_stop(self) -> None:
        if self._stopping.is_set():
            os._exit(EXIT_FAILED)
        self._stopping.set()

    def _on_reload(self) -> None:
        try:
            config = self._reload()
            set_log_level(config.log.level)
            if self._node is not None:
                self._node.reload(config)
        except (ConfigError, TokenError) as error:
            _log.error("configuration not read again", reason=str(error))
            return
        self._config = config
        _log.warning("configuration read again")


async def _end(node: RunningNode) -> None:
    """Stop a node, or end the process where that takes for ever."""
    faulthandler.dump_traceback_later(_STUCK_S, exit=True)
    stop = asyncio.ensure_future(node.stop())
    await asyncio.wait({stop}, timeout=STOP_S)
    if not stop.done():
        waits = sorted(_place(task) for task in asyncio.all_tasks() if not task.done())
        _log.critical("did not stop in time", seconds=STOP_S, waits=waits)
        os._exit(EXIT_FAILED)
    faulthandler.cancel_dump_traceback_later()
    stop.result()


def _place(task: asyncio.Task[Any]) -> str:
    """Where in its code a task stands."""
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    frames = task.get_stack(limit=1)
    return f"{name} at line {frames[-1].f_lineno}" if frames else str(name)


def _exit_code(failure: BaseException) -> int:
    """Tell why the node ended; 2 when starting again would not help."""
    cannot_start = (WalletError, WrongNetworkError, TokenError, RejoinFileError, UnusableFileError)
    if isinstance(failure, cannot_start):
        _log.error("cannot start", reason=str(failure))
        return EXIT_CONFIG
    if isinstance(failure, OSError) and not is_full(failure):
        # A file that is none, or not this user's; without a name, an address that is in use.
        named = failure.filename is not None
        reason = f"{failure.filename} cannot be used: {failure.strerror}" if named else str(failure)
        _log.error("cannot start", reason=reason)
        return EXIT_CONFIG if named else EXIT_FAILED
    if isinstance(failure, (DamagedFileError, DiskFullError)):
        _log.error("node failed", reason=str(failure))
    else:
        _log.error("node failed", reason=str(failure), exc_info=failure)
    return EXIT_FAILED


async def _first(
    stopping: asyncio.Event, failed: asyncio.Future[BaseException]
) -> BaseException | None:
    """Wait for the stop signal (None) or a failure."""
    stop = asyncio.ensure_future(stopping.wait())
    waiting: set[asyncio.Future[Any]] = {stop, failed}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return failed.result() if failed.done() else None
    finally:
        stop.cancel()


def _load_genesis(path: Path) -> Genesis:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a FIFO, /dev/zero
            raise ConfigError(f"{path}: is no plain file")
        with path.open("rb") as file:
            content = file.read(GENESIS_BYTES_MAX + 1)
        if len(content) > GENESIS_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {GENESIS_BYTES_MAX} bytes")
        return parse_genesis(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no UTF-8 at byte {error.start}") from error


def _check_identity(config: NodeConfig, genesis: Genesis, keys: NodeKeys) -> None:
    if config.node.kind == "observer":
        _check_observer(config, genesis, keys)
        return
    voter = next((v for v in genesis.voters if v.node == config.node.name), None)
    if voter is None:
        raise ConfigError(f"{config.node.name} is no voter of {config.node.network}")
    public = keys.public
    stated = (voter.identity_key, voter.cosign_key, voter.origin_key)
    held = (public.identity.hex(), public.cosign.hex(), public.origin.hex())
    if stated != held:
        raise ConfigError(f"{config.keys.file} does not hold the keys of voter {voter.node}")
    # Whether its signing keys are live, the ledger says: they may have been rotated.
    if voter.participant != config.node.participant:
        raise ConfigError(f"{config.node.name} is a voter of {voter.participant}")


def _check_observer(config: NodeConfig, genesis: Genesis, keys: NodeKeys) -> None:
    # Its participant may be admitted later: the ledger says whether voters let it in.
    if any(voter.node == config.node.name for voter in genesis.voters):
        raise ConfigError(f"{config.node.name} is a voter of {config.node.network}: no observer")
    if any(voter.identity_key == keys.public.identity.hex() for voter in genesis.voters):
        raise ConfigError(f"{config.keys.file} holds the keys of a voter, which an observer is not")
    if not config.p2p.peers:
        raise ConfigError("p2p.peers names no voter: an observer dials, and is not dialled")


def _notify(message: str) -> None:
    """Tell systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto(message.encode(), address)
        except OSError as error:
            _log.warning("systemd is not listening", reason=str(error))


def _watchdog_seconds() -> float:
    """Half of what systemd allows; 10 where it allows any time, or says what is no time."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= _WATCHDOG_DIGITS_MAX):
        return _LOOK_S
    return int(limit) / 2_000_000 or _LOOK_S

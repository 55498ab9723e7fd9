"""What a node does when it must stop applying: it stays as it is, or makes its ledger again.

Owns the decision, and that each reason leads to one new ledger at most. Who sets files aside is
told by how the node fails. What the disk has no room to note is noted later: reads go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import structlog

from node.chain.certificate import Certificate
from node.chain.certified import CertifiedHead
from node.following.finality import DivergedError
from node.following.halt import FalseLedgerError, Halt
from node.storage import rebuilt
from node.storage.damage import DamagedFileError
from node.voting import astray

RETRY_S = 10.0

_log = structlog.get_logger("node.runtime.halting")


class Halting:
    """One node's way out when its ledger cannot go on."""

    def __init__(
        self,
        folder: Path,
        halt: Halt,
        certified: Callable[[], CertifiedHead | None],
        fail: Callable[[BaseException], None],
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self._folder = folder
        self._halt = halt
        self._certified = certified
        self._fail = fail
        self._spawn = spawn
        halt.listen(self._make_again)

    def _make_again(self, error: Exception) -> None:
        try:
            if isinstance(error, FalseLedgerError):
                if self._may_make_again(f"adopted: {error}"):
                    self._fail(DamagedFileError(self._folder / "ledger.db", str(error)))
            elif isinstance(error, DivergedError) and self._is_astray(error.certificate):
                size, ours = error.certificate.checkpoint.size, error.ours.hex()
                if self._may_make_again(f"diverged: {ours} within {size} leaves"):
                    astray.note(self._folder, error.certificate)
                    self._fail(astray.AstrayError(str(error)))
        except OSError as reason:  # as where the disk is full
            _log.error("cannot be made again yet", reason=str(reason))
            self._spawn(self._later(error))

    async def _later(self, error: Exception) -> None:
        await asyncio.sleep(RETRY_S)
        self._make_again(error)

    def _may_make_again(self, reason: str) -> bool:
        """Whether the ledger was not made again for this very reason before; then it is noted.

        Raises:
            OSError: that cannot be noted.
        """
        if not rebuilt.is_repeated(self._folder, reason):
            rebuilt.note(self._folder, reason)
            return True
        self._halt.add(rebuilt.REPEATED)
        _log.critical("not made again", reason=rebuilt.REPEATED)
        return False

    def _is_astray(self, certificate: Certificate) -> bool:
        """Whether only this node's ledger is false: nothing certified of it contradicts that."""
        own = self._certified()
        return own is None or own.size < certificate.checkpoint.size

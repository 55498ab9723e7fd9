"""To whose X25519 keys details are sealed. Owns the way from a party reference to its keys.

A participant's keys are read from the ledger's state and kept for a moment: a batch of invoices
asks for the same few parties. What was sealed to a key that has just been replaced stays readable,
since whoever replaces a key keeps the old one.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.ledger.rows import ParticipantRow, decode_participant
from node.ledger.types import Role, Table
from node.sealing import reader_of_bare
from node.storage.ledger_reader import LedgerReader
from node.tracker import Tracker

KEEP_HEIGHTS = 50
"""So many blocks may pass before a participant's keys are read again: half a second, at most."""
BUREAUS_KEEP_HEIGHTS = 1_000
_KEPT_MAX = 10_000
_PAGE = 500


class Readers:
    """The keys of parties, as the state has them."""

    def __init__(self, reader: LedgerReader, tracker: Tracker) -> None:
        self._reader = reader
        self._tracker = tracker
        self._kept: dict[str, tuple[int, list[bytes]]] = {}
        self._bureaus: list[str] = []
        self._bureaus_until = -1

    async def keys_of(self, party: str) -> list[bytes]:
        """Every key of a party to which one may seal now; empty when it has none."""
        if len(party) == 64:
            key = reader_of_bare(bytes.fromhex(party))
            return [] if key is None else [key]
        height = self._tracker.height
        kept = self._kept.get(party)
        if kept is not None and height < kept[0] + KEEP_HEIGHTS:
            return kept[1]
        rows = await self._reader.rows(Table.PARTICIPANT, [party.encode()])
        found = [
            key for row in rows.values() for key in _sealing_keys(decode_participant(row), height)
        ]
        if len(self._kept) >= _KEPT_MAX:
            self._kept.clear()
        self._kept[party] = (height, found)
        return found

    async def keys_of_all(self, parties: Sequence[str]) -> list[bytes]:
        """The keys of several parties, each once, in their order."""
        keys: dict[bytes, None] = {}
        for party in dict.fromkeys(parties):
            keys.update(dict.fromkeys(await self.keys_of(party)))
        return list(keys)

    async def bureaus(self) -> list[str]:
        """The ids of every tax bureau: each reads all details."""
        height = self._tracker.height
        if height >= self._bureaus_until:
            self._bureaus = await self._scan_bureaus()
            self._bureaus_until = height + BUREAUS_KEEP_HEIGHTS
        return self._bureaus

    async def _scan_bureaus(self) -> list[str]:
        found: list[str] = []
        low = b""
        while True:
            page = await self._reader.scan(Table.PARTICIPANT, low, b"\xff", _PAGE)
            rows = [decode_participant(value) for _, value in page]
            found += [row.id for row in rows if Role.TAX_BUREAU in row.roles]
            if len(page) < _PAGE:
                return found
            low = page[-1][0] + b"\0"


def _sealing_keys(row: ParticipantRow, height: int) -> list[bytes]:
    return [key.key for key in row.sealing_keys if key.lives(height)]

"""The participants as the newest block left them, in memory: who may author, whom to seal to.

Loaded from the state when the node starts, then told the rows that each block changed. So admission
and sealing follow keys, scopes and suspensions without reading the state for every transaction.
Used on the event loop only. Knows no network and no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.ledger.codes import Code, Table
from node.ledger.genesis import Genesis
from node.ledger.genesis_state import genesis_rows
from node.ledger.participants import ParticipantRow, ParticipantState, decode_participant, find_key
from node.ledger.types import Role
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock

SEALING_KEYS_OF_ONE = 2
"""Newest keys of a participant that details are sealed to: across a rotation, both still open."""
_PAGE = 1_000
_END = b"\xff"
"""Past every participant's id."""


class Participants:
    """Participants by id, at `height`."""

    def __init__(self, genesis: Genesis) -> None:
        self.height = 0
        self._rows: dict[str, ParticipantRow] = {}
        self._bureaus: list[str] = []
        self._take(value for table, _, value in genesis_rows(genesis) if table is Table.PARTICIPANT)

    async def load(self, reader: LedgerReader, height: int) -> None:
        """Replace what is known by the stored state, which stands at `height`."""
        self._rows.clear()
        low = b""
        while page := await reader.scan(Table.PARTICIPANT, low, _END, _PAGE):
            self._take(value for _, value in page)
            low = page[-1][0] + b"\0"
        self.height = height

    def applied(self, height: int, changed: Iterable[bytes]) -> None:
        """A block was applied that left these participant rows."""
        self.height = height
        if changed:
            self._take(changed)

    def on_block(self, block: AppliedBlock) -> None:
        """A block is stored."""
        self.applied(block.height, block.participants)

    def get(self, participant: str) -> ParticipantRow | None:
        """The row of a participant, to read only: a changed one is another object."""
        return self._rows.get(participant)

    def refusal(self, author: str, key: bytes) -> Code:
        """Why the next block would not take a transaction of `author` signed by `key`; or OK."""
        row = self._rows.get(author)
        if row is None or find_key(row.signing_keys, key, self.height + 1) is None:
            return Code.UNKNOWN_AUTHOR
        return Code.OK if row.state is ParticipantState.ACTIVE else Code.AUTHOR_NOT_ACTIVE

    def sealing_keys(self, participant: str) -> list[bytes]:
        """The newest live sealing keys of a participant, newest first; none of a bare key."""
        row = self._rows.get(participant)
        if row is None:
            return []
        live = [key.key for key in row.sealing_keys if key.lives(self.height + 1)]
        return live[: -SEALING_KEYS_OF_ONE - 1 : -1]

    @property
    def bureaus(self) -> Sequence[str]:
        """Tax bureaus that have not retired, head bureaus first."""
        return self._bureaus

    def _take(self, values: Iterable[bytes]) -> None:
        for value in values:
            row = decode_participant(value)
            self._rows[row.id] = row
        bureaus = [
            row
            for row in self._rows.values()
            if Role.TAX_BUREAU in row.roles and row.state is not ParticipantState.RETIRED
        ]
        self._bureaus = [row.id for row in sorted(bureaus, key=lambda row: not row.head_bureau)]

"""Which of the node's keys signs now. Owns the way from the state to the key file.

The state says which keys are live, the key file holds their seeds. A rotation writes the new seed
into the key file first; once the operation is on the ledger, the changed row makes this read the
file again, and the keyring of sealed details with it. So a crash anywhere in between leaves a node
that can sign. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from node.custody.keyring import Keyring
from node.custody.keystore import KeyFile, KeystoreError
from node.following.outcomes import RefusedError
from node.following.participants import Participants
from node.ledger.codes import Code
from node.ledger.operations import Operation
from node.ledger.participants import KeyRow, ParticipantRow, ParticipantState
from node.ledger.rulebook import RULEBOOK
from node.ledger.signing import secret_key

_log = structlog.get_logger("node.custody.signer")


class Signer:
    """Signs for one participant at one node."""

    def __init__(
        self, key_file: KeyFile, participant: str, participants: Participants, keyring: Keyring
    ) -> None:
        self._key_file = key_file
        self._keyring = keyring
        self._participant = participant
        self._participants = participants
        self._seen: ParticipantRow | None = None
        self._signing: dict[bytes, bytes] = {}
        """Secret key by public key."""
        self._take()

    def signing_key(self, operations: Sequence[Operation]) -> bytes:
        """The 64-byte secret key that signs these operations: the newest live one in scope.

        Raises:
            RefusedError: AUTHOR_NOT_ACTIVE when suspended or retired, UNKNOWN_AUTHOR when no key
                held is live, KEY_SCOPE when none permits them.
        """
        row = self._participants.get(self._participant)
        if row is not None and row.state is not ParticipantState.ACTIVE:
            # Else it would wait, unapplied, and count if the participant is reinstated in time.
            raise RefusedError(Code.AUTHOR_NOT_ACTIVE, "this node's participant is not active")
        held = self._held()
        if not held:  # somebody may have put the seed into the file since
            self._reload()
            held = self._held()
        if not held:
            raise RefusedError(
                Code.UNKNOWN_AUTHOR, "this node's key file holds no live key of its participant"
            )
        needed = {RULEBOOK.scopes[type(operation)] for operation in operations}
        for key in held:
            if all(key.scope & scopes for scopes in needed):
                return self._signing[key.key]
        raise RefusedError(Code.KEY_SCOPE, "no key of this node may sign this")

    def second_key(self, kind: type) -> bytes:
        """The 64-byte secret key that signs such an operation beside `signing_key`.

        Raises:
            RefusedError: SECOND_KEY_NEEDED when this node holds no two that may.
        """
        able = [key for key in self._held() if key.scope & RULEBOOK.scopes[kind]]
        if len(able) < 2:
            raise RefusedError(Code.SECOND_KEY_NEEDED, "this node holds no second key for this")
        return self._signing[able[1].key]

    def follow(self) -> None:
        """Read the key file again when the participant's row has a live key that is not held."""
        row = self._participants.get(self._participant)
        if row is None or row is self._seen:
            return
        self._seen = row
        height = self._participants.height + 1
        held = self._signing.keys() | self._keyring.keys.keys()
        listed = (*row.signing_keys, *row.sealing_keys)
        if any(key.lives(height) and key.key not in held for key in listed):
            self._reload()

    def _held(self) -> list[KeyRow]:
        """The participant's live keys whose seeds are held, newest first."""
        row = self._participants.get(self._participant)
        height = self._participants.height + 1
        live = [] if row is None else [key for key in row.signing_keys if key.lives(height)]
        return [key for key in reversed(live) if key.key in self._signing]

    def _reload(self) -> None:
        try:
            self._key_file.reload()
        except KeystoreError as error:
            _log.warning("key file not read again", reason=str(error))
            return
        self._take()

    def _take(self) -> None:
        keys = [secret_key(seed) for seed in self._key_file.keys.signing_seeds]
        self._signing = {key[32:]: key for key in keys}
        self._keyring.renew(self._key_file.keys.sealing_seeds[::-1])

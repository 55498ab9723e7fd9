r"""Who may observe: a node that does not vote shows that a participant's key vouches for it.

    tag "piaolian/observer/v1\n" ‖ network id ‖ the node's identity key (32 bytes)

is signed by a signing key of the participant. The link shows that the peer holds the identity key,
the ledger says whether the signing key lives. So a key that is revoked, or a participant that
retires, ends it. Owns what is signed and the judgement; knows no link.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.following.participants import Participants
from node.ledger.participants import ParticipantState, find_key
from node.ledger.signing import sign, verify
from node.peers.messages import OBSERVER_KEYS_MAX, DishonestError, ObserverMessage

_TAG = b"piaolian/observer/v1\n"


def credential(
    network_id: bytes, identity: bytes, participant: str, secret_keys: Sequence[bytes]
) -> ObserverMessage:
    """What a node shows.

    Args:
        network_id: The network's.
        identity: The node's identity key.
        participant: Whose node it is.
        secret_keys: The participant's 64-byte signing keys that it holds, the newest last.
    """
    statement = _TAG + network_id + identity
    newest = secret_keys[::-1][:OBSERVER_KEYS_MAX]
    return ObserverMessage(participant, tuple((key[32:], sign(key, statement)) for key in newest))


class Credentials:
    """The judgement of what such nodes show."""

    def __init__(self, network_id: bytes, participants: Participants) -> None:
        self._network_id = network_id
        self._participants = participants

    def keys(self, identity: bytes, shown: ObserverMessage) -> tuple[bytes, ...]:
        """The keys that vouch for a node; any of them may be none of the participant's.

        Raises:
            DishonestError: a signature is false.
        """
        statement = _TAG + self._network_id + identity
        for key, signature in shown.signatures:
            if not verify(key, statement, signature):
                raise DishonestError("a credential that its key did not sign")
        return tuple(key for key, _ in shown.signatures)

    def complaint(self, participant: str, keys: Iterable[bytes]) -> str | None:
        """Why a participant's node may not observe at this height; None: it may.

        A participant that is suspended still reads: its transactions are refused elsewhere.
        """
        row = self._participants.get(participant)
        if row is None:
            return f"{participant} is no participant yet"
        if row.state is ParticipantState.RETIRED:
            return f"{participant} has retired"
        height = self._participants.height + 1
        if all(find_key(row.signing_keys, key, height) is None for key in keys):
            return f"no live key of {participant} vouches for this node"
        return None

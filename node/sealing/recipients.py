"""To whose X25519 keys details are sealed. Owns the way from a party reference to its keys.

What was sealed to a key that has just been replaced stays readable, since whoever replaces a key
keeps the old one.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.following.participants import Participants
from node.sealing.format import reader_of_bare


class Recipients:
    """The keys of parties, as the newest block left them."""

    def __init__(self, participants: Participants) -> None:
        self._participants = participants

    def keys_of(self, party: str) -> list[bytes]:
        """Every key of a party to which one may seal now; empty when it has none."""
        if len(party) == 64:
            key = reader_of_bare(bytes.fromhex(party))
            return [] if key is None else [key]
        return self._participants.sealing_keys(party)

    def keys_of_all(self, parties: Sequence[str]) -> list[bytes]:
        """The keys of several parties, each once, in their order."""
        keys: dict[bytes, None] = {}
        for party in dict.fromkeys(parties):
            keys.update(dict.fromkeys(self.keys_of(party)))
        return list(keys)

    def bureaus(self) -> Sequence[str]:
        """The ids of every tax bureau, head bureaus first: each reads all details."""
        return self._participants.bureaus

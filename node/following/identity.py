"""Which node of which network this is. Owns the values that nearly every part is told."""

from __future__ import annotations

from typing import NamedTuple

from node.chain.voters import Voter, VoterSet
from node.ledger.genesis import Genesis


class NodeIdentity(NamedTuple):
    """One node of one network."""

    genesis: Genesis
    voters: VoterSet
    number: int
    """In the list of voters."""
    participant: str
    """Id of the participant whose node it is."""

    @property
    def me(self) -> Voter:
        """This node as the others know it."""
        return self.voters.voters[self.number]

"""Which node of which network this is. Owns the values that nearly every part is told."""

from __future__ import annotations

from typing import NamedTuple

from node.chain.voters import Voter, VoterSet
from node.ledger.genesis import Genesis


class NodeIdentity(NamedTuple):
    """One node of one network."""

    genesis: Genesis
    voters: VoterSet
    number: int | None
    """In the list of voters; None: it does not vote."""
    participant: str
    """Id of the participant whose node it is."""
    node: str
    """Its name."""

    @property
    def me(self) -> Voter:
        """This voter as the others know it."""
        assert self.number is not None, "an observer is no voter"
        return self.voters.voters[self.number]

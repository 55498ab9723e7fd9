"""What a node is made from, before any of its files is open. Owns the values only."""

from __future__ import annotations

import random  # noqa: TID251 - the one place where an Rng is made
from typing import NamedTuple

from node.chain.voters import VoterSet
from node.custody.keyring import Keyring
from node.custody.keystore import KeyFile, NodeKeys
from node.following.identity import NodeIdentity
from node.ledger.genesis import Genesis
from node.submission.admission import VerifiedCache
from node.system.clock import Clock, SystemClock
from node.system.config import NodeConfig


class Given(NamedTuple):
    """One node's configuration, keys and clocks."""

    config: NodeConfig
    identity: NodeIdentity
    key_file: KeyFile
    keyring: Keyring
    verified: VerifiedCache
    clock: Clock
    rng: random.Random

    @classmethod
    def of(cls, config: NodeConfig, genesis: Genesis, key_file: KeyFile) -> Given:
        """For a node of this configuration."""
        voters = VoterSet.from_genesis(genesis)
        is_voter = config.node.kind == "voter"
        number = voters.by_node[config.node.name].number if is_voter else None
        return cls(
            config=config,
            identity=NodeIdentity(
                genesis, voters, number, config.node.participant, config.node.name
            ),
            key_file=key_file,
            keyring=Keyring(key_file.keys.sealing_seeds[::-1]),
            verified=VerifiedCache(),
            clock=SystemClock(),
            rng=random.SystemRandom(),
        )

    @property
    def keys(self) -> NodeKeys:
        """The node's keys."""
        return self.key_file.keys

"""The embedder's judgement of entries. Owns a checksum for a signature, and refusals by lot."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random  # noqa: TID251 - seeded

from consensus.ports import Admission
from consensus.types import Entry, NodeId
from tests.sim.world import World


class Authority:
    """One node's."""

    def __init__(self, share: float, rng: Random, world: World) -> None:
        self.share = share
        """Of the entries that it refuses for now."""
        self._random = rng.random
        self._world = world

    def attest(self, header: bytes) -> bytes:
        """Enough to notice an entry that was altered."""
        return zlib.crc32(header).to_bytes(4, "big")

    def admit(self, sender: NodeId, entry: Entry) -> Admission:
        """Refuse by lot."""
        assert entry.attestation == self.attest(entry.header), "altered on its way"
        if self.share and self._random() < self.share:
            self._world.counts["entry refused"] += 1
            return Admission.REFUSE
        return Admission.ACCEPT

    def offered(self, sender: NodeId, entries: Sequence[Entry]) -> None:
        """Nothing: no member lies."""

    def conflicting(self, held_hash: bytes, held: Entry | None, offered: Entry) -> None:
        """No member of the simulation lies."""

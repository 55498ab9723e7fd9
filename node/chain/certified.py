"""A certified head in few bytes: what a voter holds of finality, kept beside what it signed.

Owns the short form of a certificate that fits a node's own ledger: with its height, which no
signature covers, and voters by number. Pure.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.chain.certificate import Certificate, Cosignature
from node.chain.checkpoint import COSIGNATURE_BYTES, Checkpoint
from node.chain.voters import VoterSet
from node.ledger.genesis import VOTERS_MAX

_Line = tuple[
    Annotated[int, msgspec.Meta(ge=0, lt=VOTERS_MAX)],
    Annotated[bytes, msgspec.Meta(min_length=COSIGNATURE_BYTES, max_length=COSIGNATURE_BYTES)],
]


class CertifiedHead(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A height of the own ledger, and the cosignatures that make it final."""

    height: int
    size: int
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    cosignatures: Annotated[tuple[_Line, ...], msgspec.Meta(max_length=VOTERS_MAX)]
    """Voter number and 76 bytes, in voter order."""

    @classmethod
    def of(cls, height: int, certificate: Certificate, voters: VoterSet) -> CertifiedHead:
        """The short form of a verified certificate whose height here is `height`."""
        checkpoint = certificate.checkpoint
        lines = tuple(
            (voters.by_cosigner[line.cosigner].number, line.blob)
            for line in certificate.cosignatures
        )
        return cls(height, checkpoint.size, checkpoint.root, lines)

    def certificate(self, voters: VoterSet) -> Certificate:
        """The certificate again, without an origin signature."""
        return Certificate(
            Checkpoint(voters.origin, self.size, self.root),
            tuple(
                Cosignature(voters.voters[number].cosigner, blob)
                for number, blob in self.cosignatures
            ),
        )

    def is_signed_by(self, number: int) -> bool:
        """Whether this voter's cosignature is among those kept."""
        return any(signer == number for signer, _ in self.cosignatures)

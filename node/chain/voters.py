"""The voters in force and the arithmetic of finality. Owns f, q, r, key names, the list's hash."""

from __future__ import annotations

import hashlib
from functools import cached_property

import msgspec

from node.chain.note import TYPE_COSIGNATURE, TYPE_ED25519, VerifierKey, key_id
from node.ledger.genesis import Genesis, VoterDocument

_VOTERS_TAG = b"piaolian/voters/v1\n"


class Voter(msgspec.Struct, frozen=True, dict=True):
    """One voter."""

    number: int
    """Position in the list; its number in consensus and in entry headers."""
    node: str
    origin: str
    """The checkpoint origin of the network."""
    identity_key: bytes
    """Signs entries and the handshakes of its node."""
    cosign_key: bytes
    origin_key: bytes

    @cached_property
    def cosigner(self) -> str:
        """The name of the cosign key in a note: origin and node."""
        return f"{self.origin}/{self.node}"

    @cached_property
    def cosign_id(self) -> bytes:
        """Key id of the cosign key (type 04)."""
        return key_id(self.cosigner, TYPE_COSIGNATURE, self.cosign_key)

    @cached_property
    def origin_id(self) -> bytes:
        """Key id of the origin key (type 01, named exactly as the origin)."""
        return key_id(self.origin, TYPE_ED25519, self.origin_key)

    @property
    def verifier_keys(self) -> tuple[VerifierKey, VerifierKey]:
        """Cosign key and origin key as other C2SP tools take them."""
        return (
            VerifierKey(self.cosigner, TYPE_COSIGNATURE, self.cosign_key),
            VerifierKey(self.origin, TYPE_ED25519, self.origin_key),
        )


class VoterSet(msgspec.Struct, frozen=True, dict=True):
    """All voters, in the order of the genesis document."""

    network_id: bytes
    origin: str
    voters: tuple[Voter, ...]
    hash: bytes
    """SHA-256(tag ‖ canonical MessagePack of the list): what a seal states as voters in force."""

    @classmethod
    def from_genesis(cls, genesis: Genesis) -> VoterSet:
        """The founding voters of a checked genesis."""
        origin = genesis.origin
        return cls(
            network_id=genesis.network_id,
            origin=origin,
            voters=tuple(
                _voter(number, document, origin) for number, document in enumerate(genesis.voters)
            ),
            hash=hashlib.sha256(_VOTERS_TAG + msgspec.msgpack.encode(genesis.voters)).digest(),
        )

    @property
    def n(self) -> int:
        """Number of voters."""
        return len(self.voters)

    @property
    def f(self) -> int:
        """Liars that finality withstands: ⌊(n − 1) / 3⌋."""
        return (self.n - 1) // 3

    @property
    def q(self) -> int:
        """Cosignatures that make a checkpoint final: ⌊(n + f) / 2⌋ + 1.

        Two sets of q share more than f voters, so at least one that does not lie.
        """
        return (self.n + self.f) // 2 + 1

    @property
    def r(self) -> int:
        """Answers that tell a voter which lost its memory what it may have signed: n − q + f + 1.

        So many of the n − 1 others share more than f voters with the q − 1 others under any
        certificate, so at least one that does not lie. One answer fewer is not enough.
        """
        return self.n - self.q + self.f + 1

    @cached_property
    def by_cosigner(self) -> dict[str, Voter]:
        """Voters by the name of their cosign key."""
        return {voter.cosigner: voter for voter in self.voters}

    @cached_property
    def _key_names(self) -> frozenset[tuple[str, bytes]]:
        return frozenset((key.name, key.id) for voter in self.voters for key in voter.verifier_keys)

    def knows(self, name: str, key_id: bytes) -> bool:
        """Whether a signature line of this name and key id is of a voter's key."""
        return (name, key_id) in self._key_names

    @cached_property
    def by_node(self) -> dict[str, Voter]:
        """Voters by node name."""
        return {voter.node: voter for voter in self.voters}

    def get(self, number: int) -> Voter | None:
        """The voter with this number, which a stranger may have chosen."""
        return self.voters[number] if 0 <= number < self.n else None


def _voter(number: int, document: VoterDocument, origin: str) -> Voter:
    return Voter(
        number=number,
        node=document.node,
        origin=origin,
        identity_key=bytes.fromhex(document.identity_key),
        cosign_key=bytes.fromhex(document.cosign_key),
        origin_key=bytes.fromhex(document.origin_key),
    )

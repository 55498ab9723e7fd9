"""What the genesis document fixes for ever: members, voters, domains, terms. Equal on every node.

Owns its shape and the network id: SHA-256(tag ‖ canonical MessagePack of the parsed document), so
comments and layout of the file (`genesis_file`) do not matter. Knows no address, those are local
(`node.toml`), and no domain: it keeps their terms as numbers, of which each domain knows its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeVar

import msgspec

from node.ledger.text import Worded, whole
from node.ledger.types import (
    ROLE_NAMES,
    Code18,
    Currency,
    ParticipantId,
    ParticipantName,
    RateBasisPoints,
    Role,
)

_GENESIS_TAG = b"piaolian/genesis/v1\n"

VOTERS_MAX = 7

_Terms = TypeVar("_Terms", bound="DomainTerms")

Name = Annotated[str, whole("[a-z0-9][a-z0-9-]{0,39}")]
HexKey = Annotated[str, whole("[0-9a-f]{64}")]
RoleName = Annotated[str, whole("[a-z_]{1,40}")]
Term = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Added to times and heights, which are never more."""
UtcOffsetMinutes = Annotated[int, msgspec.Meta(ge=-720, le=840)]
Created = Annotated[str, whole("[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")]


class GenesisError(ValueError):
    """The document is not a valid genesis; the message names the field."""


class DomainTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Terms and limits of one domain's rules: each law has a kind of its own."""

    domain: ClassVar[str]
    meanings: ClassVar[Mapping[str, str]] = {}
    """What each says with its default, as a comment of the file that a program makes."""


class Terms(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, dict=True):
    """Terms and limits that rules use: the machine's own, and those of each domain."""

    validity_heights: Term = 100_000
    domains: tuple[tuple[Name, tuple[Term, ...]], ...] = ()
    """Of each domain of the network its name and its terms, in the order of their kind's fields."""

    def of(self, kind: type[_Terms]) -> _Terms:
        """Those of a domain.

        Raises:
            LookupError: the network does not have it.
        """
        # Rules ask at every operation: made once.
        made: _Terms | None = self.__dict__.get(kind.domain)
        if made is None:
            for name, values in self.domains:
                if name == kind.domain:
                    made = kind(*values)
                    self.__dict__[name] = made
                    return made
            raise LookupError(f"the network has no domain {kind.domain!r}")
        return made


class ParticipantDocument(Worded, frozen=True):
    """A founding participant."""

    id: Code18
    name: ParticipantName
    roles: tuple[RoleName, ...]
    signing_key: HexKey
    sealing_key: HexKey

    @property
    def role_set(self) -> frozenset[Role]:
        """The roles as enumeration members."""
        return frozenset(ROLE_NAMES[role] for role in self.roles)


class VoterDocument(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A founding voter. Its position in the list is its number in consensus."""

    node: Name
    participant: Code18
    identity_key: HexKey
    cosign_key: HexKey
    origin_key: HexKey


class Genesis(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The whole document."""

    name: Name
    created: Created
    home_currency: Currency
    rules_version: int
    tax_rates: tuple[RateBasisPoints, ...]
    governors: tuple[Code18, ...]
    threshold: int
    terms: Terms
    participants: tuple[ParticipantDocument, ...]
    voters: tuple[VoterDocument, ...]
    utc_offset_minutes: UtcOffsetMinutes = 0
    """Of calendar days and months: 480 in China."""

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains whose rules hold here."""
        return tuple(name for name, _ in self.terms.domains)

    @property
    def network_id(self) -> bytes:
        """32 bytes that name this network in every signed thing."""
        return hashlib.sha256(_GENESIS_TAG + msgspec.msgpack.encode(self)).digest()

    @property
    def origin(self) -> str:
        """The checkpoint origin (C2SP tlog-checkpoint) of this network's ledger."""
        return f"piaolian/{self.name}/{self.network_id.hex()}"

    def participant(self, participant: ParticipantId | str) -> ParticipantDocument | None:
        """The founding participant with this id."""
        return next((p for p in self.participants if p.id == participant), None)

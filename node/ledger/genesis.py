"""The genesis document (`network.toml`): members, voters, terms. Equal on every node.

Owns its shape, its checks and the network id: SHA-256(tag ‖ canonical MessagePack of the parsed
document), so comments and layout do not matter. Knows no address: those are local (`node.toml`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, TypeVar

import msgspec
from stdnum.cn import uscc

from node.ledger.text import Worded, plain_reason, whole
from node.ledger.types import (
    ROLE_NAMES,
    Code18,
    Currency,
    ParticipantId,
    ParticipantName,
    RateBasisPoints,
    Role,
)
from node.system.toml_text import read_toml

_GENESIS_TAG = b"piaolian/genesis/v1\n"
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

VOTERS_MAX = 7

_Row = TypeVar("_Row", bound=msgspec.Struct)

Name = Annotated[str, whole("[a-z0-9][a-z0-9-]{0,39}")]
HexKey = Annotated[str, whole("[0-9a-f]{64}")]
RoleName = Annotated[str, whole("[a-z_]{1,40}")]
Term = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Added to times and heights, which are never more."""
UtcOffsetMinutes = Annotated[int, msgspec.Meta(ge=-720, le=840)]
Created = Annotated[str, whole("[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?")]


class GenesisError(ValueError):
    """The document is not a valid genesis; the message names the field."""


class Terms(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Terms and limits that rules use, in milliseconds or heights."""

    cancel_ms: Term = _DAY_MS
    red_confirm_ms: Term = 72 * _HOUR_MS
    red_issue_ms: Term = 72 * _HOUR_MS
    respond_ms: Term = 15 * _DAY_MS
    lock_ms: Term = 30 * _DAY_MS
    offer_ms_max: Term = 30 * _DAY_MS
    validity_heights: Term = 100_000
    proposal_ms: Term = 30 * _DAY_MS
    hold_ms_max: Term = 72 * _HOUR_MS
    uphold_ms_max: Term = 30 * _DAY_MS


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


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TOML shape of a genesis: named fields, where `Genesis` is positional."""

    network: _NetworkTable
    participant: list[dict[str, object]]
    voter: list[dict[str, object]]
    terms: dict[str, int] = msgspec.field(default_factory=dict)


class _NetworkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    created: Created
    home_currency: Currency
    rules_version: int
    tax_rates: list[int]
    governors: list[str]
    threshold: int
    utc_offset_minutes: int = 0


def parse_genesis(text: str) -> Genesis:
    """Read and check a `network.toml`.

    Raises:
        GenesisError: naming the field that is wrong; an unknown key is an error.
    """
    try:
        document = msgspec.convert(read_toml(text), _Document)
        table = document.network
        genesis = Genesis(
            name=table.name,
            created=table.created,
            home_currency=table.home_currency,
            rules_version=table.rules_version,
            tax_rates=tuple(table.tax_rates),
            governors=tuple(table.governors),
            threshold=table.threshold,
            terms=_from_table(Terms, dict(document.terms), "terms"),
            participants=tuple(
                _from_table(ParticipantDocument, row, f"participant[{number}]")
                for number, row in enumerate(document.participant)
            ),
            voters=tuple(
                _from_table(VoterDocument, row, f"voter[{number}]")
                for number, row in enumerate(document.voter)
            ),
            utc_offset_minutes=table.utc_offset_minutes,
        )
        # The positional form carries every constraint: round-trip through it.
        genesis = msgspec.msgpack.decode(msgspec.msgpack.encode(genesis), type=Genesis)
    except GenesisError:
        raise
    except (msgspec.MsgspecError, OverflowError, ValueError) as error:
        raise GenesisError(f"network.toml: {plain_reason(error)}") from error
    _check(genesis)
    return genesis


def _from_table(kind: type[_Row], row: dict[str, object], where: str) -> _Row:
    known = set(kind.__struct_fields__)
    unknown = sorted(set(row) - known)
    if unknown:
        raise GenesisError(f"network.toml: {where}: unknown key {unknown[0]!r}")
    try:
        values = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        return kind(**values)
    except TypeError as error:
        raise GenesisError(f"network.toml: {where}: {error}") from error


def _check(genesis: Genesis) -> None:
    ids = [p.id for p in genesis.participants]
    nodes = [v.node for v in genesis.voters]
    problems: list[tuple[bool, str]] = [
        (len(set(ids)) != len(ids), "participant ids must differ"),
        (len(set(nodes)) != len(nodes), "voter nodes must differ"),
        (not 1 <= len(nodes) <= VOTERS_MAX, f"between 1 and {VOTERS_MAX} voters are needed"),
        (not ids, "at least one participant is needed"),
        (any(v.participant not in ids for v in genesis.voters), "a voter is no participant"),
        (any(g not in ids for g in genesis.governors), "a governor is no participant"),
        (not 1 <= genesis.threshold <= len(genesis.governors), "threshold is out of range"),
        (genesis.rules_version != 1, "this program knows rules version 1 only"),
        (any(r not in ROLE_NAMES for p in genesis.participants for r in p.roles), "unknown role"),
    ]
    keys = [k for v in genesis.voters for k in (v.identity_key, v.cosign_key, v.origin_key)]
    keys += [p.signing_key for p in genesis.participants]
    # Who counts signatures counts keys: one that stands twice would count for two.
    problems.append((len(set(keys)) != len(keys), "every key has one role: keys must differ"))
    for names, message in (
        (genesis.governors, "governors must differ"),
        (genesis.tax_rates, "tax rates must differ"),
        *((p.roles, f"roles of {p.id} must differ") for p in genesis.participants),
    ):
        problems.append((len(set(names)) != len(names), message))
    for wrong, message in problems:
        if wrong:
            raise GenesisError(f"network.toml: {message}")
    for code in ids:
        if not uscc.is_valid(code):
            raise GenesisError(f"network.toml: participant id {code!r} fails its check digit")

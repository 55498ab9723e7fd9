"""The genesis document as a file (`network.toml`): named fields, where `Genesis` is positional.

Owns what is checked of it. Knows the laws: which domains there are, and the terms of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from stdnum.cn import uscc

from node.ledger.genesis import (
    VOTERS_MAX,
    Created,
    Genesis,
    GenesisError,
    Name,
    ParticipantDocument,
    Terms,
    VoterDocument,
)
from node.ledger.rulebook import RULEBOOK, RulebookError, rulebook_of
from node.ledger.text import plain_reason
from node.ledger.types import ROLE_NAMES, Currency
from node.system.toml_text import read_toml

GENESIS_BYTES_MAX = 1 << 20
"""Of the file; whoever opens one reads no more."""
_Row = TypeVar("_Row", bound=msgspec.Struct)


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TOML shape of a genesis: named fields, where `Genesis` is positional."""

    network: _NetworkTable
    participant: list[dict[str, object]]
    voter: list[dict[str, object]]
    terms: dict[str, object] = msgspec.field(default_factory=dict)


class _NetworkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    created: Created
    home_currency: Currency
    rules_version: int
    domains: list[Name]
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
            terms=read_terms(document.terms, tuple(table.domains)),
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


def read_terms(table: Mapping[str, object], domains: Sequence[str]) -> Terms:
    """The terms of a network with these domains; what the table leaves out has its default.

    Raises:
        GenesisError: naming what is wrong.
    """
    try:
        laws = rulebook_of(tuple(domains)).laws
    except RulebookError as error:
        raise GenesisError(f"network.toml: domains: {error}") from error
    own = {name: value for name, value in table.items() if not isinstance(value, dict)}
    strange = sorted(set(table) - set(own) - set(domains))
    if strange:
        raise GenesisError(f"network.toml: terms: the network has no domain {strange[0]!r}")
    if "domains" in own:
        raise GenesisError("network.toml: terms: unknown key 'domains'")
    kinds = {law.name: law.terms for law in laws}
    of_domains = []
    for name in domains:
        given, where = dict(_table(table.get(name, {}))), f"terms.{name}"
        kind = kinds[name]
        if kind is None and given:
            raise GenesisError(f"network.toml: {where}: unknown key {min(given)!r}")
        values = () if kind is None else msgspec.structs.astuple(_from_table(kind, given, where))
        of_domains.append((name, values))
    return _from_table(Terms, {**own, "domains": tuple(of_domains)}, "terms")


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict), "TOML: what is no table stands among the machine's own terms"
    return value


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
    for law in RULEBOOK.laws:
        missing = law.needed and law.name not in genesis.domains
        problems.append((missing, f"domains: every network has {law.name}"))
    keys = [k for v in genesis.voters for k in (v.identity_key, v.cosign_key, v.origin_key)]
    keys += [p.signing_key for p in genesis.participants]
    # Who counts signatures counts keys: one that stands twice would count for two.
    problems.append((len(set(keys)) != len(keys), "every key has one role: keys must differ"))
    for names, message in (
        (genesis.domains, "domains must differ"),
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

"""Sections 2 and 3 of node/chain/README.md: the genesis document, the network's id, voters' keys.

Knows how `network.toml` becomes ids and names of keys; knows nothing of signatures or proofs.
"""

from __future__ import annotations

import base64
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.outsider.from_page.form import MAX_SIZE, RefusedError, integer, need, pack, sha256, text

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
NAME = "[a-z0-9][a-z0-9-]{0,39}"
CREATED = "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?"
HEX_KEY = "[0-9a-f]{64}"
ROLES = {
    *("tax_bureau", "issuer", "payer", "reimburser", "customs", "police", "central_bank", "bank"),
    *("forex", "procuratorate", "court", "market_regulator", "auditor"),
}
TERMS = {
    "membership": {"proposal_ms": 2_592_000_000},
    "invoices": {
        "cancel_ms": 86_400_000,
        "red_confirm_ms": 259_200_000,
        "red_issue_ms": 259_200_000,
        "respond_ms": 1_296_000_000,
        "lock_ms": 2_592_000_000,
        "offer_ms_max": 2_592_000_000,
        "hold_ms_max": 259_200_000,
        "uphold_ms_max": 2_592_000_000,
    },
}
VALIDITY_HEIGHTS = 100_000
ORIGIN_KEY, COSIGN_KEY = 1, 4
UNSEEN = (
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    r"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
"""Controls, directional and invisible characters, halves of pairs and noncharacters."""


@dataclass(frozen=True)
class Key:
    """A key that signs checkpoints, with the name that stands in its lines."""

    name: str
    type: int
    public: bytes

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public)[:4]

    @property
    def vkey(self) -> str:
        key = base64.b64encode(bytes([self.type]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{key}"


@dataclass(frozen=True)
class Voter:
    node: str
    identity: bytes
    cosign: Key
    origin: Key


@dataclass(frozen=True)
class Network:
    id: bytes
    origin: str
    voters: tuple[Voter, ...]
    voters_hash: bytes

    @property
    def quorum(self) -> int:
        count = len(self.voters)
        return (count + (count - 1) // 3) // 2 + 1


def read_network(document: bytes) -> Network:
    need(len(document) <= 2**20, "the genesis document is too long")
    try:
        tables = tomllib.loads(document.decode())
    except (ValueError, RecursionError) as error:
        raise RefusedError("the genesis document is not TOML") from error
    need(
        set(tables) - {"terms"} == {"network", "participant", "voter"},
        "the genesis document has other tables",
    )
    participants = [_participant(each) for each in _list(tables["participant"])]
    voters = [_voter(each) for each in _list(tables["voter"])]
    need(
        participants and 1 <= len(voters) <= 7,
        "too few participants, or too few or too many voters",
    )
    ids = [each[0] for each in participants]
    _differ(ids)
    _differ([each[0] for each in voters])
    _differ([key for each in voters for key in each[2:]] + [each[3] for each in participants])
    need(all(each[1] in ids for each in voters), "a voter's participant is none")
    *network, domains, utc_offset = _network(tables["network"], ids)
    array = [
        *network,
        _terms(tables.get("terms", {}), domains),
        participants,
        voters,
        utc_offset,
    ]
    network_id = sha256(b"piaolian/genesis/v1\n" + pack(array))
    origin = f"piaolian/{array[0]}/{network_id.hex()}"
    return Network(
        network_id,
        origin,
        tuple(
            Voter(
                node,
                bytes.fromhex(identity),
                Key(f"{origin}/{node}", COSIGN_KEY, bytes.fromhex(cosign)),
                Key(origin, ORIGIN_KEY, bytes.fromhex(log)),
            )
            for node, _, identity, cosign, log in voters
        ),
        sha256(b"piaolian/voters/v1\n" + pack(voters)),
    )


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise RefusedError("not an array")
    return value


def _fields(table: object, *names: str) -> list[Any]:
    if not isinstance(table, dict) or set(table) != set(names):
        raise RefusedError("a table has other keys")
    return [table[name] for name in names]


def _differ(values: Iterable[object]) -> None:
    values = list(values)
    need(len(set(values)) == len(values), "what must differ stands twice")


def _network(table: object, ids: list[str]) -> list[Any]:
    names = (
        "name",
        "created",
        "home_currency",
        "rules_version",
        "domains",
        "tax_rates",
        "governors",
        "threshold",
    )
    if not isinstance(table, dict):
        raise RefusedError("not a table")
    given = {"utc_offset_minutes": 0} | table
    fields = _fields(given, *names, "utc_offset_minutes")
    name, created, currency, version, domains, rates, governors, threshold, utc_offset = fields
    rates = [integer(rate, 0, 10_000, "a tax rate") for rate in _list(rates)]
    governors = [text(governor, "a governor") for governor in _list(governors)]
    domains = [text(domain, "a domain") for domain in _list(domains)]
    need("membership" in domains and set(domains) <= set(TERMS), "other domains")
    _differ(domains)
    _differ(rates)
    _differ(governors)
    need(all(governor in ids for governor in governors), "a governor is no participant")
    return [
        text(name, "the network's name", NAME),
        text(created, "created", CREATED),
        text(currency, "the home currency", "[A-Z]{3}"),
        integer(version, 1, 1, "the rules version"),
        rates,
        governors,
        integer(threshold, 1, len(governors), "the threshold"),
        domains,
        integer(utc_offset, -720, 840, "the offset from UTC"),
    ]


def _terms(table: object, domains: list[str]) -> list[Any]:
    if not isinstance(table, dict) or not set(table) <= {"validity_heights", *domains}:
        raise RefusedError("the terms have other keys")
    heights = table.get("validity_heights", VALIDITY_HEIGHTS)
    of_domains = [[domain, _of_domain(table.get(domain, {}), TERMS[domain])] for domain in domains]
    return [integer(heights, 0, MAX_SIZE, "validity_heights"), of_domains]


def _of_domain(table: object, defaults: dict[str, int]) -> list[int]:
    if not isinstance(table, dict) or not set(table) <= set(defaults):
        raise RefusedError("the terms have other keys")
    return [
        integer(table.get(name, default), 0, MAX_SIZE, name) for name, default in defaults.items()
    ]


def _participant(table: object) -> list[Any]:
    id_, name, roles, signing, sealing = _fields(
        table, "id", "name", "roles", "signing_key", "sealing_key"
    )
    roles = [text(role, "a role") for role in _list(roles)]
    need(set(roles) <= ROLES, "a role that does not exist")
    _differ(roles)
    return [
        _code(id_),
        _name(name),
        roles,
        text(signing, "a signing key", HEX_KEY),
        text(sealing, "a sealing key", HEX_KEY),
    ]


def _voter(table: object) -> list[str]:
    node, participant, *keys = _fields(
        table, "node", "participant", "identity_key", "cosign_key", "origin_key"
    )
    return [
        text(node, "a node", NAME),
        _code(participant),
        *(text(key, "a voter's key", HEX_KEY) for key in keys),
    ]


def _code(value: object) -> str:
    code = text(value, "an id", f"[0-9]{{8}}[{ALPHABET}]{{10}}")
    values = [ALPHABET.index(character) for character in code]
    total = sum(value * 3**place for place, value in enumerate(values[:17])) + values[17]
    need(total % 31 == 0, "an id's last character is wrong")
    return code


def _name(value: object) -> str:
    name = text(value, "a name", r"[\s\S]{1,200}")
    need(name == name.strip(), "a name begins or ends with a space")
    need(not re.search(UNSEEN, name), "a name has a character that nobody sees")
    need(unicodedata.is_normalized("NFC", name), "a name is not in normal form C")
    # Python 3.11's Unicode is 14.0; a later one knows more, and lets through what came since.
    unknown = [letter for letter in name if unicodedata.category(letter) == "Cn"]
    need(all(0x20000 <= ord(letter) < 0x40000 for letter in unknown), "not Unicode 14.0")
    return name

"""Sections 2 and 3: the genesis document, the network id, voters and their keys."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from typing import Any

from tests.outsider.verifier.encoding import InvalidError, array, need, pack, sha256

GENESIS_BYTES_MAX = 1 << 20
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ROLES = "tax_bureau|issuer|payer|reimburser|customs|police|central_bank|bank"
TERMS = (
    ("cancel_ms", 86_400_000),
    ("red_confirm_ms", 259_200_000),
    ("red_issue_ms", 259_200_000),
    ("respond_ms", 1_296_000_000),
    ("lock_ms", 2_592_000_000),
    ("offer_ms_max", 2_592_000_000),
    ("validity_heights", 100_000),
    ("proposal_ms", 2_592_000_000),
)


@dataclass(frozen=True)
class Voter:
    node: str
    identity_key: bytes
    cosign_key: bytes
    origin_key: bytes


@dataclass(frozen=True)
class Network:
    id: bytes
    origin: str
    voters: tuple[Voter, ...]
    voters_hash: bytes

    @property
    def q(self) -> int:
        n = len(self.voters)
        return (n + (n - 1) // 3) // 2 + 1

    def key_id(self, name: str, kind: int, key: bytes) -> bytes:
        return sha256(name.encode(), b"\n", bytes((kind,)), key)[:4]

    def signers(self, name: str, key_id: bytes) -> list[tuple[int, int, bytes]]:
        """(type, number, key) of each voter's key with this name and id."""
        found = []
        for number, voter in enumerate(self.voters):
            for kind, key_name, key in (
                (1, self.origin, voter.origin_key),
                (4, f"{self.origin}/{voter.node}", voter.cosign_key),
            ):
                if (name, key_id) == (key_name, self.key_id(key_name, kind, key)):
                    found.append((kind, number, key))
        return found


def _row(table: Any, what: str, *names: str) -> list[Any]:
    need(isinstance(table, dict) and set(table) == set(names), f"{what} has other keys")
    return [table[name] for name in names]


def _tables(value: Any, what: str, *names: str) -> list[list[Any]]:
    need(isinstance(value, list), f"{what} are no tables")
    return [_row(table, what, *names) for table in value]


def _texts(value: Any, pattern: str, what: str) -> None:
    need(
        isinstance(value, list)
        and all(isinstance(text, str) and re.fullmatch(pattern, text) for text in value)
        and len(set(value)) == len(value),
        f"{what} are malformed or not distinct",
    )


def _is_credit_code(code: str) -> bool:
    values = [ALPHABET.find(letter) for letter in code]
    total = sum(value * 3**place for place, value in enumerate(values[:-1])) + values[-1]
    return min(values) >= 0 and max(values[:8]) < 10 and total % 31 == 0


def read_genesis(data: bytes) -> Network:
    """Section 2."""
    need(len(data) <= GENESIS_BYTES_MAX, "genesis is too large")
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidError(f"genesis: {error}") from error
    need(
        set(document) - {"terms"} == {"network", "participant", "voter"}, "genesis has other tables"
    )
    head = _row(
        document["network"],
        "[network]",
        *("name", "created", "home_currency", "rules_version", "tax_rates", "governors"),
        "threshold",
    )
    given = document.get("terms", {})
    need(isinstance(given, dict) and given.keys() <= dict(TERMS).keys(), "[terms] has other keys")
    terms = [given.get(name, default) for name, default in TERMS]
    participants = _tables(
        document["participant"], "participants", "id", "name", "roles", "signing_key", "sealing_key"
    )
    keys = ("identity_key", "cosign_key", "origin_key")
    voters = _tables(document["voter"], "voters", "node", "participant", *keys)
    _check_genesis(head, terms, participants, voters)
    identity = sha256(b"piaolian/genesis/v1\n", pack([*head, terms, participants, voters]))
    return Network(
        id=identity,
        origin=f"piaolian/{head[0]}/{identity.hex()}",
        voters=tuple(Voter(row[0], *map(bytes.fromhex, row[2:])) for row in voters),
        voters_hash=sha256(b"piaolian/voters/v1\n", pack(voters)),
    )


def _check_name(name: Any) -> None:
    need(isinstance(name, str) and 1 <= len(name) <= 200 and name == name.strip(), "a name")
    controls = any(unicodedata.category(letter) == "Cc" for letter in name)
    need(not controls and unicodedata.is_normalized("NFC", name), "spelling of a name")


def _check_genesis(
    head: list[Any], terms: list[Any], participants: list[Any], voters: list[Any]
) -> None:
    name, created, currency, version, rates, governors, threshold = head
    _texts([name], "[a-z0-9][a-z0-9-]{0,39}", "name")
    _texts([currency], "[A-Z]{3}", "currency")
    _texts([created], "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", "date")
    need(type(version) is int and version == 1, "rules version")
    need(isinstance(rates, list), "tax rates")
    array(rates, "tax rates", *[range(10_001)] * len(rates))
    need(len(set(rates)) == len(rates), "tax rates are not distinct")
    array(terms, "terms", *[range(-(2**63), 2**63)] * len(TERMS))
    ids = [row[0] for row in participants]
    need(bool(ids) and 1 <= len(voters) <= 7, "too few participants or voters, or too many")
    _texts(ids, "[0-9A-Z]{18}", "ids")
    need(all(map(_is_credit_code, ids)), "an id fails its check digit")
    _texts([row[0] for row in voters], "[a-z0-9][a-z0-9-]{0,39}", "nodes")
    _texts(governors, "[0-9A-Z]{18}", "governors")
    need({*governors, *(row[1] for row in voters)} <= set(ids), "someone is no participant")
    need(type(threshold) is int and 1 <= threshold <= len(governors), "threshold")
    for row in participants:
        _check_name(row[1])
        _texts(row[2], ROLES, "roles")
        _texts([row[4]], "[0-9a-f]{64}", "sealing keys")
    counted = [key for row in voters for key in row[2:]] + [row[3] for row in participants]
    _texts(counted, "[0-9a-f]{64}", "keys")

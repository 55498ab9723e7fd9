"""The pages' texts and figures: both languages complete, nothing unnamed, units as the node has."""

from __future__ import annotations

import hashlib
import json
import re
from typing import get_args

import pytest

from node.domains.invoices.api.discrepancies import KIND_NAMES
from node.domains.invoices.api.inbox import _WAITING_NAMES
from node.domains.invoices.api.invoice_views import DOCUMENT_NAMES, RESPONSE_NAMES
from node.domains.invoices.importing.columns import COLUMNS, ERROR_COLUMNS
from node.ledger.currency import MINOR_UNITS
from node.ledger.invoices.rows import FormState
from node.ledger.participants import ParticipantState
from node.ledger.rulebook import RULEBOOK
from node.ledger.types import Role
from node.runtime.domains import DOMAINS
from node.runtime.routes import ROUTES, assets_of
from node.services.status import RaftView

SCRIPTS = {
    name: file.body.decode()
    for name, file in assets_of(DOMAINS).items()
    if name.endswith(".js") and not name.startswith("vendor/")
}
TEXTS = {name: json.loads(assets_of(DOMAINS)[f"lang/{name}.json"].body) for name in ("en", "zh")}
NAMED = {
    "operation": set(RULEBOOK.names.values()),
    "state": {*DOCUMENT_NAMES.values(), "frozen", "offered", "red"},
    "response": set(RESPONSE_NAMES.values()),
    "role": {role.name.lower() for role in Role},
    "waiting": set(_WAITING_NAMES.values()),
    "party": {state.name.lower() for state in ParticipantState},
    "form": {state.name.lower() for state in FormState},
    "raft": set(get_args(RaftView.__annotations__["state"])) or {"leader"},
    "tag": {route.tag for route in ROUTES},
    "discrepancy": set(KIND_NAMES.values()),
    "reason": {"issuing_error", "return", "service_ended", "allowance"},
    "scope": {"read", "operate", "admin"},
    "write": {*("sending", "pending", "committed", "final"), *("refused", "expired", "failed")},
}
"""By group: every value of the API that a page shows by a name of its own."""


def test_both_languages_have_the_same_texts() -> None:
    assert TEXTS["en"].keys() == TEXTS["zh"].keys()
    for key, text in TEXTS["en"].items():
        placeholders = set(re.findall(r"\{\w+\}", text))
        assert placeholders == set(re.findall(r"\{\w+\}", TEXTS["zh"][key])), key
        assert text.strip()
        assert TEXTS["zh"][key].strip()


def test_every_text_that_a_page_asks_for_exists() -> None:
    asked = {key for code in SCRIPTS.values() for key in re.findall(r'\bt\("([^"]+)"', code)}

    assert len(asked) > 200
    assert sorted(asked - TEXTS["en"].keys()) == []


@pytest.mark.parametrize("group", list(NAMED))
def test_every_value_has_its_name(group: str) -> None:
    missing = {value for value in NAMED[group] if f"{group}.{value}" not in TEXTS["en"]}

    assert missing == set()


def test_no_text_is_left_over() -> None:
    code = "\n".join(SCRIPTS.values())
    groups = {*re.findall(r"\bt\(`([a-z_.]+)\.\$", code), *re.findall(r'named\("([a-z_]+)"', code)}
    groups |= set(re.findall(r'group="([a-z_]+)"', code)) | {"details"}
    unused = [
        key
        for key in TEXTS["en"]
        if f'"{key}"' not in code and not key.startswith(tuple(f"{group}." for group in groups))
    ]

    assert unused == []


def test_the_pages_count_minor_units_as_the_node_does() -> None:
    money = SCRIPTS["core/money.js"]
    lists = {
        name: set(re.findall(r"[A-Z]{3}", text))
        for name, text in re.findall(r'const (\w+_UNITS?) = "([A-Z ]+)"', money)
    }

    assert lists == {
        "NO_MINOR_UNIT": {code for code, units in MINOR_UNITS.items() if units == 1},
        "THOUSAND_MINOR_UNITS": {code for code, units in MINOR_UNITS.items() if units == 1_000},
    }


def test_the_pages_import_the_columns_of_the_command_line() -> None:
    code = SCRIPTS["invoices/importing.js"]
    table = code[code.index("export const COLUMNS") : code.index("};")]
    found = dict(re.findall(r'(\w+): "([^"]+)"', table))

    assert found.items() == {
        (column.name, column.chinese) for column in COLUMNS if column.name not in ERROR_COLUMNS
    }


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("vendor/preact.js", "225d7a773766e6fb2cfcc45274fe41d2059f5782f3f2c4569aa5132a2d3a2902"),
        ("vendor/hooks.js", "5c65ab263688d0805862fd0807c779af02c2799c44fda0873dfcb870d0da70a0"),
        ("vendor/htm.js", "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4"),
    ],
)
def test_the_vendored_library_is_the_released_one(name: str, digest: str) -> None:
    assert hashlib.sha256(assets_of(DOMAINS)[name].body).hexdigest() == digest
    licence = name.replace("hooks", "preact").replace(".js", ".LICENSE")
    assert (
        b"License" in assets_of(DOMAINS)[licence].body
        or b"Permission" in assets_of(DOMAINS)[licence].body
    )

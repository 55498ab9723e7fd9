"""Every text that is signed, hashed or keyed has one spelling."""

from __future__ import annotations

import ast
import hashlib
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

import consensus
import node
import p2p
from node.chain.block import Block
from node.chain.leaf import Leaf
from node.custody.keystore import generate_keys
from node.ledger import text, unassigned
from node.ledger.execution.bykey import decode_operation
from node.ledger.genesis import Genesis, GenesisError
from node.ledger.genesis_file import parse_genesis
from node.ledger.invoices import operations as ops
from node.ledger.membership.operations import Admit, Propose
from node.ledger.operations import DirectOperation, Operation
from node.ledger.text import Worded, check_line, check_safe, check_safe_lines
from node.ledger.transaction import MalformedTransactionError, TransactionBody, Wire
from node.ledger.types import Code18, Currency, Date, InvoiceNumber, PartyRef, Role
from node.setup.cards import CardError, NodeCard, make_card
from tests.ledger.awkward import CONTROLS, DIRECTIONS, SIGNABLE, UNSIGNABLE, variants

ROOTS = (TransactionBody, Wire, DirectOperation, Operation, Genesis, NodeCard, Leaf, Block)
"""What is signed or hashed, and everything in it."""
CODE = "91440300MA5DA7AE0A"
SOURCES = [
    path
    for package in (node, p2p, consensus)
    for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))
]


def shapes(root: object) -> Iterator[tuple[str, inspect.StrType, type | None]]:
    """Every text of a shape: where it is, how it is declared, and in which struct."""
    seen: set[type] = set()

    def walk(
        found: Any, where: str, owner: type | None
    ) -> Iterator[tuple[str, inspect.StrType, type | None]]:
        match found:
            case inspect.StrType():
                yield where, found, owner
            case inspect.StructType(cls=cls) if cls not in seen:
                seen.add(cls)
                for field in found.fields:
                    yield from walk(field.type, f"{cls.__name__}.{field.name}", cls)
            case inspect.UnionType(types=types) | inspect.TupleType(item_types=types):
                for item in types:
                    yield from walk(item, where, owner)
            case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
                yield from walk(item, where, owner)
            case inspect.DictType() | inspect.AnyType() | inspect.RawType():
                raise AssertionError(f"{where}: no open type in what is signed")
            case _:
                pass

    yield from walk(inspect.type_info(root), "", None)


TEXTS = {where: (kind, owner) for root in ROOTS for where, kind, owner in shapes(root)}


WORDS = [where for where, (kind, _) in TEXTS.items() if text._LINE in (kind.pattern or "")]


@pytest.mark.parametrize("where", TEXTS)
def test_every_signed_text_is_declared_to_match_as_a_whole(where: str) -> None:
    kind, _ = TEXTS[where]
    assert kind.pattern is not None, f"{where} has no kind: use node.ledger.text"
    assert kind.pattern.startswith(r"\A(?:"), where
    assert kind.pattern.endswith(r")\Z"), where


def test_the_walk_reaches_the_texts_of_every_kind() -> None:
    assert len(TEXTS) > 60
    assert {"Admit.name", "ParticipantDocument.name", "OfferInvoice.to", "Vote.participant"} <= set(
        TEXTS
    )


@pytest.mark.parametrize("where", WORDS)
def test_every_shape_with_words_checks_their_normal_form(where: str) -> None:
    _, owner = TEXTS[where]
    assert owner is not None
    assert issubclass(owner, Worded) or owner is NodeCard, "checked where it is read"


def test_patterns_are_made_in_one_place() -> None:
    """`$` matches before a line feed at the end, and `re.match` does not look at the end at all."""
    for path in SOURCES:
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            name = ast.unparse(call.func)
            where = f"{path}:{call.lineno}"
            if name.endswith("Meta") and any(k.arg == "pattern" for k in call.keywords):
                assert path == Path(str(text.__file__)), where
            if name.startswith("re.") and call.args:
                pattern = call.args[0]
                last = pattern.values[-1] if isinstance(pattern, ast.JoinedStr) else pattern
                if isinstance(last, ast.Constant) and isinstance(last.value, str):
                    assert not last.value.endswith("$"), where


@pytest.mark.parametrize(
    ("kind", "good"),
    [
        (Code18, CODE),
        (PartyRef, CODE),
        (PartyRef, "0123456789abcdef" * 4),
        (InvoiceNumber, "26440000000000000001"),
        (Currency, "CNY"),
        (Date, "2026-09-01"),
    ],
)
def test_a_code_has_one_spelling(kind: Any, good: str) -> None:
    decode = msgspec.msgpack.Decoder(kind).decode
    assert decode(msgspec.msgpack.encode(good)) == good
    for name, other in variants(good).items():
        if name == "twice" or (name == "other case" and kind is Date):
            continue
        with pytest.raises(msgspec.ValidationError):
            decode(msgspec.msgpack.encode(other)), name


@pytest.mark.parametrize("words", UNSIGNABLE.values(), ids=UNSIGNABLE)
def test_words_that_look_like_others_are_not_signed(words: str) -> None:
    sound = ops.BookInvoice("2" * 20, "a")
    encoded = msgspec.msgpack.encode([40, sound.invoice, words])
    with pytest.raises(MalformedTransactionError) as error:
        decode_operation(encoded)
    assert "regex" not in str(error.value)
    with pytest.raises(ValueError, match=r"blank|character|normal form"):
        check_line(words)


@pytest.mark.parametrize("words", SIGNABLE)
def test_words_of_every_script_are_signed(words: str) -> None:
    operation = ops.BookInvoice("2" * 20, words)
    assert decode_operation(msgspec.msgpack.encode(operation)) == operation
    assert check_line(words) == words


def test_words_within_a_proposal_are_looked_at_too() -> None:
    fields: tuple[Any, ...] = ((Role.PAYER,), bytes(32), bytes(32))
    good = msgspec.msgpack.encode(Propose(Admit(CODE, "Café", *fields), "why", 0))
    assert isinstance(decode_operation(good), Propose)
    bad = good.replace(b"\xa5Caf\xc3\xa9", b"\xa6Cafe\xcc\x81")
    assert bad != good
    with pytest.raises(MalformedTransactionError, match="normal form"):
        decode_operation(bad)


def test_what_words_are_made_of_hangs_on_no_interpreter() -> None:
    """Every interpreter knows all of it, and puts it into the same normal form."""
    known = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if unassigned.is_assigned(letter) and not 0x20000 <= ord(letter) < 0x40000
    ]
    assert all(unicodedata.category(letter) != "Cn" for letter in known)
    if unicodedata.unidata_version == "14.0.0":
        assert len(known) + sum(last - first + 1 for first, last in unassigned.RANGES) == (
            sys.maxunicode + 1 - 0x20000
        )
        assert all(
            unicodedata.category(chr(place)) == "Cn"
            for first, last in unassigned.RANGES
            for place in (first, last)
        )
    forms = "".join(unicodedata.normalize("NFC", f"x\u0301{letter}\u0323") for letter in known)
    digest = hashlib.sha256(forms.encode("utf-8", "surrogatepass")).hexdigest()
    assert digest == ("a42af23b47134287075257858b3c15e6e2cf58985d32f8a72fae08647427437b")


@pytest.mark.parametrize("half", ["\ud800"])
def test_half_a_character_is_no_text(half: str) -> None:
    for check in (check_line, check_safe, check_safe_lines):
        with pytest.raises(ValueError, match="character"):
            check(f"a{half}b")
    encoded = msgspec.msgpack.encode([40, "2" * 20, "abc"]).replace(
        b"abc", half.encode("utf-8", "surrogatepass")
    )
    with pytest.raises(MalformedTransactionError):
        decode_operation(encoded)


@pytest.mark.parametrize("mark", [*CONTROLS, *DIRECTIONS])
def test_sealed_text_holds_line_feeds_only_where_lines_are_meant(mark: str) -> None:
    with pytest.raises(ValueError, match="character"):
        check_safe(f"a{mark}b")
    if mark != "\n":
        with pytest.raises(ValueError, match="character"):
            check_safe_lines(f"a{mark}b")
    assert check_safe_lines("a\nb") == "a\nb"


def test_every_character_of_sealed_text_is_judged_by_its_class_alone() -> None:
    """What Python calls printable is passed over: none of it may be among what is refused."""
    refused = [c for c in map(chr, range(sys.maxunicode + 1)) if text._unsafe.match(c)]
    assert len(refused) > 2_000
    assert not any(c.isprintable() for c in refused)


# --- Genesis and cards -----------------------------------------------------------------------


def genesis_text() -> str:
    return Path(__file__).parents[2].joinpath("configs", "network.toml").read_text()


def test_a_genesis_with_another_spelling_is_refused() -> None:
    document = genesis_text()
    genesis = parse_genesis(document)
    voter, participant = genesis.voters[0], genesis.participants[0]
    codes = [genesis.name, genesis.created, genesis.home_currency, voter.node, participant.id]
    codes += [
        voter.identity_key,
        voter.origin_key,
        participant.signing_key,
        participant.sealing_key,
    ]
    codes += [*participant.roles[:1]]
    for code in codes:
        for name, other in variants(code).items():
            quoted = f'"{code}"'
            assert quoted in document
            if name in {"twice", "other case"} and code in {genesis.name, voter.node}:
                continue
            changed = document.replace(quoted, msgspec.json.encode(other).decode(), 1)
            with pytest.raises(GenesisError):
                parse_genesis(changed), (code, name)
    for words in UNSIGNABLE.values():
        quoted = msgspec.json.encode(participant.name).decode()
        changed = document.replace(quoted, msgspec.json.encode(words).decode(), 1)
        assert changed != document
        with pytest.raises(GenesisError):
            parse_genesis(changed)


@pytest.mark.parametrize("words", UNSIGNABLE.values(), ids=UNSIGNABLE)
def test_a_card_with_another_spelling_is_refused(words: str) -> None:
    keys = generate_keys()
    card: dict[str, Any] = {
        "node": "issuer",
        "participant": parse_genesis(genesis_text()).participants[0].id,
        "name": "A name",
        "roles": ["issuer"],
        "address": "node-1.example:7000",
    }
    assert make_card(keys, **card).name == card["name"]
    for field in ("node", "name", "address", "participant"):
        with pytest.raises(CardError):
            make_card(keys, **card | {field: words})
    with pytest.raises(CardError):
        make_card(keys, **card | {"address": card["address"] + "\n"})

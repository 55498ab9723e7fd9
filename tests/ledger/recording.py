"""What the ledger does and says of itself, in a form that is kept beside the tests.

`python -m tests.ledger.recording` writes the files anew. The history keeps its bytes: only what it
comes to is written, so that a change of the rules shows. Owns no judgement (`test_recorded`).
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from inspect import getclosurevars
from pathlib import Path
from typing import Any

import msgspec

from node.chain.leaf import TransactionLeaf, encode_leaf
from node.chain.merkle import leaf_hash, parent_hashes
from node.ledger.execution.blobs import named_blobs
from node.ledger.execution.bykey import inner_operation
from node.ledger.execution.execute import CheckedTransaction
from node.ledger.execution.footprint import footprint
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import PublishExchangeRate, PublishTaxRates
from node.ledger.membership.operations import KeyKind, RotateKey
from node.ledger.operations import LAWS, ByKey, DirectOperation
from node.ledger.rulebook import RULEBOOK, tag_of
from node.ledger.spec import Law
from node.ledger.transaction import Transaction, decode_transaction
from tests.ledger.history import SigningWorld, random_history
from tests.ledger.moves import invoices
from tests.ledger.world import BUREAU, BUYER, STRANGER, World, key_of

FOLDER = Path(__file__).parent / "recorded"


def kept_file(domain: str, name: str) -> Path:
    """Where what is kept of a domain's operations stands: beside the tests of its law."""
    return Path(__file__).parent / domain / "recorded" / f"{name}.json"


HISTORY = FOLDER / "history.msgpack.gz"
SEED, BLOCKS = 12, 250


class Recorded(msgspec.Struct, array_like=True):
    """A history, and what it comes to."""

    network_id: bytes
    opening: list[tuple[int, bytes, bytes]]
    """Rows of the state before the first block."""
    blocks: list[tuple[int, list[bytes]]]
    """Time, and the transactions as they travel."""
    digests: list[bytes]
    root: bytes
    """Of the tree of all transactions' leaves."""


def recorded_history() -> Recorded:
    """The history that is kept."""
    return msgspec.msgpack.decode(gzip.decompress(HISTORY.read_bytes()), type=Recorded)


def replay(kept: Recorded) -> tuple[World, list[bytes], bytes]:
    """The world, digests and root that today's rules make of the kept transactions."""
    world = World()
    world.network_id = kept.network_id
    digests: list[bytes] = []
    leaves: list[bytes] = []
    for time_ms, wires in kept.blocks:
        world.now = time_ms
        transactions = [decode_transaction(wire) for wire in wires]
        results = world.block(transactions).results
        digests.append(world.digest.value())
        leaves += [
            encode_leaf(TransactionLeaf(int(r.code), world.height, t.body_bytes, t.signature))
            for t, r in zip(transactions, results, strict=True)
            if r.leaf
        ]
    return world, digests, root_of(leaves)


def root_of(leaves: list[bytes]) -> bytes:
    """The RFC 6962 root of leaves."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    while len(hashes) > 1:
        odd = hashes[-1:] if len(hashes) % 2 else []
        hashes = [*parent_hashes(hashes[: len(hashes) - len(odd)]), *odd]
    return hashes[0]


def rare(world: SigningWorld) -> Iterator[Transaction]:
    """Operations that no random history has."""
    number = next(iter(invoices(world)))
    yield world.signed(BUREAU, PublishTaxRates(None, (0, 600, 900, 1300)))
    yield world.signed(BUREAU, ops.RecordDiscrepancy(number, 5))
    yield world.signed(BUREAU, ops.ResolveDiscrepancy(number, 5, "corrected"))
    yield world.signed(BUYER, ops.ShareDetails(number, *map(bytes, (32, 32, 48, 24))))
    yield world.signed(STRANGER, ops.WithdrawRedLetter(number, 0))
    yield world.signed(BUREAU, ops.ActForRetired(STRANGER, ops.ConfirmRedLetter(number, 0)))
    old, new = key_of(STRANGER), hashlib.sha256(b"rotated").digest()
    yield world.signed(STRANGER, RotateKey(KeyKind.SIGNING, old, new, world.height + 9, bytes(64)))
    yield world.signed(BUREAU, PublishExchangeRate("EUR", 8_000_000, "2026-08-31"))


def samples(kept: Recorded) -> dict[str, Any]:
    """The first operation of each kind in the history: what it reads, and what its trace keeps."""
    found: dict[str, Any] = {}
    world = World()
    world.network_id = kept.network_id
    for height, (time_ms, wires) in enumerate(kept.blocks, 1):
        world.now, world.height = time_ms, height
        for wire in wires:
            transaction = decode_transaction(wire)
            operation = transaction.body.operations[0]
            inner = inner_operation(operation) if isinstance(operation, ByKey) else operation
            name = type(inner).__name__
            if isinstance(operation, ByKey):
                name += " by key"
            elif isinstance(inner, ops.ActForRetired):
                name += f" {type(inner.operation).__name__}"
            if name not in found:
                found[name] = sample(world, transaction, inner)
    for law in LAWS:
        for operation in later(law.name, world):
            transaction = world.transaction(BUREAU, [operation])
            found[type(operation).__name__] = sample(world, transaction, operation)
    return dict(sorted(found.items()))


def later(domain: str, world: World) -> Sequence[DirectOperation]:
    """Operations of a domain that are younger than the history."""
    name = f"tests.ledger.{domain}.samples"
    module = importlib.import_module(name) if importlib.util.find_spec(name) else None
    return () if module is None else tuple(module.later(world))


def of_domain(domain: str, kept: dict[str, Any]) -> dict[str, Any]:
    """Those entries that begin with the name of one of the domain's operations."""
    own = {kind.__name__ for law in LAWS if law.name == domain for kind in kinds_of(law)}
    return {name: value for name, value in kept.items() if name.split()[0] in own}


def kinds_of(law: Law) -> list[type]:
    return [spec.kind for spec in law.operations]


def sample(world: World, transaction: Transaction, inner: Any) -> dict[str, Any]:
    """What one transaction reads and names, and the facts of its operation."""
    wanted = footprint([CheckedTransaction(transaction, True)], world.context())
    assert wanted.faults == []
    facts = RULEBOOK.facts.get(type(inner))
    return {
        "operation": msgspec.to_builtins(inner, str_keys=True),
        "rows": {
            table.name: sorted(key.hex() for key in keys) for table, keys in wanted.rows.items()
        },
        "scans": [
            [scan.table.name, scan.low.hex(), scan.high.hex(), scan.limit] for scan in wanted.scans
        ],
        "blobs": [blob.hex() for blob in named_blobs(transaction.body)],
        "facts": None if facts is None else list(facts(inner)),
    }


def tables() -> dict[str, Any]:
    """What stands of each operation, by the name of its type."""
    return {kind.__name__: entry(kind) for kind in RULEBOOK.specs}


def entry(kind: Any) -> dict[str, Any]:
    """The derived values of one operation."""
    spec = RULEBOOK.specs.get(kind)
    return {
        "tag": tag_of(kind),
        "name": RULEBOOK.names.get(kind),
        "rule": None if spec is None else rule_name(spec.apply),
        "on_invoice": None if spec is None else open_only(spec.apply),
        "scopes": RULEBOOK.scopes[kind],
        "by_key": kind in RULEBOOK.open_to_keys,
        "carries_blobs": kind in RULEBOOK.blobs,
        "has_facts": kind in RULEBOOK.facts,
    }


def rule_name(rule: Any) -> str:
    """Module and function of a rule, of one on an invoice that of the inner one."""
    inner = getclosurevars(rule).nonlocals.get("rule", rule)
    return f"{inner.__module__.rpartition('.')[2]}.{inner.__name__}"


def open_only(rule: Any) -> dict[str, bool] | None:
    """Of a rule on an invoice: whether it must be open."""
    held = getclosurevars(rule).nonlocals
    return {"open_only": held["open_only"]} if "open_only" in held else None


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Make the files anew: the history only when there is none."""
    FOLDER.mkdir(exist_ok=True)
    if not HISTORY.exists():
        record_history()
    kept = recorded_history()
    world, kept.digests, kept.root = replay(kept)
    _store(kept)
    for law in LAWS:
        for name, value in (("tables", tables()), ("samples", samples(kept))):
            kept_file(law.name, name).parent.mkdir(exist_ok=True)
            write_json(kept_file(law.name, name), of_domain(law.name, value))
    print(f"{world.height} blocks, root {kept.root.hex()}")


def record_history() -> None:
    """Draw a history and keep its bytes."""
    opening = [(int(table), key, value) for (table, key), value in SigningWorld().store.items()]
    world, past = random_history(SEED, BLOCKS)
    blocks = [(block.time_ms, list(block.wires)) for block in past]
    for transaction in rare(world):
        world.block([transaction])
        blocks.append((world.now, [transaction.wire]))
    _store(Recorded(world.network_id, opening, blocks, [], b""))


def _store(kept: Recorded) -> None:
    HISTORY.write_bytes(gzip.compress(msgspec.msgpack.encode(kept), mtime=0))


if __name__ == "__main__":
    main()

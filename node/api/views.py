"""How the ledger's values look as JSON: operations, blocks, registers. Owns names and text forms.

Times are RFC 3339 UTC, hashes and keys lower-case hex, amounts integers of minor units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from node.api.requests import time_text
from node.chain.leaf import MalformedLeafError, SealLeaf, TransactionLeaf, decode_leaf
from node.ledger.codes import Code
from node.ledger.invoices.operations import ActForRetired
from node.ledger.membership.operations import (
    Admit,
    ChangeRoles,
    Reinstate,
    Retire,
    Suspend,
)
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.rulebook import RULEBOOK
from node.ledger.transaction import TransactionBody, transaction_id

ACTION_NAMES: Mapping[type, str] = {
    Admit: "admit",
    Suspend: "suspend",
    Reinstate: "reinstate",
    Retire: "retire",
    ChangeRoles: "change_roles",
}
"""Names of what a proposal does."""

_body_decoder = msgspec.msgpack.Decoder(TransactionBody)
_operation_decoder = msgspec.msgpack.Decoder(DirectOperation)


class OperationView(msgspec.Struct, frozen=True):
    """One operation of a transaction."""

    kind: str
    signer: str
    """Participant id, or a bare public key in hex."""
    fields: dict[str, Any]


class TransactionSummary(msgspec.Struct, frozen=True):
    """A transaction in its block."""

    id: str
    index: int
    code: str
    author: str
    operations: list[OperationView]


class BlockSummary(msgspec.Struct, frozen=True):
    """The seal of a block."""

    height: int
    time: str
    term: int
    proposer: int
    """Number of the voter that proposed it."""
    first_index: int
    count: int
    """Transactions in it."""
    state_digest: str
    voters_hash: str
    rules_version: int
    final: bool


class BlockView(BlockSummary, frozen=True):
    """A whole block."""

    certificate: str | None
    """The cosigned checkpoint of this height (a signed note), if there is one for it."""
    transactions: list[TransactionSummary]


def plain(value: object) -> object:
    """`value` with Structs as objects, bytes as hex and tuples as lists."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        kind = ACTION_NAMES.get(type(value))
        return fields if kind is None else {"kind": kind, **fields}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def operation_view(operation: Operation, author: str) -> OperationView:
    """One operation; the operation inside a `ByKey` shows the key as its signer."""
    signer = author
    inner: DirectOperation
    if isinstance(operation, ByKey):
        signer = operation.key.hex()
        try:
            inner = _operation_decoder.decode(operation.operation)
        except msgspec.MsgspecError:
            return OperationView("unknown", signer, {})
    elif isinstance(operation, ActForRetired):
        inner = operation.operation
    else:
        inner = operation
    fields = plain(inner)
    assert isinstance(fields, dict)
    if isinstance(operation, ActForRetired):
        fields["for_retired"] = operation.issuer
    return OperationView(RULEBOOK.names[type(inner)], signer, fields)


def operation_views(body: bytes) -> tuple[str, list[OperationView]]:
    """Author and operations of canonical body bytes.

    Raises:
        msgspec.MsgspecError: the node stored no transaction here.
    """
    decoded = _body_decoder.decode(body)
    return decoded.author, [operation_view(op, decoded.author) for op in decoded.operations]


def code_name(code: int) -> str:
    """The stable name of an outcome code; its number when a newer program wrote it."""
    try:
        return Code(code).name
    except ValueError:
        return str(code)


def seal_of(leaves: Sequence[bytes]) -> SealLeaf:
    """The seal that ends a block.

    Raises:
        MalformedLeafError: the last leaf is no seal.
    """
    seal = decode_leaf(leaves[-1])
    if not isinstance(seal, SealLeaf):
        raise MalformedLeafError("the last leaf is no seal")
    return seal


def block_summary(seal: SealLeaf, final_height: int) -> BlockSummary:
    """The seal as JSON."""
    return BlockSummary(
        height=seal.height,
        time=time_text(seal.time_ms),
        term=seal.term,
        proposer=seal.proposer,
        first_index=seal.first_index,
        count=seal.count,
        state_digest=seal.state_digest.hex(),
        voters_hash=seal.voters_hash.hex(),
        rules_version=seal.rules_version,
        final=seal.height <= final_height,
    )


def transaction_summaries(leaves: Sequence[bytes], first_index: int) -> list[TransactionSummary]:
    """Transaction leaves, of which the first stands at `first_index`."""
    summaries = []
    for position, data in enumerate(leaves):
        leaf = decode_leaf(data)
        assert isinstance(leaf, TransactionLeaf)
        author, views = operation_views(leaf.body)
        summaries.append(
            TransactionSummary(
                id=transaction_id(leaf.body).hex(),
                index=first_index + position,
                code=code_name(leaf.code),
                author=author,
                operations=views,
            )
        )
    return summaries

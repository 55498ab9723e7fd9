"""How operations look to people and programs outside: names, fields, text forms.

Bytes are hex, tuples lists; a name is the law's own. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from node.ledger.codes import Code
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.rulebook import RULEBOOK
from node.ledger.transaction import TransactionBody

_body_decoder = msgspec.msgpack.Decoder(TransactionBody)
_operation_decoder = msgspec.msgpack.Decoder(DirectOperation)


class OperationView(msgspec.Struct, frozen=True):
    """One operation of a transaction."""

    kind: str
    signer: str
    """Participant id, or a bare public key in hex."""
    fields: dict[str, Any]


def plain(value: object) -> object:
    """`value` with Structs as objects, bytes as hex and tuples as lists."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        kind = RULEBOOK.value_names.get(type(value))
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
    else:
        inner = operation
    carried = RULEBOOK.carried.get(type(operation))
    beside: Mapping[str, object] = {}
    if carried is not None:
        inner, beside = carried(operation)
    fields = plain(inner)
    assert isinstance(fields, dict)
    fields.update(beside)
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

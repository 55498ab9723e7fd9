"""`piaolian inspect tx|block|row`: what a node has stored, thing by thing. Owns the printing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import typer

from node.cli.context import load
from node.cli.errors import CliError, UsageError
from node.cli.options import Config, Json, example, whole_argument, whole_option
from node.cli.output import message, print_fields, print_json

app = typer.Typer(
    no_args_is_help=True, help="What a node has stored, read from its files, also while it stands."
)
_TXID = re.compile(r"[0-9a-f]{64}")
_INDEX = re.compile(r"[0-9]{1,15}")
_KEY_BYTES_MAX = 256


@app.command(
    epilog=example(
        "piaolian inspect tx 5b1f…e2 --config net/issuer/node.toml", "piaolian inspect tx 1024"
    )
)
def tx(
    which: Annotated[
        str, typer.Argument(metavar="TXID|INDEX", help="64 hex digits, or a place in the tree.")
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show one leaf: the transaction's body, and what became of it."""
    from node.audit.inspecting import LedgerError, find_leaf, find_transaction, open_ledger
    from node.chain.leaf import TransactionLeaf
    from node.ledger.transaction import transaction_id
    from node.services.operation_views import code_name, operation_views, plain

    if not (_TXID.fullmatch(which) or _INDEX.fullmatch(which)):
        raise UsageError(f"{which} is no transaction id (64 hex digits) and no index")
    try:
        with open_ledger(load(config).node.data_dir) as ledger:
            if _TXID.fullmatch(which):
                found = find_transaction(ledger, bytes.fromhex(which))
            else:
                found = find_leaf(ledger, int(which))
    except LedgerError as error:
        raise CliError(str(error)) from error
    leaf = found.leaf
    if not isinstance(leaf, TransactionLeaf):
        _show({"index": found.index, "seal": plain(leaf)}, as_json=as_json)
        return
    author, operations = operation_views(leaf.body)
    _show(
        {
            "txid": transaction_id(leaf.body).hex(),
            "index": found.index,
            "height": leaf.height,
            "code": code_name(leaf.code),
            "author": author,
            "operations": plain(operations),
            "signature": leaf.signature.hex(),
        },
        as_json=as_json,
    )


@app.command(epilog=example("piaolian inspect block 17"))
def block(
    height: Annotated[int, whole_argument(least=1, about="Of the block.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show one block: its seal, its transactions and the certificate, if there is one for it."""
    from node.audit.inspecting import LedgerError, find_block, open_ledger
    from node.chain.leaf import TransactionLeaf
    from node.ledger.transaction import transaction_id
    from node.services.operation_views import code_name, plain

    try:
        with open_ledger(load(config).node.data_dir) as ledger:
            found = find_block(ledger, height)
    except LedgerError as error:
        raise CliError(str(error)) from error
    _show(
        {
            "height": found.height,
            "first_index": found.first_index,
            "transactions": [
                {"txid": transaction_id(leaf.body).hex(), "code": code_name(leaf.code)}
                for leaf in found.leaves
                if isinstance(leaf, TransactionLeaf)
            ],
            "seal": plain(found.leaves[-1]),
            "certificate": found.certificate,
        },
        as_json=as_json,
    )


@app.command(
    epilog=example(
        "piaolian inspect row invoice 26310000000000000001",
        "piaolian inspect row quota --limit 20",
    )
)
def row(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="As invoice, participant, quota.")],
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Text, or 0x and hex; a beginning of it will do.")
    ] = "",
    limit: Annotated[int, whole_option(least=1, most=1_000, about="Rows at most.")] = 50,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show rows of the state after the newest stored block, decoded."""
    from node.audit.inspecting import LedgerError, find_rows, open_ledger
    from node.ledger.codes import Table
    from node.services.operation_views import plain

    try:
        which = Table[table.upper()]
    except KeyError as error:
        names = ", ".join(item.name.lower() for item in Table)
        raise UsageError(f"there is no table {table}; there are {names}") from error
    try:
        wanted = bytes.fromhex(key[2:]) if key.startswith("0x") else key.encode()
    except ValueError as error:
        raise UsageError(f"{key} is no hex") from error
    if len(wanted) > _KEY_BYTES_MAX:
        raise UsageError(f"a key has at most {_KEY_BYTES_MAX} bytes")
    try:
        with open_ledger(load(config).node.data_dir) as ledger:
            rows = find_rows(ledger, which, wanted, limit)
    except LedgerError as error:
        raise CliError(str(error)) from error
    shown = [
        {
            "table": found.table,
            "key": _readable(found.key),
            "row": found.value.hex() if found.row is None else plain(found.row),
        }
        for found in rows
    ]
    if as_json:
        print_json(shown)
        return
    for item in shown:
        print_fields(item)
    if not shown:
        message("no such row")


def _show(value: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        print_fields(value)


def _readable(key: bytes) -> str:
    text = key.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else f"0x{key.hex()}"

"""Routes of transactions: submit signed bytes, follow one, fetch its receipt."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web

from node.api.errors import bad_request, not_found
from node.api.requests import (
    MSGPACK_TYPES,
    TRANSACTION_TYPE,
    query_integer,
    query_wait,
    read_body,
    txid_of,
)
from node.api.routing import (
    WAIT_QUERY,
    Api,
    Query,
    Route,
    WaitSlot,
    check_writable,
    json_response,
    scope_of,
)
from node.api.security import Scope
from node.api.writes import facade_errors, wait_submission
from node.chain.disclosure import PATH_CHARACTERS_MAX
from node.chain.proof import DISCLOSURES_MAX
from node.following.outcomes import Submission, TransactionStatus
from node.ledger.codes import Code
from node.services.operation_views import OperationView, operation_views

TRANSACTIONS_BATCH_MAX = 2_000
_Wires = Annotated[list[bytes], msgspec.Meta(min_length=1, max_length=TRANSACTIONS_BATCH_MAX)]
_batch_decoder = msgspec.msgpack.Decoder(_Wires)


class SubmittedTransaction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one submitted transaction."""

    id: str | None
    """Hex; null when the bytes are no transaction."""
    state: str
    code: str | None = None
    """Why it is refused."""
    detail: str = ""


class SubmittedTransactions(msgspec.Struct, frozen=True):
    """What became of a batch, in its order."""

    transactions: list[SubmittedTransaction]


class TransactionView(msgspec.Struct, frozen=True):
    """What this node knows of a transaction."""

    id: str
    state: str
    """pending, committed, final, refused or expired."""
    code: str
    """OK, or why it is refused."""
    final: bool
    """True when a final block holds it, applied or refused: it never changes again."""
    height: int | None
    index: int | None
    """Position of its leaf in the tree."""
    operation: int | None
    """Position of the refused operation, while known."""
    author: str | None
    operations: list[OperationView] | None


def _submission_view(submission: Submission) -> SubmittedTransaction:
    identity = submission.txid.hex() if submission.txid is not None else None
    if submission.code is Code.OK:
        return SubmittedTransaction(identity, submission.state)
    return SubmittedTransaction(identity, submission.state, submission.code.name, submission.detail)


def _transaction_view(status: TransactionStatus) -> TransactionView:
    author, operations = operation_views(status.body) if status.body else (None, None)
    return TransactionView(
        id=status.txid.hex(),
        state=status.state,
        code=status.code.name,
        final=status.final,
        height=status.height,
        index=status.index,
        operation=status.operation,
        author=author,
        operations=operations,
    )


async def submit_one(api: Api, request: web.Request) -> web.Response:
    """Admit one signed transaction."""
    config = api.config
    wire = await read_body(
        request, (TRANSACTION_TYPE,), config.batch_bytes_max, config.body_timeout_s
    )
    check_writable(api)
    with facade_errors():
        (submission,) = await api.node.submit_signed((wire,))
    reached, status = await wait_submission(api, request, submission)
    return json_response(
        SubmittedTransaction(status.txid.hex(), status.state), status=201 if reached else 202
    )


async def submit_batch(api: Api, request: web.Request) -> web.Response:
    """Admit many signed transactions; one that is refused does not stop the others."""
    config = api.config
    body = await read_body(request, MSGPACK_TYPES, config.batch_bytes_max, config.body_timeout_s)
    try:
        wires = _batch_decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise bad_request(
            f"not a MessagePack array of 1 to {TRANSACTIONS_BATCH_MAX} byte strings"
        ) from error
    check_writable(api)
    with facade_errors():
        submissions = await api.node.submit_signed(wires)
    return json_response(SubmittedTransactions([_submission_view(s) for s in submissions]), 202)


async def show_transaction(api: Api, request: web.Request) -> web.Response:
    """One transaction, at once or when it is as far as `wait` asks."""
    txid = txid_of(request)
    until, timeout_s = query_wait(request, api.config)
    if until is None:
        status = await api.node.transaction(txid)
    else:
        with WaitSlot(api, scope_of(request)), facade_errors():
            status = await api.node.wait(txid, until, timeout_s)
    if status is None:
        raise not_found("this node knows no such transaction")
    return json_response(_transaction_view(status))


async def show_receipt(api: Api, request: web.Request) -> web.Response:
    """The proof file of a final transaction, with the items of its details asked for."""
    txid = txid_of(request)
    disclose = request.query.getall("disclose", [])
    if len(disclose) > DISCLOSURES_MAX or any(len(path) > PATH_CHARACTERS_MAX for path in disclose):
        raise bad_request(f"at most {DISCLOSURES_MAX} paths are disclosed")
    operation = query_integer(request, "operation")
    with facade_errors():
        receipt = await api.node.receipt(txid, disclose, operation)
    if receipt is None:
        raise not_found("this node knows no such transaction")
    return web.Response(text=receipt, content_type="text/plain")


ROUTES = (
    Route(
        "POST",
        "/v1/transactions",
        submit_one,
        "Submit one signed transaction",
        "transactions",
        Scope.OPERATE,
        binary=(TRANSACTION_TYPE,),
        query=WAIT_QUERY,
        answers={201: SubmittedTransaction, 202: SubmittedTransaction},
        refusals=(400, 408, 409, 413, 415, 503, 507),
    ),
    Route(
        "POST",
        "/v1/transactions:batch",
        submit_batch,
        "Submit many signed transactions as a MessagePack array of byte strings",
        "transactions",
        Scope.OPERATE,
        binary=MSGPACK_TYPES,
        answers={202: SubmittedTransactions},
        refusals=(400, 408, 413, 415, 503, 507),
    ),
    Route(
        "GET",
        "/v1/transactions/{id}",
        show_transaction,
        "Show a transaction, or wait for it",
        "transactions",
        Scope.READ,
        query=WAIT_QUERY,
        answers={200: TransactionView},
        refusals=(400, 404),
    ),
    Route(
        "GET",
        "/v1/transactions/{id}/receipt",
        show_receipt,
        "The proof file of a final transaction (C2SP tlog-proof)",
        "transactions",
        Scope.READ,
        query=(
            Query(
                "disclose",
                "Path of an item of the sealed details to show, as `…/details/paths` lists it; "
                "may be given more than once.",
                often=True,
            ),
            Query(
                "operation",
                "Position of the operation whose details they are, if there are several.",
                {"type": "integer", "minimum": 0},
            ),
        ),
        answers={200: "text/plain"},
        refusals=(400, 404, 409, 413),
    ),
)

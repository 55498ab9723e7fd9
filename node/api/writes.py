"""From a write to its answer: its route, facade errors, waiting, status codes. Of all writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import msgspec
from aiohttp import web

from node.api.body import Body
from node.api.errors import ApiError, FieldError, not_found, refused, too_many, write_refused
from node.api.requests import query_actor, query_wait
from node.api.routing import (
    AS_QUERY,
    WAIT_QUERY,
    Api,
    Handler,
    Route,
    WaitSlot,
    check_writable,
    json_response,
    scope_of,
)
from node.api.security import Scope
from node.following.outcomes import (
    AttachmentMissingError,
    BusyError,
    FacadeError,
    Idempotency,
    IdempotencyConflictError,
    NotDisclosableError,
    NotFinalError,
    RefusedError,
    Submission,
    TooLargeError,
    TransactionState,
    TransactionStatus,
    UnknownWalletKeyError,
    WriteRefusedError,
)
from node.ledger.codes import Code, refusal_text
from node.ledger.operations import Operation

_REFUSALS = (400, 408, 409, 413, 415, 422, 503, 507)


class WriteAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a write."""

    located: ClassVar[bool] = True
    """Its answers carry a Location."""
    transaction: str
    """Transaction id, hex."""
    state: str
    """pending, committed or final."""
    number: str | None = None
    """Number of the issued invoice."""
    numbers: tuple[str, ...] | None = None
    """Numbers of a batch, in its order."""
    proposal: str | None = None
    """Id of the proposal made."""
    claim_key: str | None = None
    """Of an invoice whose buyer is `claim`: whoever has it acts as the buyer."""
    claim_keys: tuple[str | None, ...] | None = None
    """Of a batch with such an invoice, in its order."""
    height: int | None = None
    index: int | None = None
    issued_before: int | None = None
    """Height at which this order was issued first: nothing new was made, `number` is of then."""
    issued_before_each: tuple[int | None, ...] | None = None
    """Of a batch with such an order, in its order."""


@contextmanager
def facade_errors() -> Iterator[None]:
    """Turn what the facade raises into answers.

    Raises:
        ApiError: 404, 409, 413, 422, 429, 503 or 507.
    """
    try:
        yield
    except WriteRefusedError as error:
        raise write_refused(error.refusal) from error
    except BusyError as error:
        raise too_many(str(error), error.retry_after_s) from error
    except RefusedError as error:
        raise refused(error.code, str(error), operation=error.operation) from error
    except TooLargeError as error:
        raise ApiError(413, "BODY_TOO_LARGE", str(error)) from error
    except IdempotencyConflictError as error:
        raise ApiError(422, "IDEMPOTENCY_CONFLICT", str(error)) from error
    except AttachmentMissingError as error:
        raise ApiError(
            422,
            "INVALID_FIELDS",
            "an attachment must be handed in first: POST /v1/attachments",
            errors=[FieldError("/details/attachments", f"{error} does not wait here")],
        ) from error
    except NotFinalError as error:
        raise ApiError(409, "NOT_FINAL", str(error), headers={"Retry-After": "1"}) from error
    except (NotDisclosableError, UnknownWalletKeyError) as error:
        raise not_found(str(error)) from error
    except FacadeError as error:
        raise ApiError(500, "INTERNAL", "the node failed to answer") from error


async def write_operations(
    api: Api,
    request: web.Request,
    operations: Sequence[Operation],
    idempotency: Idempotency | None,
) -> web.Response:
    """Submit operations in one transaction, and answer 201, 202 or a problem."""
    check_writable(api)
    with facade_errors():
        submission = await api.node.submit_operations(
            operations, (), idempotency, query_actor(request)
        )
    return await answer_write(api, request, submission)


async def answer_write(api: Api, request: web.Request, submission: Submission) -> web.Response:
    """The answer to a write, after waiting as `?wait=` asks.

    Raises:
        ApiError: 409 when it is refused or expired; 400 when the bytes were no transaction.
    """
    reached, status = await wait_submission(api, request, submission)
    return write_answer(reached, status)


def write_answer(  # noqa: PLR0913 - what an answer may hold
    reached: bool,
    status: TransactionStatus,
    *,
    number: str | None = None,
    numbers: tuple[str, ...] | None = None,
    proposal: str | None = None,
    claim_key: str | None = None,
    claim_keys: tuple[str | None, ...] | None = None,
    issued_before: int | None = None,
    issued_before_each: tuple[int | None, ...] | None = None,
) -> web.Response:
    """201 once the state asked for is reached, else 202 with the state so far."""
    answer = WriteAnswer(
        transaction=status.txid.hex(),
        state=status.state,
        number=number,
        numbers=numbers,
        proposal=proposal,
        claim_key=claim_key,
        claim_keys=claim_keys,
        height=status.height,
        index=status.index,
        issued_before=issued_before,
        issued_before_each=issued_before_each,
    )
    location = {"Location": f"/v1/transactions/{answer.transaction}"}
    return json_response(answer, 201 if reached else 202, location)


async def wait_submission(
    api: Api, request: web.Request, submission: Submission
) -> tuple[bool, TransactionStatus]:
    """Wait as `?wait=` asks. Returns whether the state asked for is reached, and the status.

    Raises:
        ApiError: as `answer_write`.
    """
    if submission.txid is None or submission.state is TransactionState.REFUSED:
        raise refused(submission.code, submission.detail, transaction=submission.txid)
    status: TransactionStatus | None = TransactionStatus(submission.txid, submission.state)
    until, timeout_s = query_wait(request, api.config)
    if until is not None:
        with WaitSlot(api, scope_of(request)), facade_errors():
            status = await api.node.wait(submission.txid, until, timeout_s)
    if status is None:
        status = TransactionStatus(submission.txid, submission.state)
    _check_outcome(status)
    reached = {
        None: False,
        "committed": status.state in {TransactionState.COMMITTED, TransactionState.FINAL},
        "final": status.state is TransactionState.FINAL,
    }[until]
    return reached, status


def _check_outcome(status: TransactionStatus) -> None:
    if status.state is TransactionState.REFUSED:
        raise refused(
            status.code,
            refusal_text(status.code),
            transaction=status.txid,
            height=status.height,
            operation=status.operation,
        )
    if status.state is TransactionState.EXPIRED:
        raise refused(Code.EXPIRED, "expired before it was applied", transaction=status.txid)


def write_route(
    path: str,
    handler: Handler,
    summary: str,
    tag: str,
    *,
    body: type[Body],
    operation: str,
    scope: Scope = Scope.OPERATE,
    by_key: bool = False,
) -> Route:
    """A route that writes `operation`, as all of them are asked and answered.

    With `by_key`, a bare key of the wallet may act.
    """
    missing = (404,) if by_key or "{" in path else ()
    return Route(
        "POST",
        path,
        handler,
        summary,
        tag,
        scope,
        body=body,
        query=(*WAIT_QUERY, AS_QUERY) if by_key else WAIT_QUERY,
        answers={201: WriteAnswer, 202: WriteAnswer},
        refusals=(*missing, *_REFUSALS),
        operation=operation,
    )

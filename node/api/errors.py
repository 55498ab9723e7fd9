"""Errors of the API as RFC 9457 problem details.

Owns their shape and the codes that are not refusals of the ledger (those: node.ledger.codes).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from node.following.outcomes import WriteRefusal
from node.ledger.codes import Code

PROBLEM_TYPE = "application/problem+json"
HTTP_CODES: Mapping[int, str] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    417: "EXPECTATION_FAILED",
}
"""Codes of what the HTTP library refuses by itself."""


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field."""

    path: str
    """JSON pointer into the body, or the name of a query parameter."""
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer from 400 up."""

    type: str
    title: str
    status: int
    code: str
    """A stable name, from `GET /v1/codes`."""
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    transaction: str | None = None
    """Id of the transaction that was refused, if there is one."""
    height: int | None = None
    operation: int | None = None
    """Position of the refused operation in the transaction, when known."""


API_CODES: Mapping[str, tuple[str, str]] = {
    "BAD_REQUEST": ("The request is malformed.", "请求格式错误。"),
    "UNAUTHENTICATED": ("A valid bearer token is needed.", "需要有效的访问令牌。"),
    "FORBIDDEN": (
        "The token's scope, or the Origin, forbids this.",
        "令牌权限或来源不允许。",
    ),
    "NOT_FOUND": ("No such thing, or the caller may not know of it.", "不存在或无权知悉。"),
    "METHOD_NOT_ALLOWED": ("The path exists, but not with this method.", "该路径不支持此方法。"),
    "NOT_FINAL": ("Known but not final: there is no receipt yet.", "尚未最终确认，暂无凭证。"),
    "BODY_TIMEOUT": ("The body did not arrive in time.", "请求体接收超时。"),
    "BODY_TOO_LARGE": ("The body, or the transaction of it, is too large.", "请求体或交易过大。"),
    "UNSUPPORTED_MEDIA_TYPE": ("Content type or encoding is not accepted.", "不支持的内容类型。"),
    "EXPECTATION_FAILED": ("The Expect header is not understood.", "无法满足 Expect 请求头。"),
    "MISDIRECTED_REQUEST": (
        "The Host header names another node.",
        "Host 请求头不属于本节点。",
    ),
    "INVALID_FIELDS": (
        "Fields are missing, unknown or wrong.",
        "字段缺失、未知或有误。",
    ),
    "IDEMPOTENCY_CONFLICT": ("The key was used with another request.", "幂等键已用于另一请求。"),
    "TOO_MANY_REQUESTS": ("Slow down; see Retry-After.", "请求过于频繁。"),
    "TOO_MANY_CONNECTIONS": ("All connections are busy; try again.", "连接已满，请稍后重试。"),
    "NO_QUORUM": ("Too few voters are reachable; nothing stored.", "可达投票节点不足，未保存。"),
    "NOT_FINALISING": ("Too many blocks wait for cosignatures.", "待联署区块过多，未保存。"),
    "NOT_READY": ("Starting or catching up; nothing was stored.", "节点启动或同步中，未保存。"),
    "DISK_FULL": (
        "A file system of the node has no room; nothing was stored.",
        "节点磁盘空间不足，未保存。",
    ),
    "INTERNAL": ("The node failed to answer; outcome unknown.", "节点内部错误，结果未知。"),
}
"""Codes of the API itself: English, Chinese."""


class ApiError(Exception):
    """Ends a request with a problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        transaction: str | None = None,
        height: int | None = None,
        operation: int | None = None,
    ) -> None:
        super().__init__(detail or code)
        self.status = status
        self.headers = headers
        self.problem = Problem(
            type=f"urn:piaolian:problem:{code}",
            title=HTTPStatus(status).phrase,
            status=status,
            code=code,
            detail=detail,
            errors=tuple(errors),
            transaction=transaction,
            height=height,
            operation=operation,
        )

    def body(self) -> bytes:
        """The problem document."""
        return msgspec.json.encode(self.problem)

    def response(self) -> web.Response:
        """The problem as an HTTP answer."""
        response = web.Response(
            status=self.status,
            body=self.body(),
            content_type=PROBLEM_TYPE,
            headers=self.headers,
        )
        if self.status == HTTPStatus.REQUEST_TIMEOUT:
            response.force_close()  # the rest of the body may still come
        return response


def bad_request(detail: str) -> ApiError:
    """400: the request cannot be read."""
    return ApiError(400, "BAD_REQUEST", detail)


def invalid_field(path: str, message: str) -> ApiError:
    """422: one field, by its JSON pointer."""
    return ApiError(
        422, "INVALID_FIELDS", f"{path}: {message}", errors=(FieldError(path, message),)
    )


def not_found(detail: str) -> ApiError:
    """404."""
    return ApiError(404, "NOT_FOUND", detail)


def too_many(detail: str, retry_after_s: int = 1) -> ApiError:
    """429 with Retry-After."""
    return ApiError(429, "TOO_MANY_REQUESTS", detail, headers={"Retry-After": str(retry_after_s)})


def write_refused(refusal: WriteRefusal) -> ApiError:
    """503, or 507 when the disk is full: nothing is stored, and it may be tried again."""
    headers = {"Retry-After": "1"}
    return ApiError(refusal.status, refusal.code, refusal.detail, headers=headers)


def refused(
    code: Code,
    detail: str = "",
    *,
    transaction: bytes | None = None,
    height: int | None = None,
    operation: int | None = None,
) -> ApiError:
    """409: the ledger's rules refuse it; or 400 when the bytes are no transaction at all."""
    return ApiError(
        400 if code is Code.MALFORMED else 409,
        code.name,
        detail,
        transaction=transaction.hex() if transaction else None,
        height=height,
        operation=operation,
    )

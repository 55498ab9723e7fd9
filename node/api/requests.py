"""Reading requests: bodies, query parameters, cursors, times. Everything is bounded and checked.

Raises `ApiError` and nothing else, whatever the client sends.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import ValidationError

from node.api.body import Body, message_of
from node.api.config import ApiConfig
from node.api.errors import ApiError, FieldError, bad_request, not_found
from node.following.outcomes import Idempotency, WaitFor

BodyType = TypeVar("BodyType", bound=Body)
CursorType = TypeVar("CursorType", bound=msgspec.Struct)

JSON_TYPE = "application/json"
TRANSACTION_TYPE = "application/vnd.piaolian.transaction"
BATCH_TYPE = "application/vnd.piaolian.transactions"
MSGPACK_TYPES = (BATCH_TYPE, "application/msgpack", "application/vnd.msgpack")

CursorInteger = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A client can write a cursor of its own: it must fit SQLite's integers."""

LIMIT_MAX = 500
LIMIT_DEFAULT = 50
ERRORS_MAX = 50
"""Field errors told in one answer."""
_WAIT_DEFAULT_S = 10.0
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_TXID = re.compile(r"[0-9a-f]{64}")
_PARTICIPANT = re.compile(r"[0-9A-Z]{18}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,3})?Z)?", re.ASCII)
_INTEGER = re.compile(r"[0-9]{1,16}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?", re.ASCII)


async def read_body(
    request: web.Request, types: Sequence[str], bytes_max: int, timeout_s: float
) -> bytes:
    """The whole body.

    Args:
        request: Its body has not been read.
        types: Accepted content types.
        bytes_max: Longest accepted body.
        timeout_s: The client may take this long to send it; aiohttp has no such limit itself.

    Raises:
        ApiError: 415, 413, 408 or 400.
    """
    if request.content_type not in types:
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"send {' or '.join(types)}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "compressed bodies are not accepted")
    length = request.content_length
    if length is not None and length > bytes_max:
        raise _too_large(bytes_max)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > bytes_max:
                    raise _too_large(bytes_max)
                chunks.append(chunk)
    except TimeoutError as error:
        raise ApiError(408, "BODY_TIMEOUT", "the body did not arrive in time") from error
    except (web.HTTPException, HttpProcessingError, web.PayloadAccessError, OSError) as error:
        raise bad_request("the body is malformed") from error
    return b"".join(chunks)


def _too_large(bytes_max: int) -> ApiError:
    return ApiError(413, "BODY_TOO_LARGE", f"at most {bytes_max} bytes are accepted")


async def read_json(
    request: web.Request, model: type[BodyType], config: ApiConfig
) -> tuple[BodyType, Idempotency | None]:
    """The body as `model`, and the request's Idempotency-Key. An empty body reads as `{}`.

    Raises:
        ApiError: 400 when it is no JSON, 422 with every wrong field, or as `read_body`.
    """
    body = await read_body(request, (JSON_TYPE,), config.json_bytes_max, config.body_timeout_s)
    _check_names(body)
    try:
        value = model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _validation_error(error) from error
    except RecursionError as error:
        raise bad_request("the body is nested too deeply") from error
    return value, _idempotency(request, body)


def _check_names(body: bytes) -> None:
    """Refuse an object that has one name twice: which of them counts differs from reader to reader.

    Raises:
        ApiError: 400.
    """
    try:
        if msgspec.json.encode(msgspec.json.decode(body)) == body:
            return  # nothing was dropped; so most programs write it, and this is the fast way
        json.loads(body, object_pairs_hook=_once)
    except _RepeatedNameError as error:
        raise bad_request(str(error)) from error
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return  # no JSON at all: the model says so, and where


class _RepeatedNameError(Exception):
    """A name stands twice in one object."""


def _once(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _RepeatedNameError(f"the name {name[:64]!r} stands twice in one object")
        seen.add(name)


def _validation_error(error: ValidationError) -> ApiError:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "json_invalid":
        return bad_request(found[0]["msg"])
    errors = [
        FieldError(
            path="".join("/" + _pointer_part(part) for part in item["loc"]),
            message=message_of(item),
        )
        for item in found[:ERRORS_MAX]
    ]
    return ApiError(422, "INVALID_FIELDS", _how_many(len(found)), errors=errors)


def _how_many(fields: int) -> str:
    return "1 field is not accepted" if fields == 1 else f"{fields} fields are not accepted"


def _pointer_part(part: int | str) -> str:
    """One step of a JSON pointer (RFC 6901), short: a client's own field name may be long."""
    text = str(part).replace("~", "~0").replace("/", "~1")[:64]
    return text.encode("utf-8", "replace").decode()


def _idempotency(request: web.Request, body: bytes) -> Idempotency | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise bad_request("Idempotency-Key must be 1 to 128 printable ASCII characters")
    actor = request.query.get("as", "").encode("utf-8", "surrogateescape")
    path = request.path.encode("utf-8", "surrogateescape")
    parts = (request.method.encode(), path, body, *((actor,) if actor else ()))
    return Idempotency(key, hashlib.sha256(b"\n".join(parts)).digest())


# --- Path and query --------------------------------------------------------------------------


def txid_of(request: web.Request) -> bytes:
    """The transaction id of the path.

    Raises:
        ApiError: 404 when it is no id.
    """
    text = request.match_info["id"]
    if not _TXID.fullmatch(text):
        raise ApiError(404, "NOT_FOUND", "not a transaction id")
    return bytes.fromhex(text)


def participant_of(request: web.Request) -> str:
    """The participant of the path.

    Raises:
        ApiError: 404 when it is no id.
    """
    text = request.match_info["participant"]
    if not _PARTICIPANT.fullmatch(text):
        raise not_found("not a participant's id")
    return text


def path_integer(request: web.Request, name: str) -> int:
    """A whole number of the path.

    Raises:
        ApiError: 404 when it is none.
    """
    text = request.match_info[name]
    if not _INTEGER.fullmatch(text):
        raise ApiError(404, "NOT_FOUND", f"{name} is not a number")
    return int(text)


def query_integer(request: web.Request, name: str) -> int | None:
    """A whole number of the query, up to 16 digits.

    Raises:
        ApiError: 400.
    """
    text = request.query.get(name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise bad_request(f"{name} must be a whole number")
    return int(text)


def query_limit(request: web.Request) -> int:
    """`limit`, from 1 to 500.

    Raises:
        ApiError: 400.
    """
    limit = query_integer(request, "limit")
    if limit is None:
        return LIMIT_DEFAULT
    if not 1 <= limit <= LIMIT_MAX:
        raise bad_request(f"limit must be 1 to {LIMIT_MAX}")
    return limit


def query_actor(request: web.Request) -> bytes | None:
    """`as`: the bare key of the wallet that acts, or None for the participant itself.

    Raises:
        ApiError: 400.
    """
    text = request.query.get("as")
    if text is None:
        return None
    if not _TXID.fullmatch(text):
        raise bad_request("as must be a bare public key: 64 hex digits")
    return bytes.fromhex(text)


def query_choice(request: web.Request, name: str, choices: Sequence[str]) -> str | None:
    """One of `choices`, or None.

    Raises:
        ApiError: 400.
    """
    text = request.query.get(name)
    if text is not None and text not in choices:
        raise bad_request(f"{name} must be one of {', '.join(choices)}")
    return text


def query_time(request: web.Request, name: str) -> int | None:
    """A date or an RFC 3339 UTC time of the query, in milliseconds.

    Raises:
        ApiError: 400.
    """
    text = request.query.get(name)
    if text is None:
        return None
    if not _TIME.fullmatch(text):
        raise bad_request(f"{name} must be YYYY-MM-DD or an RFC 3339 time ending in Z")
    try:
        return time_ms(text)
    except ValueError as error:
        raise bad_request(f"{name} is no date") from error


def query_seconds(request: web.Request, name: str, default: float, most: float) -> float:
    """Seconds of the query, cut at `most`.

    Raises:
        ApiError: 400.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not _SECONDS.fullmatch(text):
        raise bad_request(f"{name} must be a number of seconds")
    return min(float(text), most)


def query_wait(request: web.Request, config: ApiConfig) -> tuple[WaitFor | None, float]:
    """`wait` and `timeout_s`.

    Raises:
        ApiError: 400.
    """
    timeout_s = query_seconds(
        request, "timeout_s", min(_WAIT_DEFAULT_S, config.wait_s_max), config.wait_s_max
    )
    match query_choice(request, "wait", ("committed", "final")):
        case "committed":
            return "committed", timeout_s
        case "final":
            return "final", timeout_s
        case _:
            return None, timeout_s


def encode_cursor(*parts: int | str | bytes) -> str:
    """An opaque cursor that stands for `parts`."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).rstrip(b"=").decode()


def query_cursor(request: web.Request, kind: type[CursorType]) -> CursorType | None:
    """The cursor as an array-like struct `kind`, or None without one.

    Raises:
        ApiError: 400 when this node never gave it out.
    """
    text = request.query.get("cursor")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text.encode("ascii") + b"===", b"-_", validate=False)
        return msgspec.msgpack.decode(raw, type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise bad_request("the cursor is not one of this node's") from error


def time_ms(text: str) -> int:
    """Milliseconds of a date or an RFC 3339 UTC time; exact, without floats.

    Raises:
        ValueError: not a date.
    """
    moment = datetime.datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(milliseconds=1)


def time_text(milliseconds: int) -> str:
    """RFC 3339 UTC with milliseconds."""
    moment = _EPOCH + datetime.timedelta(milliseconds=min(milliseconds, _LATEST_MS))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LATEST_MS = 253_402_300_799_999
"""The last millisecond of year 9999, beyond which there is no RFC 3339 form."""

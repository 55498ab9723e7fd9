"""A small synchronous client of one node's HTTP API. Owns connections, retries and errors.

Knows paths of no route. Every POST carries an Idempotency-Key, so it can be sent again when the
answer was lost. One client is used by one thread.
"""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlencode

from node.cli.errors import CliError

_ANSWER_BYTES_MAX = 64 << 20
_RETRY_PAUSE_S = 0.25
_RETRY_AFTER_S_MAX = 30.0
"""A node that says to come back later than this is asked again after it all the same."""
_RETRY_STATUSES = {429, 503}

Method = Literal["GET", "POST"]


class NodeUnreachableError(CliError):
    """No answer. A write may or may not have been stored."""


class ProblemError(CliError):
    """The node answered with a problem (RFC 9457)."""

    def __init__(
        self, status: int, problem: Mapping[str, object], retry_after_s: float | None = None
    ) -> None:
        self.status = status
        self.retry_after_s = retry_after_s
        """When the node says to ask again."""
        self.code = str(problem.get("code") or f"HTTP_{status}")
        self.problem = dict(problem)
        parts = [self.code]
        detail = problem.get("detail")
        if detail and detail != self.code:
            parts.append(str(detail))
        errors = problem.get("errors")
        if isinstance(errors, list):
            told = [(e.get("message"), e.get("path")) for e in errors if isinstance(e, dict)]
            parts += [
                f"{path}: {text}" for text, path in told if detail not in {text, f"{path}: {text}"}
            ]
        super().__init__(": ".join(parts[:2]) + "".join(f"\n  {part}" for part in parts[2:]))


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    status: int
    data: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.data.decode("utf-8", "replace")

    @property
    def value(self) -> object:
        """The body as JSON.

        Raises:
            NodeUnreachableError: it is none.
        """
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError) as error:
            raise NodeUnreachableError("the node's answer is not JSON") from error

    @property
    def fields(self) -> dict[str, object]:
        """The body as a JSON object.

        Raises:
            NodeUnreachableError: it is none.
        """
        value = self.value
        if not isinstance(value, dict):
            raise NodeUnreachableError("the node's answer is not a JSON object")
        return value


class ApiClient:
    """One connection to a node, opened when needed."""

    def __init__(
        self,
        host: str,
        port: int,
        token: str | None = None,
        *,
        timeout_s: float = 30.0,
        patience_s: float = 0.0,
        on_busy: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Prepare a client.

        Args:
            host: Where the API listens.
            port: Its port.
            token: Sent as a bearer token.
            timeout_s: Silence that counts as no answer.
            patience_s: How long to try again when the node does not answer, is busy, or takes
                no writes.
            on_busy: Told, before each pause, for how many seconds the client will wait.
        """
        self._address = (host, port)
        self._token = token
        self._timeout_s = timeout_s
        self.patience_s = patience_s
        self._on_busy = on_busy
        self._connection: http.client.HTTPConnection | None = None

    @property
    def url(self) -> str:
        """The address as a URL, without a path."""
        host, port = self._address
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, **query: object) -> Answer:
        """GET; parameters that are None are left out, a list gives its name several times."""
        return self._request("GET", path, query, None, None)

    def post(
        self,
        path: str,
        body: object = None,
        *,
        idempotency_key: str | None = None,
        **query: object,
    ) -> Answer:
        """POST a body: JSON bytes as they are, anything else as JSON. No key: a random one."""
        key = idempotency_key or secrets.token_hex(16)
        return self._request("POST", path, query, {} if body is None else body, key)

    def post_file(self, path: str, content: bytes) -> Answer:
        """POST bytes that are no JSON."""
        return self._request("POST", path, {}, content, None, "application/octet-stream")

    def _request(
        self,
        method: Method,
        path: str,
        query: Mapping[str, object],
        body: object,
        key: str | None,
        content_type: str = "application/json",
    ) -> Answer:
        given = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        target = quote(path, safe="/:") + (f"?{urlencode(given, doseq=True)}" if given else "")
        headers = {"Accept": "application/json, text/plain", "User-Agent": "piaolian-cli"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if method == "POST":
            headers["Content-Type"] = content_type
            content = (
                body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
            )
        end = time.monotonic() + self.patience_s
        while True:
            pause_s = _RETRY_PAUSE_S
            try:
                return self._once(method, target, content, headers)
            except ProblemError as error:
                if error.status not in _RETRY_STATUSES or time.monotonic() >= end:
                    raise
                pause_s = max(pause_s, error.retry_after_s or 0.0)
            except NodeUnreachableError:
                if time.monotonic() >= end:
                    raise
            self._on_busy(pause_s)
            time.sleep(pause_s)

    def _once(
        self, method: Method, target: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        reused = self._connection is not None
        try:
            return self._exchange(method, target, content, headers)
        except (
            OSError,
            http.client.HTTPException,
            UnicodeError,
        ) as error:  # a host that is no name
            self.close()
            if reused:  # the node may have closed an idle connection: not a failure yet
                return self._once(method, target, content, headers)
            reason = str(error) or type(error).__name__
            raise NodeUnreachableError(
                f"no answer from {self.url}: {reason}; is the node running?"
            ) from error

    def _exchange(
        self, method: Method, target: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self._address, timeout=self._timeout_s)
        self._connection.request(method, target, content, dict(headers))
        response = self._connection.getresponse()
        data = response.read(_ANSWER_BYTES_MAX + 1)
        if len(data) > _ANSWER_BYTES_MAX:
            self.close()
            raise CliError("the node's answer is too large")
        answer = Answer(response.status, data)
        if response.status >= 400:
            retry_after_s = _seconds(response.getheader("Retry-After"))
            raise ProblemError(response.status, _problem(answer.text), retry_after_s)
        return answer


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; a date counts as none."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 6):
        return None
    return min(float(text), _RETRY_AFTER_S_MAX)


def _problem(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"detail": text.strip()[:500]}
    return value if isinstance(value, dict) else {}

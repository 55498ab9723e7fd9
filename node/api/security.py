"""Who may ask what: tokens, cookies and scopes, Host and Origin, request rates.

Owns the decisions, as plain functions and small classes; knows no route. Tokens are kept only as
SHA-256 digests and compared in constant time. A browser sends a cookie by itself, so a request
that has nothing else must show that it comes from a page of this very node.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from node.api.config import ApiConfig
from node.api.errors import ApiError, bad_request, too_many

_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
PAGE_HEADER = "X-Piaolian-Page"
"""Sent by the node's own pages with each write. A page of another origin would have to ask for
leave to send it (CORS preflight), and is never given it."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_TOKEN_BYTES_MAX = 4_096
"""Read of a token's file; more can be no token, whatever white space is around it."""
_TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")
_UNKNOWN_TOKEN = "the token is not one of this node's"  # noqa: S105 - what is said of it


class Scope(IntEnum):
    """What a token allows; each includes the ones before."""

    READ = 1
    OPERATE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Access:
    """How a request was let in."""

    scope: Scope
    by_cookie: bool


class TokenError(ValueError):
    """A token file cannot be used; the message names the file, never the token."""


class TokenSet:
    """The tokens of this node."""

    def __init__(self, tokens: Mapping[Scope, str]) -> None:
        self._digests = tuple(
            (scope, _digest(token)) for scope, token in sorted(tokens.items(), reverse=True)
        )

    @classmethod
    def from_files(cls, paths: Mapping[Scope, Path]) -> TokenSet:
        """Read one token from each file.

        Raises:
            TokenError: a file is missing, readable by others, or holds no token.
        """
        return cls({scope: _read_token(path) for scope, path in paths.items()})

    def become(self, other: TokenSet) -> frozenset[Scope]:
        """Take the tokens of another set; the scopes whose token is another one now, or none."""
        before, self._digests = dict(self._digests), other._digests
        after = dict(self._digests)
        return frozenset(scope for scope in Scope if before.get(scope) != after.get(scope))

    def scope(self, token: str) -> Scope | None:
        """The scope of `token`, or None. Takes the same time whichever token it is."""
        given = _digest(token)
        found: Scope | None = None
        for scope, digest in self._digests:
            if hmac.compare_digest(given, digest) and found is None:
                found = scope
        return found


class TokenFiles:
    """`read.token`, `operate.token` and `admin.token` in a folder, which may change meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._paths = {scope: folder / f"{scope.name.lower()}.token" for scope in Scope}
        self._seen = self._look()

    def load(self) -> TokenSet:
        """The tokens of all three.

        Raises:
            TokenError: a file is missing, readable by others, or holds no token.
        """
        self._seen = self._look()
        return TokenSet.from_files(self._paths)

    def changed(self) -> tuple[TokenSet, list[str]] | None:
        """The tokens, and what is wrong with files, if any file is another than when last read.

        A file that cannot be read any more lets nobody in.
        """
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        tokens: dict[Scope, str] = {}
        faults: list[str] = []
        for scope, path in self._paths.items():
            try:
                tokens[scope] = _read_token(path)
            except TokenError as error:
                faults.append(str(error))
        return TokenSet(tokens), faults

    def _look(self) -> tuple[tuple[int, int, int, int] | None, ...]:
        return tuple(_identity(path) for path in self._paths.values())


def _identity(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _read_token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a FIFO would hold the whole node until somebody writes
            raise TokenError(f"{path}: is no plain file")
        if stat.S_IMODE(mode) & 0o077:
            raise TokenError(f"{path}: must be readable by its owner only (chmod 600)")
        with path.open("rb") as file:
            token = file.read(_TOKEN_BYTES_MAX).decode("ascii").strip()
    except OSError as error:
        raise TokenError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TokenError(f"{path}: {error}") from error
    if not _TOKEN_CHARACTERS.fullmatch(token):
        raise TokenError(f"{path}: holds no token of 32 to 512 characters")
    return token


class TokenBucket:
    """Allows `burst` at once and `rate` a second after that."""

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._time_s = now_s

    def take(self, now_s: float) -> float:
        """Take one. Returns 0, or the seconds to wait when there is none."""
        self._level = min(self._burst, self._level + (now_s - self._time_s) * self._rate)
        self._time_s = now_s
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self._rate


class Gate:
    """Lets a request in, or raises the `ApiError` it is answered with."""

    def __init__(
        self,
        config: ApiConfig,
        tokens: TokenSet,
        monotonic_s: Callable[[], float],
        session_scope: Callable[[Mapping[str, str]], Scope | None],
    ) -> None:
        """Prepare a gate.

        Args:
            config: Allow-lists and rates.
            tokens: The node's tokens.
            monotonic_s: A clock that never goes back, in seconds.
            session_scope: The scope of the session among these cookies, or None.
        """
        self._hosts = frozenset(config.allowed_hosts)
        self._origins = frozenset(config.allowed_origins)
        self._tokens = tokens
        self._monotonic_s = monotonic_s
        self._session_scope = session_scope
        now = monotonic_s()
        self._failures = TokenBucket(
            config.failures_per_minute / 60.0, config.failures_per_minute, now
        )
        self._public = TokenBucket(config.public_per_second, config.public_burst, now)
        self._log = TokenBucket(config.log_per_second, config.log_burst, now)
        self._buckets = {
            scope: TokenBucket(config.requests_per_second, config.requests_burst, now)
            for scope in Scope
        }

    def check_public(self) -> None:
        """Rate a request that needs no token, together with all others of its kind.

        Raises:
            ApiError: 429.
        """
        delay = self._public.take(self._monotonic_s())
        if delay > 0:
            raise too_many("strangers ask too often", int(delay) + 1)

    def check_log(self) -> None:
        """Rate a stranger's request for a part of the log, apart from those of `check_public`.

        Raises:
            ApiError: 429.
        """
        delay = self._log.take(self._monotonic_s())
        if delay > 0:
            raise too_many("strangers read the log too often", int(delay) + 1)

    def check_address(self, headers: Mapping[str, str]) -> None:
        """Refuse a foreign Host (DNS rebinding) and a foreign Origin (any web page).

        Raises:
            ApiError: 400, 421 or 403.
        """
        host = headers.get("Host", "")
        match = _HOST.fullmatch(host)
        if match is None:
            raise bad_request("the Host header is missing or malformed")
        if host.lower() not in self._hosts and match[1].lower() not in self._hosts:
            raise ApiError(421, "MISDIRECTED_REQUEST", "this node does not answer to that Host")
        origin = headers.get("Origin")
        if origin is not None and origin not in self._origins and not _is_own(origin, host):
            raise ApiError(403, "FORBIDDEN", "requests from other web pages are not accepted")

    def check_access(
        self, method: str, headers: Mapping[str, str], cookies: Mapping[str, str], needed: Scope
    ) -> Access:
        """Authenticate, authorise and rate a request whose address has been checked.

        Raises:
            ApiError: 401, 403 or 429.
        """
        by_cookie, bearer = "Authorization" not in headers, False
        if by_cookie:
            scope = self._session_scope(cookies)
        else:
            kind, _, token = headers["Authorization"].partition(" ")
            bearer = kind.lower() == "bearer"
            scope = self._tokens.scope(token.strip()) if bearer else None
        now = self._monotonic_s()
        if scope is None:
            delay = self._failures.take(now)
            if delay > 0:
                raise too_many("too many failed authentications", int(delay) + 1)
            raise ApiError(
                401,
                "UNAUTHENTICATED",
                _UNKNOWN_TOKEN if bearer else "send Authorization: Bearer <token>",
                headers={"WWW-Authenticate": 'Bearer realm="piaolian"'},
            )
        if by_cookie:
            check_page(method, headers)
        if scope < needed:
            raise ApiError(403, "FORBIDDEN", f"this needs a token of scope {needed.name.lower()}")
        delay = self._buckets[scope].take(now)
        if delay > 0:
            raise too_many("this token asks too often", int(delay) + 1)
        return Access(scope, by_cookie)


def check_page(method: str, headers: Mapping[str, str]) -> None:
    """Refuse what did not come from a page of this node, for a request that a cookie lets in.

    The cookie is SameSite=Strict, but ports of one host are one site.

    Raises:
        ApiError: 403.
    """
    safe = method in _SAFE_METHODS
    # "none": typed, or opened from a bookmark. Browsers that do not send it send Origin.
    site = headers.get("Sec-Fetch-Site", "none" if safe else "same-origin")
    if site != "same-origin" and not (safe and site == "none"):
        raise ApiError(403, "FORBIDDEN", "a cookie counts only for this node's own pages")
    if safe:
        return
    if PAGE_HEADER not in headers or not _is_own(headers.get("Origin"), headers.get("Host", "")):
        raise ApiError(403, "FORBIDDEN", "a cookie counts only for this node's own pages")


def _is_own(origin: str | None, host: str) -> bool:
    """Whether an Origin is that of this Host, which has been checked. A proxy may speak TLS."""
    return origin is not None and origin.lower() in {
        f"http://{host.lower()}",
        f"https://{host.lower()}",
    }

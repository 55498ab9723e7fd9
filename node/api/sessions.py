"""Sessions of the web page: one-time links, the cookies they are changed into, what those allow.

Owns counts and lives; knows no route. Everything is in memory: a restart ends every session. Codes
and cookies are kept only as SHA-256 digests.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from node.api.security import Scope

LINK_S = 120.0
"""A link is opened at once or never: it may stay in a terminal's history."""
IDLE_S = 2 * 3_600.0
"""A session that nobody uses ends: a desk is left."""
LIFE_S = 12 * 3_600.0
"""A session ends with the working day."""
LINKS_MAX = 32
SESSIONS_MAX = 64
"""Of one scope. When there are more, the one of that scope longest unused ends: who may read only
ends nobody's session who may do more."""
_SECRET_BYTES = 32
_COOKIE_CHARACTERS = 8


@dataclass(slots=True)
class _Link:
    scope: Scope
    until_s: float


@dataclass(slots=True)
class _Session:
    scope: Scope
    end_s: float
    seen_s: float

    def left_s(self, now_s: float) -> float:
        return min(self.end_s, self.seen_s + IDLE_S) - now_s


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session as its page may know it."""

    scope: Scope
    left_s: float
    """Seconds until it ends if it is not used again."""


class Sessions:
    """The links given out and the sessions open now."""

    def __init__(self, owner: str, monotonic_s: Callable[[], float]) -> None:
        """Start with none.

        Args:
            owner: What sets this node apart from others. Cookies do not tell ports apart, so
                nodes on one host need cookies of different names.
            monotonic_s: A clock that never goes back, in seconds.
        """
        digest = hashlib.sha256(owner.encode()).hexdigest()
        self.cookie = f"piaolian-{digest[:_COOKIE_CHARACTERS]}"
        """Name of the cookie."""
        self._monotonic_s = monotonic_s
        self._links: dict[bytes, _Link] = {}
        self._sessions: dict[bytes, _Session] = {}

    def invite(self, scope: Scope) -> str:
        """The code of a new link; the oldest link of its scope goes when there are too many."""
        code = secrets.token_urlsafe(_SECRET_BYTES)
        same = [digest for digest, link in self._links.items() if link.scope is scope]
        for digest in same[: max(0, len(same) + 1 - LINKS_MAX)]:
            del self._links[digest]
        self._links[_digest(code)] = _Link(scope, self._monotonic_s() + LINK_S)
        return code

    def redeem(self, code: str) -> str | None:
        """The cookie of a new session for the code of a link, which is used up; None if unknown."""
        link = self._links.pop(_digest(code), None)
        now_s = self._monotonic_s()
        if link is None or link.until_s <= now_s:
            return None
        self._drop_ended(now_s)
        same = [digest for digest, held in self._sessions.items() if held.scope is link.scope]
        same.sort(key=lambda digest: self._sessions[digest].seen_s)
        for digest in same[: max(0, len(same) + 1 - SESSIONS_MAX)]:
            del self._sessions[digest]
        token = secrets.token_urlsafe(_SECRET_BYTES)
        self._sessions[_digest(token)] = _Session(link.scope, now_s + LIFE_S, now_s)
        return token

    def use(self, token: str) -> LiveSession | None:
        """The session of a cookie, which lives on by being used; None if there is none."""
        digest = _digest(token)
        session = self._sessions.get(digest)
        if session is None:
            return None
        now_s = self._monotonic_s()
        if session.left_s(now_s) <= 0:
            del self._sessions[digest]
            return None
        session.seen_s = now_s
        return LiveSession(session.scope, session.left_s(now_s))

    def scope(self, cookies: Mapping[str, str]) -> Scope | None:
        """The scope of the session among a request's cookies, or None."""
        session = self.use(cookies.get(self.cookie, ""))
        return None if session is None else session.scope

    def end(self, token: str) -> None:
        """End the session of a cookie, if there is one."""
        self._sessions.pop(_digest(token), None)

    def end_scopes(self, scopes: Container[Scope]) -> None:
        """End the sessions and links of some scopes: their token is no more what it was."""
        for kept in (self._sessions, self._links):
            for digest in [d for d, held in kept.items() if held.scope in scopes]:
                del kept[digest]

    def _drop_ended(self, now_s: float) -> None:
        for digest in [d for d, s in self._sessions.items() if s.left_s(now_s) <= 0]:
            del self._sessions[digest]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()

"""Routes of the web page: its files, the way in by a one-time link, and the way out.

Owns the headers that fence pages in, and how files of domains come among its own: scripts in a
folder of the domain's name, texts together in one file a language. What a page shows comes from
the public API, read by the browser; no page is made here. Knows no domain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import hdrs, web

from node.api.body import SessionBody
from node.api.errors import ApiError, not_found
from node.api.requests import read_json, time_text
from node.api.routing import ACCESS_KEY, Api, Asset, Handler, Route, json_response
from node.api.security import Scope
from node.api.sessions import LIFE_S, LINK_S

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every page and its files: nothing from elsewhere, nothing inline, no frame around it."""

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain",
}
_LANGUAGES = ("en", "zh")
_DOMAINS = "domains.js"
"""Names the scripts of the network's domains for `app.js`; made here."""
PAGE_PATHS = (
    "/",
    "/blocks/{height:[0-9]+}",
    "/transactions/{id:[0-9a-f]+}",
    "/evidence",
    "/docs",
)
"""Answered with the shell, which draws the page that its path names."""


class LinkAnswer(msgspec.Struct, frozen=True):
    """A one-time link to the web page."""

    path: str
    """To be opened at the address at which a browser reaches this node; good once."""
    scope: str
    expires: str


class SessionView(msgspec.Struct, frozen=True):
    """What the caller's cookie allows."""

    scope: str | None
    """read, operate or admin; null: not signed in."""
    expires: str | None
    """When it ends unless it is used before."""


@lru_cache(maxsize=4)
def assets(domains: tuple[tuple[str, Path], ...]) -> Mapping[str, Asset]:
    """Every file of the page by its path below `/static/`; read once.

    Args:
        domains: By name: folders of domains' pages, each with an `index.js`.

    Raises:
        ValueError: two of them have a text of the same key.
    """
    found = _files(_FOLDER, "")
    texts = {name: [found.pop(f"lang/{name}.json")] for name in _LANGUAGES}
    for domain, folder in domains:
        files = _files(folder, f"{domain}/")
        for name in _LANGUAGES:
            texts[name].append(files.pop(f"{domain}/lang/{name}.json"))
        found |= files
    found[_DOMAINS] = _domains_script([domain for domain, _ in domains])
    for name, parts in texts.items():
        found[f"lang/{name}.json"] = _joined(parts)
    return found


def _files(folder: Path, prefix: str) -> dict[str, Asset]:
    return {
        prefix + path.relative_to(folder).as_posix(): _asset(path.read_bytes(), path.suffix)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }


def _asset(body: bytes, suffix: str) -> Asset:
    return Asset(body, _TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _domains_script(domains: Sequence[str]) -> Asset:
    lines = [f'import * as {name} from "./{name}/index.js";' for name in domains]
    lines += ["", f"export const domains = [{', '.join(domains)}];", ""]
    return _asset("\n".join(lines).encode(), ".js")


def _joined(parts: Sequence[Asset]) -> Asset:
    texts: dict[str, str] = {}
    for part in parts:
        more = msgspec.json.decode(part.body, type=dict[str, str])
        if twice := texts.keys() & more.keys():
            raise ValueError(f"texts of the pages stand twice: {', '.join(sorted(twice))}")
        texts |= more
    return _asset(msgspec.json.encode(texts), ".json")


async def shell(api: Api, request: web.Request) -> web.Response:
    """The one HTML file; its script reads the path."""
    return _asset_response(api, "index.html", request)


async def asset(api: Api, request: web.Request) -> web.Response:
    """A script, style or text of the page."""
    return _asset_response(api, request.match_info["name"], request)


def _asset_response(api: Api, name: str, request: web.Request) -> web.Response:
    file = api.assets.get(name)
    if file is None:
        raise not_found("the page has no such file")
    # Asked for anew each time and answered 304: an update of the node is seen at once.
    headers = {**PAGE_HEADERS, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: file.etag}
    if file.etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=file.body, content_type=file.content_type, charset="utf-8", headers=headers
    )


async def sign_in(api: Api, request: web.Request) -> web.Response:
    """Change the code of a link into a cookie and go to the first page."""
    code = request.query.get("code")
    if code is None:
        return _asset_response(api, "index.html", request)
    token = api.sessions.redeem(code)
    if token is None:
        return _redirect("/login?failed=1")
    response = _redirect("/")
    response.set_cookie(
        api.sessions.cookie,
        token,
        max_age=int(LIFE_S),
        path="/",
        httponly=True,
        samesite="Strict",
        # The API itself speaks plain HTTP; a proxy before it that speaks TLS says so.
        secure=request.headers.get("X-Forwarded-Proto", "").lower() == "https",
    )
    return response


def _redirect(target: str) -> web.Response:
    headers = {hdrs.LOCATION: target, hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(status=303, headers=headers)


async def make_link(api: Api, request: web.Request) -> web.Response:
    """Make a one-time link; never for more than the caller's own token allows."""
    body, _ = await read_json(request, SessionBody, api.config)
    scope = Scope[body.scope.upper()]
    access = request[ACCESS_KEY]
    if access.by_cookie or scope > access.scope:
        raise ApiError(403, "FORBIDDEN", "a link needs a token of its own scope")
    code = api.sessions.invite(scope)
    expires = time_text(api.time_ms() + int(LINK_S * 1_000))
    return json_response(LinkAnswer(f"/login?code={code}", body.scope, expires), 201)


async def show_session(api: Api, request: web.Request) -> web.Response:
    """What the caller's cookie allows; no cookie is no error."""
    session = api.sessions.use(request.cookies.get(api.sessions.cookie, ""))
    if session is None:
        return json_response(SessionView(None, None))
    expires = time_text(api.time_ms() + int(session.left_s * 1_000))
    return json_response(SessionView(session.scope.name.lower(), expires))


async def sign_out(api: Api, request: web.Request) -> web.Response:
    """End the caller's session."""
    api.sessions.end(request.cookies.get(api.sessions.cookie, ""))
    response = json_response(SessionView(None, None))
    response.del_cookie(api.sessions.cookie, path="/", httponly=True, samesite="Strict")
    return response


ROUTES = (
    Route(
        "POST",
        "/v1/sessions",
        make_link,
        "Make a one-time link to the web page",
        "web page",
        Scope.READ,
        body=SessionBody,
        answers={201: LinkAnswer},
        refusals=(400, 408, 413, 415, 422),
    ),
    Route(
        "GET",
        "/v1/session",
        show_session,
        "What the caller's cookie allows",
        "web page",
        None,
        answers={200: SessionView},
    ),
    Route(
        "DELETE",
        "/v1/session",
        sign_out,
        "End the caller's session",
        "web page",
        Scope.READ,
        answers={200: SessionView},
    ),
)
"""What programs may call too; described with the rest of the API."""


def pages_of(paths: Iterable[str]) -> tuple[Route, ...]:
    """What only browsers ask for, with the pages of domains; no part of the API's description."""
    return (
        *(_page(path, shell, "A page") for path in (*PAGE_PATHS, *paths)),
        _page("/login", sign_in, "The way in"),
        _page("/static/{name:.+}", asset, "A file of the page"),
    )


def _page(path: str, handler: Handler, summary: str) -> Route:
    return Route("GET", path, handler, summary, "web page", None, any_query=True)

"""The way in to the web page, what a cookie allows, and how the page's files are served."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from node.api import pages
from node.api import sessions as limits
from node.api.security import PAGE_HEADER, Scope
from node.api.sessions import Sessions
from node.runtime.domains import DOMAINS
from node.runtime.routes import PAGE_PATHS, assets_of
from tests.api.client import Answer, ApiClient
from tests.api.fake_node import FakeNode

SIGN = f"/v1/invoices/{'1' * 20}/sign"


def own(api: ApiClient, **more: str) -> dict[str, str]:
    """The headers that a page of this node sends with a write."""
    return {"Origin": f"http://127.0.0.1:{api.port}", PAGE_HEADER: "1", **more}


async def sign_in(api: ApiClient, scope: str = "operate") -> Answer:
    link = await api.post("/v1/sessions", {"scope": scope})
    assert link.status == 201, link.json
    return await api.get(link.json["path"], scope=None, allow_redirects=False)


def cookie_of(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}


async def cookie(api: ApiClient, scope: str = "operate") -> dict[str, str]:
    return cookie_of(await sign_in(api, scope))


# --- Links -----------------------------------------------------------------------------------


async def test_a_link_becomes_a_strict_cookie_and_leads_to_the_first_page(api: ApiClient) -> None:
    answer = await sign_in(api)

    assert (answer.status, answer.headers["Location"]) == (303, "/")
    parts = [part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")]
    assert {"httponly", "samesite=strict", "path=/"} <= set(parts)
    assert "secure" not in parts
    assert answer.headers["Cache-Control"] == "no-store"


async def test_behind_a_proxy_with_tls_the_cookie_is_secure(api: ApiClient) -> None:
    link = (await api.post("/v1/sessions")).json["path"]

    answer = await api.get(
        link, scope=None, allow_redirects=False, headers={"X-Forwarded-Proto": "https"}
    )

    assert "; secure" in answer.headers["Set-Cookie"].lower()


async def test_a_link_is_good_once(api: ApiClient) -> None:
    path = (await api.post("/v1/sessions")).json["path"]
    answers = [await api.get(path, scope=None, allow_redirects=False) for _ in range(2)]

    assert [a.headers["Location"] for a in answers] == ["/", "/login?failed=1"]
    assert "Set-Cookie" not in answers[1].headers


async def test_a_link_is_good_for_two_minutes(api: ApiClient) -> None:
    path = (await api.post("/v1/sessions")).json["path"]
    api.clock.now_ms += int(limits.LINK_S * 1_000)

    answer = await api.get(path, scope=None, allow_redirects=False)

    assert answer.headers["Location"] == "/login?failed=1"


@pytest.mark.parametrize("scope", [Scope.READ, Scope.OPERATE])
async def test_no_token_makes_a_link_beyond_its_own_scope(api: ApiClient, scope: Scope) -> None:
    beyond = await api.post("/v1/sessions", {"scope": "admin"}, scope=scope)
    within = await api.post("/v1/sessions", {"scope": "read"}, scope=scope)

    assert (beyond.status, beyond.json["code"]) == (403, "FORBIDDEN")
    assert within.status == 201


async def test_a_cookie_makes_no_link(api: ApiClient) -> None:
    headers = own(api, **await cookie(api))

    answer = await api.post("/v1/sessions", {"scope": "read"}, scope=None, headers=headers)

    assert answer.status == 403


def test_old_links_and_idle_sessions_go_when_there_are_too_many() -> None:
    now = [0.0]
    sessions = Sessions("node", lambda: now[0])
    codes = [sessions.invite(Scope.READ) for _ in range(limits.LINKS_MAX + 1)]
    assert sessions.redeem(codes[0]) is None

    tokens = []
    for _ in range(limits.SESSIONS_MAX + 1):
        token = sessions.redeem(sessions.invite(Scope.READ))
        assert token is not None
        tokens.append(token)
        now[0] += 1
        sessions.use(tokens[0])

    # The first is used all the time; the second has been idle for longest.
    assert [sessions.use(token) is not None for token in tokens[:3]] == [True, False, True]


def test_no_secret_is_kept_in_clear() -> None:
    sessions = Sessions("node", lambda: 0.0)
    code = sessions.invite(Scope.READ)
    token = sessions.redeem(sessions.invite(Scope.READ))

    kept = repr([getattr(sessions, name) for name in vars(sessions)])
    assert code not in kept
    assert token is not None
    assert token not in kept


def test_nodes_of_one_host_have_cookies_of_their_own() -> None:
    assert Sessions("a", lambda: 0.0).cookie != Sessions("b", lambda: 0.0).cookie


# --- Cookies ---------------------------------------------------------------------------------


async def test_a_cookie_has_the_scope_of_its_link(api: ApiClient, node: FakeNode) -> None:
    statuses = []
    for scope in ("read", "operate", "admin"):
        headers = own(api, **await cookie(api, scope))
        session = await api.get("/v1/session", scope=None, headers=headers)
        assert session.json["scope"] == scope
        statuses.append(
            (
                (await api.get("/v1/status", scope=None, headers=headers)).status,
                (await api.post(SIGN, scope=None, headers=headers)).status,
            )
        )

    assert statuses == [(200, 403), (200, 202), (200, 202)]
    assert len(node.operations) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"Origin": None},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {PAGE_HEADER: None},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_write_by_cookie_needs_a_page_of_this_node(
    api: ApiClient, node: FakeNode, change: dict[str, str | None]
) -> None:
    wanted = {**own(api, **await cookie(api)), **change}
    headers = {name: value for name, value in wanted.items() if value is not None}

    answer = await api.post(SIGN, scope=None, headers=headers)

    assert (answer.status, answer.json["code"]) == (403, "FORBIDDEN")
    assert node.operations == []


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)],
)
async def test_a_read_by_cookie_is_not_for_other_sites(
    api: ApiClient, site: str, status: int
) -> None:
    headers = {**await cookie(api), "Sec-Fetch-Site": site}

    assert (await api.get("/v1/status", scope=None, headers=headers)).status == status


async def test_a_wrong_token_is_not_mended_by_a_cookie(api: ApiClient) -> None:
    headers = {**await cookie(api), "Authorization": "Bearer wrong"}

    assert (await api.get("/v1/status", scope=None, headers=headers)).status == 401


async def test_a_session_ends_when_it_is_idle_too_old_or_signed_out(api: ApiClient) -> None:
    async def works(headers: dict[str, str]) -> bool:
        return (await api.get("/v1/status", scope=None, headers=headers)).status == 200

    idle = await cookie(api)
    api.clock.now_ms += int(limits.IDLE_S * 1_000)
    assert not await works(idle)

    old = await cookie(api)
    for _ in range(11):
        api.clock.now_ms += 3_600_000
        assert await works(old)
    api.clock.now_ms += 3_600_000
    assert not await works(old)

    left = await cookie(api)
    gone = await api.call("DELETE", "/v1/session", scope=None, headers=own(api, **left))
    assert gone.status == 200
    assert "max-age=0" in gone.headers["Set-Cookie"].lower()
    assert not await works(left)


async def test_nobody_is_signed_in_without_a_cookie(api: ApiClient) -> None:
    for headers in ({}, {"Cookie": "piaolian-00000000=x"}):
        answer = await api.get("/v1/session", scope=None, headers=headers)
        assert (answer.status, answer.json) == (200, {"scope": None, "expires": None})


# --- Files -----------------------------------------------------------------------------------


def filled(path: str) -> str:
    return re.sub(r"\{(\w+):[^}]*\}", "1", path)


@pytest.mark.parametrize("path", [*PAGE_PATHS, "/login"])
async def test_a_page_is_the_shell_and_fenced_in(api: ApiClient, path: str) -> None:
    answer = await api.get(filled(path), scope=None)

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_is_sent_again_only_when_it_changed(api: ApiClient) -> None:
    first = await api.get("/static/style.css", scope=None)
    tag = first.headers["ETag"]
    again = await api.get("/static/style.css", scope=None, headers={"If-None-Match": tag})
    other = await api.get("/static/style.css", scope=None, headers={"If-None-Match": '"x"'})

    assert [a.status for a in (first, again, other)] == [200, 304, 200]
    assert again.content == b""
    assert first.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["../pages.py", "%2e%2e/pages.py", "nothing.js", "vendor/", "//etc/passwd"]
)
async def test_only_the_pages_own_files_are_served(api: ApiClient, name: str) -> None:
    assert (await api.get(f"/static/{name}", scope=None)).status == 404


def test_no_file_names_another_host_or_runs_inline() -> None:
    for name, file in assets_of(DOMAINS).items():
        if name.startswith("vendor/"):
            continue
        content = file.body.decode()
        found = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+", content))
        assert found <= {"http://www.w3.org"}, name
    shell = assets_of(DOMAINS)["index.html"].body.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style| on\w+=|style=", shell)


async def test_every_file_the_shell_names_exists(api: ApiClient) -> None:
    shell: Any = assets_of(DOMAINS)["index.html"].body.decode()
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', shell)
    assert len(names) >= 3
    for name in names:
        assert (await api.get(name, scope=None)).status == 200, name


def test_two_domains_do_not_say_the_same_text(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "lang").mkdir(parents=True)
        for language in ("en", "zh"):
            (tmp_path / name / "lang" / f"{language}.json").write_text('{"same.key": "x"}')

    with pytest.raises(ValueError, match=r"same\.key"):
        pages.assets((("a", tmp_path / "a"), ("b", tmp_path / "b")))

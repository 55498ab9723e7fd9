"""Who is let in, and what a hostile client can send (p2p-and-reliability.md §5, rows 21–27)."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from node.api.config import ApiConfig
from node.api.security import Scope, TokenBucket, TokenError, TokenFiles, TokenSet
from node.runtime.routes import ROUTES
from node.runtime.server import ApiServer
from node.storage.index import QueryIndex
from tests.api.client import NOW_MS, TOKENS, ApiClient, FixedClock
from tests.api.fake_node import FakeNode

SIGN = f"/v1/invoices/{'1' * 20}/sign"
JSON = {"Content-Type": "application/json"}


def filled(path: str) -> str:
    """A route's pattern with values for its parameters."""
    values = {
        "{id}": "0" * 64,
        "{number}": "1" * 20,
        "{form}": "0",
        "{height}": "1",
        "{issuer}": "0" * 18,
        "{month}": "2026-11",
        "{participant}": "1" * 18,
        "{proposal}": "0" * 32,
        "{key}": "0" * 64,
        "{hash}": "0" * 64,
    }
    for name, value in values.items():
        path = path.replace(name, value)
    return path.replace("{path:.+}", "0/000")


# --- Tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("route", [r for r in ROUTES if r.scope], ids=lambda r: r.path)
async def test_no_route_answers_without_a_token(api: ApiClient, route: object) -> None:
    answer = await api.call(route.method, filled(route.path), scope=None)  # type: ignore[attr-defined]

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKENS[Scope.ADMIN][:-1]}",
        f"Bearer {TOKENS[Scope.ADMIN]}x",
        f"Basic {TOKENS[Scope.ADMIN]}",
        TOKENS[Scope.ADMIN],
        "Bearer \xff\xfe",
    ],
)
async def test_anything_but_the_exact_token_is_401(api: ApiClient, header: str) -> None:
    answer = await api.get("/v1/status", scope=None, headers={"Authorization": header})

    assert answer.status == 401
    said = "not one of this node's" if header.startswith("Bearer") else "send Authorization"
    assert said in answer.json["detail"]


async def test_a_token_in_the_query_is_ignored(api: ApiClient) -> None:
    token = TOKENS[Scope.ADMIN]

    answer = await api.get(f"/v1/status?token={token}&access_token={token}", scope=None)

    assert answer.status == 401


async def test_scopes_include_the_ones_below_and_not_the_ones_above(
    api: ApiClient, node: FakeNode
) -> None:
    read = await api.post(SIGN, scope=Scope.READ)
    operate = await api.post(SIGN, scope=Scope.OPERATE)
    admin = await api.post(SIGN, scope=Scope.ADMIN)
    status = await api.get("/v1/status", scope=Scope.READ)

    assert [a.status for a in (read, operate, admin, status)] == [403, 202, 202, 200]
    assert len(node.operations) == 2


async def test_ten_failures_a_minute_then_429_and_a_good_token_still_passes(
    api: ApiClient,
) -> None:
    statuses = [(await api.get("/v1/status", scope=None)).status for _ in range(12)]
    good = await api.get("/v1/status")
    api.clock.now_ms += 60_000
    later = await api.get("/v1/status", scope=None)

    assert statuses == [401] * 10 + [429] * 2
    assert good.status == 200
    assert later.status == 401


async def test_the_busiest_token_is_answered_429_with_retry_after(
    node: FakeNode, index: QueryIndex
) -> None:
    config = ApiConfig(requests_per_second=5, requests_burst=5)
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(
        config, node, {"invoices": node}, index, tokens, CollectorRegistry(), FixedClock(NOW_MS)
    )
    await server.start()
    async with ClientSession(f"http://127.0.0.1:{server.port}") as session:
        api = ApiClient(session, server.port, FixedClock(NOW_MS))
        answers = [await api.get("/v1/status") for _ in range(7)]
        other = await api.get("/v1/status", scope=Scope.READ)
    await server.stop()

    assert [a.status for a in answers] == [200] * 5 + [429] * 2
    assert answers[-1].headers["Retry-After"] == "1"
    assert other.status == 200


def test_token_bucket_refills_with_time() -> None:
    bucket = TokenBucket(rate=2.0, burst=2.0, now_s=0.0)

    taken = [bucket.take(now) for now in (0.0, 0.0, 0.0, 0.25, 0.5, 1.0)]

    assert taken == [0.0, 0.0, 0.5, 0.25, 0.0, 0.0]


def test_token_files_must_exist_be_private_and_hold_a_token(tmp_path: Path) -> None:
    for scope in ("read", "operate", "admin"):
        path = tmp_path / f"{scope}.token"
        path.write_text(f"{scope * 16}\n")
        path.chmod(0o600)
    tokens = TokenFiles(tmp_path).load()
    assert tokens.scope("read" * 16) is Scope.READ
    assert tokens.scope("admin" * 16) is Scope.ADMIN
    assert tokens.scope("read" * 16 + "\n") is None

    (tmp_path / "read.token").chmod(0o644)
    with pytest.raises(TokenError, match="owner only"):
        TokenFiles(tmp_path).load()
    (tmp_path / "read.token").chmod(0o600)
    (tmp_path / "read.token").write_text("short")
    with pytest.raises(TokenError, match="no token"):
        TokenFiles(tmp_path).load()
    (tmp_path / "read.token").unlink()
    with pytest.raises(TokenError, match=r"read\.token"):
        TokenFiles(tmp_path).load()


def test_tokens_are_not_kept_in_clear() -> None:
    tokens = TokenSet({Scope.READ: "r" * 40})

    assert "r" * 40 not in repr(vars(tokens))


# --- Host and Origin -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:1", 200),
        ("LOCALHOST:8080", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example:80", 421),
        ("localhost@evil.example", 400),
        ("localhost:99999999", 400),
        ("", 400),
        ("local host", 400),
    ],
)
async def test_only_this_nodes_hosts_are_answered(api: ApiClient, host: str, status: int) -> None:
    data = await api.raw(
        f"GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )

    assert int(data.split(b" ")[1]) == status


async def test_a_request_without_host_is_400(api: ApiClient) -> None:
    data = await api.raw(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"]
)
async def test_any_origin_is_403_without_cors_headers(
    api: ApiClient, node: FakeNode, method: str, origin: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST", **JSON}

    answer = await api.call(method, SIGN, headers=headers, data=b"{}")

    assert answer.status == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert node.operations == []


async def test_an_allowed_origin_passes(node: FakeNode, index: QueryIndex) -> None:
    config = ApiConfig(allowed_origins=("https://desk.example",))
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(config, node, {"invoices": node}, index, tokens, CollectorRegistry())
    await server.start()
    async with ClientSession(f"http://127.0.0.1:{server.port}") as session:
        api = ApiClient(session, server.port, FixedClock(NOW_MS))
        answer = await api.get("/v1/status", headers={"Origin": "https://desk.example"})
    await server.stop()

    assert answer.status == 200


# --- Bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "text/plain; application/json",
    ],
)
async def test_shapes_that_a_web_form_can_send_are_415(
    api: ApiClient, node: FakeNode, content_type: str
) -> None:
    for path in (SIGN, "/v1/invoices", "/v1/transactions", "/v1/transactions:batch"):
        answer = await api.call("POST", path, headers={"Content-Type": content_type}, data=b"{}")
        assert (answer.status, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert node.operations == []
    assert node.drafts == []


async def test_a_post_without_content_type_is_415(api: ApiClient) -> None:
    request = (
        f"POST {SIGN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {TOKENS[Scope.ADMIN]}\r\nContent-Length: 2\r\n\r\n{{}}"
    )

    assert (await api.raw(request.encode())).startswith(b"HTTP/1.1 415")


async def test_compressed_bodies_are_415(api: ApiClient) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}

    answer = await api.call("POST", SIGN, headers=headers, data=b"\x1f\x8b" + bytes(50))

    assert answer.status == 415


@pytest.mark.parametrize(
    ("path", "content_type", "limit"),
    [
        ("/v1/invoices", "application/json", 1 << 20),
        ("/v1/transactions:batch", "application/msgpack", 4 << 20),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_are_limited(
    api: ApiClient, path: str, content_type: str, limit: int, chunked: bool
) -> None:
    async def pieces() -> object:
        for _ in range(limit // 65_536):
            yield bytes(65_536)
        yield b"x"

    headers = {"Content-Type": content_type}
    fits = await api.call("POST", path, headers=headers, data=BytesIO(bytes(limit)))
    over = await api.call(
        "POST", path, headers=headers, data=pieces() if chunked else BytesIO(bytes(limit + 1))
    )

    assert fits.status == 400
    assert (over.status, over.json["code"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_that_never_comes_is_408(node: FakeNode, index: QueryIndex) -> None:
    config = ApiConfig(body_timeout_s=0.2)
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(config, node, {"invoices": node}, index, tokens, CollectorRegistry())
    await server.start()
    request = (
        f"POST {SIGN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKENS[Scope.ADMIN]}\r\nContent-Length: 10\r\n\r\n"
    )
    async with ClientSession() as session:
        api = ApiClient(session, server.port, FixedClock(NOW_MS))
        answer = await api.raw(request.encode(), until_closed=False)
    await server.stop()

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()


async def test_silent_and_dripping_clients_are_closed(node: FakeNode, index: QueryIndex) -> None:
    config = ApiConfig(keepalive_timeout_s=0.3)
    tokens = TokenSet({scope: TOKENS[scope] for scope in Scope})
    server = ApiServer(config, node, {"invoices": node}, index, tokens, CollectorRegistry())
    await server.start()
    async with ClientSession() as session:
        api = ApiClient(session, server.port, FixedClock(NOW_MS))
        async with asyncio.timeout(4):
            answers = [
                await api.raw(data) for data in (b"", b"GET /livez HT", b"GET / HTTP/1.1\r\nHo")
            ]
    await server.stop()

    assert answers == [b"", b"", b""]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 20_000,
        b'{"details":' * 20_000,
        b'{"details":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"{",
        b"\xff\xfe",
        b"[1,2",
        b'{"order_id":"\\ud800"}',
        b'{"a":1}{"b":2}',
        b"nul",
        b'{"x":' + b"1" * 10_000 + b"}",
    ],
    ids=range(10),
)
async def test_malformed_json_is_400(api: ApiClient, node: FakeNode, body: bytes) -> None:
    for path in ("/v1/invoices", SIGN):
        answer = await api.call("POST", path, headers=JSON, data=body)
        assert (answer.status, answer.json["code"]) == (400, "BAD_REQUEST")
    assert node.operations == []


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
async def test_json_that_is_no_object_is_422(api: ApiClient, body: bytes) -> None:
    answer = await api.call("POST", SIGN, headers=JSON, data=body)

    assert answer.status == 422


@pytest.mark.parametrize(
    "headers",
    [
        "".join(f"X-{n}: 1\r\n" for n in range(129)),
        f"X-Long: {'a' * 9_216}\r\n",
        "Bad Header\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    ],
    ids=["129 headers", "9 KiB header", "malformed", "two lengths", "smuggling"],
)
async def test_hostile_headers_are_400(api: ApiClient, headers: str) -> None:
    data = await api.raw(
        f"GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode()
    )

    assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))


async def test_every_answer_forbids_sniffing_and_framing(api: ApiClient) -> None:
    for path in ("/livez", "/v1/status", "/v1/nothing"):
        answer = await api.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers


def test_config_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="positive"):
        ApiConfig(streams_max=0)
    with pytest.raises(ValueError, match="port"):
        ApiConfig(port=70_000)
    with pytest.raises(ValueError, match="lower case"):
        ApiConfig(allowed_hosts=("Localhost",))

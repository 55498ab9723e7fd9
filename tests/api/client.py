"""An HTTP client for the tests: real sockets, real HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession

from node.api.security import Scope

NOW_MS = 1_795_500_000_000
TOKENS = {scope: f"{scope.name.lower()}-token-{'x' * 32}" for scope in Scope}


class FixedClock:
    """A clock that moves only when told."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms


@dataclass
class Answer:
    status: int
    headers: Any
    content: bytes
    json: Any


@dataclass
class ApiClient:
    session: ClientSession
    port: int
    clock: FixedClock

    async def call(
        self,
        method: str,
        path: str,
        *,
        scope: Scope | None = Scope.ADMIN,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        sent = dict(headers or {})
        if scope is not None:
            sent.setdefault("Authorization", f"Bearer {TOKENS[scope]}")
        async with self.session.request(method, path, headers=sent, **options) as response:
            content = await response.read()
            is_json = response.content_type.endswith("json")
            return Answer(
                response.status,
                response.headers,
                content,
                await response.json(content_type=None) if is_json and content else None,
            )

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> Answer:
        return await self.call("POST", path, json={} if body is None else body, **options)

    async def raw(self, data: bytes, *, until_closed: bool = True) -> bytes:
        """Send bytes on a connection of their own; what comes back until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(5):
                return await (reader.read() if until_closed else reader.readuntil(b"\r\n\r\n"))
        finally:
            writer.close()

"""The nodes of a benchmarked network: API, process, keys; and the registers the load needs."""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

NUMBERS = 50_000_000
QUOTA = 10**15


class Member(msgspec.Struct, frozen=True):
    """One node of the network."""

    name: str
    roles: tuple[str, ...]
    participant: str
    url: str
    token: str
    pid: int | None
    signing_seed: bytes
    sealing_secret: bytes

    def cpu_seconds(self) -> float:
        """User and system time of the process so far; 0 when it runs elsewhere."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Resident memory of the process; 0 when it runs elsewhere."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except OSError:
            return 0.0
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


async def registers_for(
    session: aiohttp.ClientSession, members: Sequence[Member], issuer: str
) -> tuple[int, int]:
    """Allot numbers and quota to the issuer; (first number, height of the ledger)."""
    bureau = next(m for m in members if "tax_bureau" in m.roles)
    headers = {"Authorization": f"Bearer {bureau.token}"}
    now = datetime.datetime.now(datetime.UTC)
    year = now.strftime("%y")
    # A fresh range for every run: 10 digits of the millisecond leave room for the count.
    first = int(f"{year}44{int(now.timestamp() * 1_000) % 10**8:08d}00000000")
    later = now + datetime.timedelta(days=1)
    writes = [("/v1/segments", {"issuer": issuer, "first": f"{first:020d}", "count": NUMBERS})]
    for month in sorted({now.strftime("%Y-%m"), later.strftime("%Y-%m")}):
        quota = {
            "issuer": issuer,
            "month": month,
            "net": QUOTA,
            "valid_from": (now - datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "valid_to": (now + datetime.timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        writes.append(("/v1/quotas", quota))
    for path, body in writes:
        async with session.post(
            f"{bureau.url}{path}", json=body, params={"wait": "final"}, headers=headers
        ) as response:
            if response.status != 201:
                raise RuntimeError(f"{path}: {response.status} {await response.text()}")
    await asyncio.sleep(0.5)
    async with session.get(f"{bureau.url}/v1/status", headers=headers) as response:
        status = await response.json()
        return first, int(status["height"])

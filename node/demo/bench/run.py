"""One benchmark run: a cluster, a load, a verifying client, and the numbers.

Owns the measurement. Every figure is what a client outside the nodes saw: a transaction is final
once the client has verified its leaf under q cosignatures.
"""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec

from node.audit.machine_limits import sqlite_rows_per_second, verifications_per_second
from node.chain.voters import VoterSet
from node.demo.bench.follower import FollowError, VerifyingFollower
from node.demo.bench.load import (
    Endpoint,
    InFlight,
    Issuer,
    Signed,
    Submitter,
    closed_loop,
    open_loop,
    sign_transactions,
)
from node.demo.bench.members import Member, registers_for
from node.demo.bench.sealed import Sealer
from node.ledger.genesis import Genesis
from node.ledger.types import Role

RAW_BLOCKS = "application/vnd.piaolian.block"
IN_FLIGHT_MAX = 2_400
"""Transactions on their way at once; four times as many invoices when they come in batches."""
IN_REQUEST = 100
SETTLE_S = 20.0
SIGNED_PER_SECOND_MAX = 4_000
"""Single-invoice transactions signed beforehand for each second of the run."""


class Plan(msgspec.Struct, frozen=True):
    """What to run."""

    seconds: float = 30.0
    rate: float | None = None
    """Transactions a second, open loop; None keeps the cluster busy."""
    batch: int = 1
    """Invoices a transaction."""
    sealed: bool = False
    """Every invoice with details, sealed to issuer, buyer and tax bureau."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What `piaolian bench --json` prints."""

    final_per_second: float
    invoices_per_second: float
    latency_ms: dict[str, float]
    nodes: int
    batch: int
    sealed: bool
    seconds: float
    transactions: int
    blocks: int
    verify_limit_per_second: float
    """Ed25519 verifications a second of one core × cores ÷ voters."""
    sqlite_rows_per_second: float
    rss_mib: list[float]
    cpu_seconds: list[float]
    index_lag_s: float
    """The longest that a node's query index was behind its ledger."""
    roots_equal: bool
    errors: dict[str, int]


async def run_bench(plan: Plan, genesis: Genesis, members: Sequence[Member], cores: int) -> Figures:
    """Load a running cluster and measure it.

    Args:
        plan: Duration, rate and batch.
        genesis: The network's genesis.
        members: Its nodes: API, token, process id, keys of the issuer and the bureau.
        cores: How many cores nodes and client share.

    Raises:
        FollowError: a node served blocks that do not verify.
    """
    verify_limit = verifications_per_second() * cores / len(genesis.voters)
    rows = sqlite_rows_per_second()
    issuer = next(m for m in members if "issuer" in m.roles)
    buyer = next(m.participant for m in members if "payer" in m.roles)
    run = secrets.randbits(24)
    load = Issuer(
        network_id=genesis.network_id,
        participant=issuer.participant,
        seed=issuer.signing_seed,
        buyer=buyer,
        first_number=0,
        issue_date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        sealer=_sealer(genesis, issuer, buyer) if plan.sealed else None,
    )
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=90), connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        first, height = await registers_for(session, members, issuer.participant)
        load = msgspec.structs.replace(load, first_number=first)
        rate_max = plan.rate or SIGNED_PER_SECOND_MAX / (1 + 0.2 * plan.batch)
        signed = sign_transactions(load, int(plan.seconds * rate_max), plan.batch, run, height)
        return await _Run(plan, genesis, members, session, signed).go(verify_limit, rows)


def _sealer(genesis: Genesis, issuer: Member, buyer: str) -> Sealer:
    readers = [p for p in genesis.participants if p.id == buyer or Role.TAX_BUREAU in p.role_set]
    keys = tuple(bytes.fromhex(participant.sealing_key) for participant in readers)
    return Sealer.of(issuer.sealing_secret, keys)


class _Run:
    """The moving parts of one run."""

    def __init__(
        self,
        plan: Plan,
        genesis: Genesis,
        members: Sequence[Member],
        session: aiohttp.ClientSession,
        signed: Sequence[Signed],
    ) -> None:
        self._plan = plan
        self._members = members
        self._session = session
        self._signed = signed
        self._submitter = Submitter(session, [Endpoint(m.url, m.token) for m in members])
        self._follower = VerifyingFollower(VoterSet.from_genesis(genesis), self._on_final)
        many = IN_FLIGHT_MAX if plan.batch == 1 else 4 * IN_FLIGHT_MAX // plan.batch
        self._in_flight = InFlight(many)
        self._final: dict[bytes, float] = {}
        self._refused: dict[str, int] = {}
        self._index_lag_s = 0.0
        self._following = True

    async def go(self, verify_limit: float, rows: float) -> Figures:
        """Run and sum up."""
        await self._catch_up()
        cpu_before = [m.cpu_seconds() for m in self._members]
        blocks_before = self._follower.height
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            follow = group.create_task(self._follow())
            lag = group.create_task(self._watch_index())
            await self._load(started)
            ended = time.perf_counter()
            await self._drain()
            self._following = False
            lag.cancel()
            follow.cancel()
        counted = [t for t in self._final.values() if t <= ended]
        seconds = ended - started
        latencies = sorted(
            (at - self._submitter.sent[txid]) * 1_000
            for txid, at in self._final.items()
            if txid in self._submitter.sent
        )
        per_second = len(counted) / seconds
        return Figures(
            final_per_second=round(per_second, 1),
            invoices_per_second=round(per_second * self._plan.batch, 1),
            latency_ms={
                "p50": _percentile(latencies, 0.50),
                "p99": _percentile(latencies, 0.99),
                "max": _percentile(latencies, 1.0),
            },
            nodes=len(self._members),
            batch=self._plan.batch,
            sealed=self._plan.sealed,
            seconds=round(seconds, 2),
            transactions=len(self._final),
            blocks=self._follower.height - blocks_before,
            verify_limit_per_second=round(verify_limit, 1),
            sqlite_rows_per_second=round(rows, 1),
            rss_mib=[m.rss_mib() for m in self._members],
            cpu_seconds=[
                round(m.cpu_seconds() - before, 2)
                for m, before in zip(self._members, cpu_before, strict=True)
            ],
            index_lag_s=round(self._index_lag_s, 2),
            roots_equal=await self._roots_equal(),
            errors=self._submitter.errors | self._refused | self._lost(),
        )

    async def _load(self, started: float) -> None:
        plan = self._plan
        in_request = 1 if plan.rate else max(1, IN_REQUEST // plan.batch)
        async with asyncio.TaskGroup() as group:
            if plan.rate:
                load = open_loop(self._submitter, self._signed, plan.rate, started)
            else:
                load = closed_loop(
                    self._submitter, self._signed, in_request, len(self._members), self._in_flight
                )
            task = group.create_task(load)
            await asyncio.wait({task}, timeout=plan.seconds - (time.perf_counter() - started))
            self._in_flight.stop()
            if plan.rate:
                task.cancel()

    async def _drain(self) -> None:
        deadline = time.perf_counter() + SETTLE_S
        while self._submitter.sent.keys() - self._final.keys():
            if time.perf_counter() > deadline:
                return
            await asyncio.sleep(0.1)

    def _lost(self) -> dict[str, int]:
        lost = len(self._submitter.sent.keys() - self._final.keys())
        return {"NOT_FINAL": lost} if lost else {}

    def _on_final(self, transactions: list[tuple[bytes, int]]) -> None:
        now = time.perf_counter()
        for txid, code in transactions:
            if code == 0:
                self._final.setdefault(txid, now)
            else:
                self._refused[f"REFUSED_{code}"] = self._refused.get(f"REFUSED_{code}", 0) + 1
        self._in_flight.give(len(transactions))

    async def _catch_up(self) -> None:
        while await self._page(wait_s=0):
            pass
        self._final.clear()
        self._in_flight.reset()

    async def _follow(self) -> None:
        while self._following:
            await self._page(wait_s=10)

    async def _page(self, wait_s: int) -> int:
        member = self._members[0]
        query = {"from": str(self._follower.height + 1), "limit": "100", "wait_s": str(wait_s)}
        headers = Endpoint(member.url, member.token).headers | {"Accept": RAW_BLOCKS}
        url = f"{member.url}/v1/blocks"
        async with self._session.get(url, params=query, headers=headers) as response:
            if response.status != 200:
                raise FollowError(f"{url} answered {response.status}")
            return self._follower.take(await response.read())

    async def _watch_index(self) -> None:
        behind_since: list[float | None] = [None] * len(self._members)
        marks = [0] * len(self._members)
        while True:
            await asyncio.sleep(0.25)
            for number, member in enumerate(self._members):
                status = await self._status(member)
                indexed = int(status["index"]["height"])
                now = time.perf_counter()
                since = behind_since[number]
                if since is not None and indexed < marks[number]:
                    self._index_lag_s = max(self._index_lag_s, now - since)
                elif indexed < int(status["height"]):
                    behind_since[number], marks[number] = now, int(status["height"])
                else:
                    behind_since[number] = None

    async def _status(self, member: Member) -> dict[str, Any]:
        endpoint = Endpoint(member.url, member.token)
        async with self._session.get(
            f"{member.url}/v1/status", headers=endpoint.headers
        ) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def _roots_equal(self) -> bool:
        for _ in range(50):
            statuses = [await self._status(member) for member in self._members]
            seen = {(s["height"], s["root"], s["state_digest"]) for s in statuses}
            if len(seen) == 1:
                return True
            await asyncio.sleep(0.1)
        return False


def _percentile(ordered: Sequence[float], share: float) -> float:
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

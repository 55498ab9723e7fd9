"""The load of a benchmark: signed transactions, made beforehand, and how they are submitted.

Owns signing and submission; the verdict on what became final is the follower's.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from node.demo.bench.sealed import Sealer
from node.ledger.invoices.operations import IssueInvoice, RateGroup
from node.ledger.signing import secret_key, sign
from node.ledger.transaction import (
    TransactionBody,
    encode_body,
    encode_wire,
    signed_bytes,
    transaction_id,
)

VALIDITY_HEIGHTS = 50_000
SIGNED_PER_HEIGHT = 64
"""A client that signs when it sends counts from the height of the moment: so do these."""
WORKERS_PER_NODE = 3


class Issuer(msgspec.Struct, frozen=True):
    """Whose invoices the load issues."""

    network_id: bytes
    participant: str
    seed: bytes
    buyer: str
    first_number: int
    """First of the 20-digit numbers that nobody else draws from."""
    issue_date: str
    sealer: Sealer | None = None
    """Seals details to every invoice; None: there are none."""


class Signed(msgspec.Struct, frozen=True):
    """A transaction ready to be sent."""

    txid: bytes
    wire: bytes


def sign_transactions(
    issuer: Issuer, count: int, batch: int, run: int, height: int
) -> list[Signed]:
    """`count` transactions of `batch` invoices each, with distinct numbers and orders."""
    key = secret_key(issuer.seed)
    groups = (RateGroup(600, 10_000, 600, 1),)
    made: list[Signed] = []
    number = issuer.first_number
    for nonce in range(count):
        numbers = [f"{number + place:020d}" for place in range(batch)]
        orders = [
            (text, hashlib.sha256(b"%d/%s" % (run, text.encode())).digest()) for text in numbers
        ]
        number += batch
        commitments: Sequence[bytes | None] = [None] * batch
        blobs: tuple[bytes, ...] = ()
        hashes: tuple[bytes, ...] = ()
        if issuer.sealer is not None:
            commitments, sealed = issuer.sealer.seal(orders)
            blobs, hashes = (sealed.blob,), (sealed.blob_hash,)
        operations = [
            IssueInvoice(
                number=text,
                special=False,
                buyer=issuer.buyer,
                currency="CNY",
                issue_date=issuer.issue_date,
                groups=groups,
                net=10_000,
                tax=600,
                gross=10_600,
                order=order,
                replaces=None,
                details=commitment,
                blobs=hashes,
            )
            for (text, order), commitment in zip(orders, commitments, strict=True)
        ]
        body = encode_body(
            TransactionBody(
                network=issuer.network_id,
                author=issuer.participant,
                key=key[32:],
                nonce=run * 1_000_000_000 + nonce,
                valid_until=height + VALIDITY_HEIGHTS + nonce // SIGNED_PER_HEIGHT,
                operations=tuple(operations),
            )
        )
        wire = encode_wire(body, sign(key, signed_bytes(body)), blobs)
        made.append(Signed(transaction_id(body), wire))
    return made


class Endpoint(msgspec.Struct, frozen=True):
    """A node's API and a token that may write."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The authorisation of a request."""
        return {"Authorization": f"Bearer {self.token}"}


class Submitter:
    """Sends transactions and remembers when each was sent, in seconds of `time.perf_counter`."""

    def __init__(self, session: aiohttp.ClientSession, endpoints: Sequence[Endpoint]) -> None:
        self._session = session
        self._endpoints = endpoints
        self.sent: dict[bytes, float] = {}
        self.errors: dict[str, int] = {}

    async def submit(self, node: int, transactions: Sequence[Signed]) -> bool:
        """Post transactions to one node in one request; False if it took none of them."""
        endpoint = self._endpoints[node % len(self._endpoints)]
        body = msgspec.msgpack.encode([t.wire for t in transactions])
        now = time.perf_counter()
        for transaction in transactions:
            self.sent[transaction.txid] = now
        headers = endpoint.headers | {"Content-Type": "application/msgpack"}
        async with self._session.post(
            f"{endpoint.url}/v1/transactions:batch", data=body, headers=headers
        ) as response:
            answer = await response.json(content_type=None)
            if response.status != 202:
                self._count(str(answer.get("code", response.status)), len(transactions))
                for transaction in transactions:
                    del self.sent[transaction.txid]
                return False
            for item in answer["transactions"]:
                if item["state"] == "refused":
                    self._count(item["code"], 1)
        return True

    def _count(self, name: str, number: int) -> None:
        self.errors[name] = self.errors.get(name, 0) + number


class InFlight:
    """How many transactions may be on their way at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = 0
        self._room = asyncio.Event()
        self.stopped = False

    async def take(self, count: int) -> None:
        """Wait until `count` more may leave."""
        while not self.stopped and self._out and self._out + count > self._limit:
            self._room.clear()
            await self._room.wait()
        self._out += count

    def give(self, count: int) -> None:
        """So many arrived."""
        self._out = max(0, self._out - count)
        self._room.set()

    def reset(self) -> None:
        """Nothing is on its way."""
        self._out = 0

    def stop(self) -> None:
        """Let nobody send any more."""
        self.stopped = True
        self._room.set()


async def closed_loop(
    submitter: Submitter,
    transactions: Sequence[Signed],
    in_request: int,
    node_count: int,
    in_flight: InFlight,
) -> None:
    """Keep as many transactions on their way as `in_flight` allows, over all nodes in turn."""
    starts = iter(range(0, len(transactions), in_request))

    async def worker(node: int) -> None:
        for start in starts:
            part = transactions[start : start + in_request]
            await in_flight.take(len(part))
            if in_flight.stopped:
                return
            if not await submitter.submit(node, part):
                in_flight.give(len(part))
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        for node in range(node_count):
            for _ in range(WORKERS_PER_NODE):
                group.create_task(worker(node))


async def open_loop(
    submitter: Submitter, transactions: Sequence[Signed], rate: float, started: float
) -> None:
    """Send one transaction a request, `rate` a second, whatever the answers."""
    async with asyncio.TaskGroup() as group:
        for number, transaction in enumerate(transactions):
            delay = started + number / rate - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            group.create_task(submitter.submit(number, [transaction]))

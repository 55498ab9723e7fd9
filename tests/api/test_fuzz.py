"""A thousand broken bodies for each write: never a 5xx, and nothing reaches the node unchecked."""

from __future__ import annotations

import importlib
import json
import random  # noqa: TID251 - seeded
from typing import Any

import msgspec
import pytest

from node.api.config import ApiConfig
from node.api.routing import Route
from node.api.security import Scope
from node.ledger.operations import DirectOperation
from node.runtime.domains import DOMAINS
from node.runtime.routes import ROUTES
from tests.api.client import ApiClient
from tests.api.fake_node import BUYER, FakeNode, issue
from tests.api.samples import NUMBER
from tests.api.test_membership import put_proposal
from tests.api.test_security import filled

BODIES_EACH = 1_000
WRITES = [route for route in ROUTES if route.method == "POST" and route.body is not None]
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**40, 0.5, 1e308, -0.0),
    *("", "0", "a" * 70, "\u0000", "\ud800", "é", "😀", NUMBER, BUYER, "ab" * 32, "CNY", "GBP"),
    *("2026-11-01", "2026-02-30", "0000-00-00", "2026-11-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    *([], {}, [[]], [{}], {"a": None}, [None], [0] * 40, {"lines": []}, "٣" * 20, "2026-13"),
)


@pytest.fixture
def config() -> ApiConfig:
    return ApiConfig(requests_burst=1e9)


def mutated(rng: random.Random, value: Any, depth: int = 0) -> Any:
    """`value` with something wrong in it, often deep inside."""
    if depth > 4 or rng.random() < 0.25:
        return rng.choice(VALUES)
    if isinstance(value, dict) and value:
        changed = dict(value)
        key = rng.choice(sorted(changed))
        match rng.randrange(4):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(("x", "", "\ud800", "__proto__", key * 3))] = rng.choice(VALUES)
            case _:
                changed[key] = mutated(rng, changed[key], depth + 1)
        return changed
    if isinstance(value, list) and value:
        position = rng.randrange(len(value))
        return [*value[:position], mutated(rng, value[position], depth + 1), *value[position:]]
    return rng.choice(VALUES)


def encoded(rng: random.Random, body: Any) -> bytes:
    """JSON of a mutated body, sometimes with broken bytes."""
    data = json.dumps(mutated(rng, body), ensure_ascii=rng.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )
    if rng.random() < 0.2 and data:
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        data = bytes(broken)
    return data


def example(route: Route) -> Any:
    """A body that the route takes: a domain's stand beside its tests, in a module `bodies`."""
    if route.path == "/v1/sessions":
        return {"scope": "read"}
    domain = next(d for d in DOMAINS if route in d.routes())
    return importlib.import_module(f"tests.domains.{domain.name}.bodies").example(route.path)


@pytest.mark.parametrize("route", WRITES, ids=lambda route: route.path)
async def test_no_body_makes_a_write_fail(api: ApiClient, node: FakeNode, route: Route) -> None:
    rng = random.Random(f"bodies of {route.path}")
    await node.submit_operations((issue("1" * 20),))
    node.operations.clear()
    node.opened["1" * 20] = b"{}"
    put_proposal(node, bytes(16))
    seed, path = example(route), filled(route.path)
    statuses: set[int] = set()
    for _ in range(BODIES_EACH):
        answer = await api.call(
            "POST",
            path,
            data=encoded(rng, seed),
            headers={"Content-Type": "application/json"},
            scope=Scope.ADMIN if route.scope is Scope.ADMIN else Scope.OPERATE,
        )
        statuses.add(answer.status)
        assert answer.json is not None

    assert statuses <= {200, 201, 202, 400, 403, 404, 422}, statuses
    assert {400, 422} <= statuses
    # What passed is what the ledger can decode.
    for operation in node.operations:
        msgspec.msgpack.decode(msgspec.msgpack.encode(operation), type=DirectOperation)


@pytest.mark.parametrize("path", ["/v1/transactions", "/v1/transactions:batch"])
async def test_no_bytes_make_a_submission_fail(api: ApiClient, node: FakeNode, path: str) -> None:
    rng = random.Random(f"bytes of {path}")
    batch = path.endswith("batch")
    kind = "transactions" if batch else "transaction"
    statuses: set[int] = set()
    for number in range(BODIES_EACH):
        body = node.body((issue(f"{number:020d}"),))
        wire = msgspec.msgpack.encode([body, bytes(64), []])
        data = bytearray(msgspec.msgpack.encode([wire, wire]) if batch else wire)
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        del data[rng.randrange(len(data) // 2, 2 * len(data)) :]
        answer = await api.call(
            "POST",
            path,
            data=bytes(data),
            headers={"Content-Type": f"application/vnd.piaolian.{kind}"},
        )
        statuses.add(answer.status)

    assert statuses <= {202, 400, 409}, statuses
    assert 202 in statuses


async def test_no_query_makes_a_read_fail(api: ApiClient) -> None:
    rng = random.Random("queries")
    routes = [r for r in ROUTES if r.method == "GET" and r.path != "/v1/events"]
    names = sorted({query.name for route in routes for query in route.query} - {"wait_s"})
    for _ in range(BODIES_EACH):
        route = rng.choice(routes)
        query = {
            rng.choice(names): str(rng.choice(VALUES)).encode("utf-8", "replace").decode()
            for _ in range(rng.randrange(4))
        }
        if "wait" in query or "timeout_s" in query:
            query["timeout_s"] = "0.01"
        answer = await api.get(filled(route.path), params=query)
        assert answer.status < 500, (route.path, query)

"""What every answer carries, and what a request may not do without being told."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from node.api.routing import Route
from node.runtime.routes import ROUTES
from tests.api.client import ApiClient
from tests.api.fake_node import FakeNode
from tests.api.samples import INVOICE

GETS = [route for route in ROUTES if route.method == "GET" and "{" not in route.path]
PLAIN = [route for route in GETS if route.answers.get(200) != "text/event-stream"]
STRICT = [route for route in GETS if "text/html" not in route.answers.values()]


def name_of(route: Route) -> str:
    return route.path


async def test_every_answer_names_its_request(api: ApiClient) -> None:
    given = await api.get("/v1/status", headers={"X-Request-Id": "desk-7.a_b"})
    made = [await api.get(path) for path in ("/v1/status", "/v1/nothing")]
    odd = await api.get("/v1/status", headers={"X-Request-Id": "a b"})

    assert given.headers["X-Request-Id"] == "desk-7.a_b"
    assert len({each.headers["X-Request-Id"] for each in [*made, odd]}) == 3


@pytest.mark.parametrize("route", PLAIN, ids=name_of)
async def test_head_is_get_without_its_body(api: ApiClient, route: Route) -> None:
    if route.path == "/metrics":
        return  # each look at them differs
    got, head = await api.get(route.path), await api.call("HEAD", route.path)

    assert head.status == got.status
    assert head.content == b""
    assert head.headers.get("ETag") == got.headers.get("ETag")
    assert head.headers["Content-Length"] == str(len(got.content))


async def test_what_is_known_already_is_not_sent_again(api: ApiClient) -> None:
    first = await api.get("/v1/codes")
    tag = first.headers["ETag"]
    same = await api.get("/v1/codes", headers={"If-None-Match": f'"x", W/{tag}'})
    other = await api.get("/v1/codes", headers={"If-None-Match": '"x"'})

    assert (same.status, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert (other.status, other.content) == (200, first.content)


async def test_a_write_says_where_its_transaction_is(api: ApiClient) -> None:
    answer = await api.post("/v1/invoices?wait=final", INVOICE)

    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/transactions/{answer.json['transaction']}"
    assert (await api.get(answer.headers["Location"])).status == 200


@pytest.mark.parametrize("route", STRICT, ids=name_of)
async def test_a_parameter_that_is_not_there_is_refused(api: ApiClient, route: Route) -> None:
    answer = await api.get(f"{route.path}?limt=3")

    assert (answer.status, answer.json["code"]) == (400, "BAD_REQUEST")
    assert "'limt'" in answer.json["detail"]


@pytest.mark.parametrize("route", [r for r in STRICT if r.query], ids=name_of)
async def test_a_parameter_given_twice_is_refused(api: ApiClient, route: Route) -> None:
    query = route.query[0]
    assert not query.often
    answer = await api.get(f"{route.path}?{query.name}=1&{query.name}=2")

    assert answer.status == 400
    assert "more than once" in answer.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        '{"order_id": "A", "order_id": "B"}',
        json.dumps(INVOICE)[:-1] + ', "order_id": "other"}',
        json.dumps(INVOICE).replace('"rate"', '"rate": 600, "rate"'),
        '{"order_id": "A", "order\\u005fid": "B"}',
    ],
)
async def test_a_name_that_stands_twice_in_an_object_is_refused(
    api: ApiClient, node: FakeNode, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api.call("POST", "/v1/invoices", headers=headers, data=body)

    assert answer.status == 400, answer.json
    assert "stands twice" in answer.json["detail"]
    assert node.drafts == []


async def test_a_name_that_stands_twice_among_many_is_found_in_no_time(api: ApiClient) -> None:
    names = ", ".join(f'"{number:06}": 1' for number in range(60_000))
    began_s = time.monotonic()
    headers = {"Content-Type": "application/json"}
    body = f'{{{names}, "z": 1, "z": 2}}'
    answer = await api.call("POST", "/v1/invoices", headers=headers, data=body)

    assert "'z' stands twice" in answer.json["detail"]
    assert time.monotonic() - began_s < 5  # the square of 20,000 names took 10 s


async def test_who_expects_what_there_is_not_is_told_by_a_problem(api: ApiClient) -> None:
    headers = {"Content-Type": "application/json", "Expect": "200-ok"}
    answer = await api.call("POST", "/v1/invoices", headers=headers, data="{}")

    assert (answer.status, answer.json["code"]) == (417, "EXPECTATION_FAILED")
    assert "X-Request-Id" in answer.headers


async def test_so_is_who_expects_it_where_nothing_is(api: ApiClient) -> None:
    answer = await api.call("GET", "/v1/nothing", headers={"Expect": "200-ok"})

    assert (answer.status, answer.json["code"]) == (417, "EXPECTATION_FAILED")
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_whoever_has_any_copy_is_sent_none(api: ApiClient) -> None:
    assert (await api.get("/openapi.json", headers={"If-None-Match": "*"})).status == 304
    assert (await api.get("/openapi.json", headers={"If-None-Match": ""})).status == 200


async def test_the_description_tells_headers_and_schemas(api: ApiClient) -> None:
    document: Any = (await api.get("/openapi.json", scope=None)).json
    for methods in document["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert content["schema"]
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"]
                assert ("Retry-After" in response["headers"]) is (status in {"429", "503", "507"})
                assert all(content["schema"] for content in response.get("content", {}).values())

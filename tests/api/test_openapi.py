"""The API description: valid OpenAPI 3.1, and true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from node.api.errors import API_CODES
from node.ledger.codes import CODE_TEXTS, Code
from node.ledger.rulebook import RULEBOOK
from node.runtime.routes import ROUTES
from tests.api.client import ApiClient


@pytest.fixture
async def document(api: ApiClient) -> Any:
    return (await api.get("/openapi.json", scope=None)).json


async def test_document_is_valid_openapi_3_1(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()

    assert document["openapi"].startswith("3.1")


async def test_every_route_is_described_and_nothing_else(document: Any) -> None:
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    served = {(r.method, re.sub(r":[^}]*}", "}", r.path)) for r in ROUTES}

    assert described == served


async def test_every_code_stands_in_the_description(document: Any) -> None:
    text = document["info"]["description"]

    for name in [*(code.name for code in Code), *API_CODES]:
        assert f"| {name} |" in text
    assert set(CODE_TEXTS) == set(Code)


async def test_a_write_names_what_its_operation_is_refused_with(document: Any) -> None:
    """As its law says, and so for every operation that a client may write."""
    by_name = {name: kind for kind, name in RULEBOOK.names.items()}
    written = {route.operation for route in ROUTES if route.operation is not None}
    by_node = {"discrepancy", "act_for_retired"}
    assert written | by_node == by_name.keys()
    for route in ROUTES:
        if route.operation is None:
            continue
        path = re.sub(r":[^}]*}", "}", route.path)
        codes = document["paths"][path]["post"]["responses"]["409"]["x-codes"]
        named = {code.name for code in RULEBOOK.refusals[by_name[route.operation]]}
        assert named < set(codes) <= set(Code.__members__)


async def test_every_error_is_a_problem_and_every_token_route_names_its_scope(
    document: Any,
) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path not in {"/livez", "/readyz"}:
                    page = ["text/html"] if path == "/verify" and status == "400" else []
                    assert list(response["content"]) == [*page, "application/problem+json"]
            scopes = operation["security"]
            assert bool(scopes) is ("401" in operation["responses"])


async def test_schemas_of_writes_refuse_unknown_fields(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for route in ROUTES:
        if route.body is not None:
            assert schemas[route.body.__name__]["additionalProperties"] is False


async def test_openapi_needs_no_token(api: ApiClient) -> None:
    assert (await api.get("/openapi.json", scope=None)).status == 200

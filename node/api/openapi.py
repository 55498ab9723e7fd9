"""The OpenAPI 3.1 document, made from the routes. Owns its assembly; knows no handler.

Request bodies are pydantic models and answers msgspec Structs; both give JSON Schema 2020-12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from node.api.body import Body, EmptyBody
from node.api.errors import API_CODES, PROBLEM_TYPE, Problem
from node.api.routing import Query, Route
from node.ledger.codes import CODE_TEXTS, Code
from node.ledger.rulebook import RULEBOOK

_REFERENCE = "#/components/schemas/{}"
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_WITH_TOKEN = (401, 403, 429)
_ALWAYS = (400, 421)
_SCHEME = "token"
_COOKIE_SCHEME = "session"
PathParameter = tuple[str, Mapping[str, object]]
"""What it is, and its schema."""
_PARAMETERS: Mapping[str, PathParameter] = {
    "id": ("Transaction id.", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    "height": ("Height of the block.", {"type": "integer", "minimum": 1}),
    "participant": (
        "Unified social credit code.",
        {"type": "string", "pattern": "^[0-9A-Z]{18}$"},
    ),
    "key": ("Public key.", {"type": "string", "pattern": "^[0-9a-f]{64}$"}),
    "path": ("Rest of the C2SP tile path.", {"type": "string"}),
}
_RETRIED = (429, 503, 507)
_HEADERS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "X-Request-Id": (
        "That of the request, if it had one; else a new one. The log names it with a failure.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    ),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 1}),
    "ETag": (
        "Names the content: sent as If-None-Match, it is answered 304 while nothing changed.",
        {"type": "string"},
    ),
    "Location": ("Where the transaction can be asked for.", {"type": "string"}),
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request answers the same again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}


def openapi_document(
    routes: Sequence[Route], version: str, parameters: Mapping[str, PathParameter]
) -> dict[str, Any]:
    """The document of these routes, in the order of their paths.

    Args:
        routes: Of the core and of the network's domains.
        version: Of this program.
        parameters: What stands in the paths of domains, by name.
    """
    known = {**_PARAMETERS, **parameters}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PATH_PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Piaolian node",
            "version": version,
            "description": _description(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(routes),
            "headers": {
                name: {"description": description, "schema": schema}
                for name, (description, schema) in _HEADERS.items()
            },
            "securitySchemes": {
                _SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token has a scope: read, operate or admin; each includes "
                    "the ones before. An operation names the scope it needs.",
                },
                _COOKIE_SCHEME: {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "piaolian-*",
                    "description": "The cookie of this node's own pages, by a one-time link that "
                    "`piaolian open` prints. It has a scope too, and counts for requests of the "
                    "same origin only; writes carry `X-Piaolian-Page`.",
                },
            },
        },
    }


def _description() -> str:
    lines = [
        "JSON API of one node of an invoice ledger. Amounts are integers of the currency's minor",
        "unit, times RFC 3339 UTC, hashes lower-case hex. A query parameter that an operation does",
        "not name, or a name that stands twice in a JSON object, is refused. HEAD works wherever",
        "GET does, but for the event stream. Errors are RFC 9457 problems whose `code` is one of",
        "these:",
        "",
        "| code | number | meaning | 含义 |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {code.name} | {int(code)} | {en} | {zh} |" for code, (en, zh) in CODE_TEXTS.items()
    ]
    lines += [f"| {name} | | {en} | {zh} |" for name, (en, zh) in API_CODES.items()]
    return "\n".join(lines)


def _operation(route: Route, parameters: Mapping[str, PathParameter]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id or _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            *_path_parameters(route.path, parameters),
            *map(_query_parameter, route.query),
        ],
        "responses": _responses(route),
        "security": _security(route),
    }
    if route.body is not None:
        operation["parameters"].append(_IDEMPOTENCY)
        operation["requestBody"] = {
            "required": not issubclass(route.body, EmptyBody),
            "content": {"application/json": {"schema": _reference(route.body.__name__)}},
        }
    elif route.binary:
        operation["requestBody"] = {
            "required": True,
            "content": {name: {"schema": _bytes_of(name)} for name in route.binary},
        }
    return operation


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.scope is None:
        return []
    scopes = [route.scope.name.lower()]
    public: list[dict[str, list[str]]] = [{}] if route.public_read else []
    return [*public, {_SCHEME: scopes}, {_COOKIE_SCHEME: scopes}]


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", _PATH_PARAMETER.sub(r"by_\1", route.path))
    page = [] if words[0] == "v1" or route.answers.get(200) != "text/html" else ["page"]
    return "_".join([route.method.lower(), *(word for word in words if word != "v1"), *page])


def _path_parameters(path: str, known: Mapping[str, PathParameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": known[name][0],
            "schema": known[name][1],
        }
        for name in _PATH_PARAMETER.findall(path)
    ]


def _query_parameter(query: Query) -> dict[str, Any]:
    return {
        "name": query.name,
        "in": "query",
        "required": False,
        "description": query.description,
        "schema": query.schema,
    }


def _responses(route: Route) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in route.answers.items():
        content = (
            {answer: {"schema": _bytes_of(answer)}}
            if isinstance(answer, str)
            else {"application/json": {"schema": _reference(answer.__name__)}}
        )
        if status in route.also:
            content[route.also[status]] = {"schema": _bytes_of(route.also[status])}
        if status == HTTPStatus.BAD_REQUEST:  # of a page; its address and Host are still checked
            content[PROBLEM_TYPE] = {"schema": _reference(Problem.__name__)}
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(route, status),
            "content": content,
        }
    if _is_tagged(route):
        responses["304"] = {
            "description": HTTPStatus(304).phrase,
            "headers": _headers(route, 304),
        }
    for status in _problem_statuses(route):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(route, status),
            "content": {PROBLEM_TYPE: {"schema": _reference(Problem.__name__)}},
        }
    if route.operation is not None:
        refused = responses[str(int(HTTPStatus.CONFLICT))]
        refused["description"] += ": refused by a rule, with one of the codes of `x-codes`"
        refused["x-codes"] = refusals_of(route.operation)
    return responses


def refusals_of(operation: str) -> list[str]:
    """Names of the codes with which the ledger may refuse an operation, as its law says."""
    (kind,) = (kind for kind, name in RULEBOOK.names.items() if name == operation)
    codes = {*RULEBOOK.refusals[kind], Code.KEY_SCOPE, Code.RULE_FAULT}
    if kind in RULEBOOK.open_to_keys:
        codes.add(Code.PARTY_SIGNATURE_INVALID)
    return [code.name for code in sorted(codes)]


def _bytes_of(content_type: str) -> dict[str, str]:
    """The schema of content that is no JSON: text, or bytes as they are."""
    if content_type.startswith("text/") or content_type == "application/openmetrics-text":
        return {"type": "string"}
    if content_type == "application/json":
        return {"type": "object"}
    return {"type": "string", "format": "binary", "contentMediaType": content_type}


def _is_tagged(route: Route) -> bool:
    return route.method == "GET" and route.answers.get(200) != "text/event-stream"


def _headers(route: Route, status: int) -> dict[str, Any]:
    """The headers of an answer, by name."""
    names = ["X-Request-Id"]
    if status in _RETRIED:
        names.append("Retry-After")
    if status in {200, 304} and _is_tagged(route):
        names.append("ETag")
    if status in {201, 202} and getattr(route.answers.get(status), "located", False):
        names.append("Location")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem_statuses(route: Route) -> Iterable[int]:
    statuses = {*_ALWAYS, *route.refusals, 403}
    if route.scope is not None:
        statuses.update(_WITH_TOKEN)
    return sorted(statuses - set(route.answers))


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    bodies: dict[str, type[Body]] = {
        route.body.__name__: route.body for route in routes if route.body is not None
    }
    answers = {
        answer.__name__: answer
        for route in routes
        for answer in route.answers.values()
        if not isinstance(answer, str)
    }
    _, made = models_json_schema(
        [(model, "validation") for model in bodies.values()],
        ref_template=_REFERENCE.replace("{}", "{model}"),
    )
    _, structs = msgspec.json.schema_components(
        [Problem, *answers.values()], ref_template=_REFERENCE.format("{name}")
    )
    schemas = dict(made["$defs"])
    clash = schemas.keys() & structs.keys()
    assert not clash, f"two schemas share a name: {clash}"
    return dict(sorted({**schemas, **structs}.items()))


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(name)}

"""All routes, and files of pages: the core's and those of domains. Owns none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from node.api import chain, events, pages, public_log, system, transactions
from node.api.openapi import PathParameter, openapi_document
from node.api.routing import Asset, Route
from node.domains.description import Domain
from node.runtime.domains import DOMAINS

_CORE: tuple[Route, ...] = (
    *system.ROUTES,
    *transactions.ROUTES,
    *chain.ROUTES,
    *public_log.ROUTES,
    *events.ROUTES,
    *pages.ROUTES,
)


def routes_of(domains: Sequence[Domain]) -> tuple[Route, ...]:
    """The core's, then those of the domains, in the order in which paths are tried."""
    return (*_CORE, *(route for domain in domains for route in domain.routes()))


def description(domains: Sequence[Domain], version: str) -> dict[str, Any]:
    """The OpenAPI document of a network with these domains."""
    parameters: dict[str, PathParameter] = {}
    for domain in domains:
        _join(parameters, domain.parameters(), domain.name)
    return openapi_document(routes_of(domains), version, parameters)


def _join(
    parameters: dict[str, PathParameter], more: Mapping[str, PathParameter], domain: str
) -> None:
    twice = parameters.keys() & more.keys()
    assert not twice, f"{domain}: another domain has path parameters of these names too: {twice}"
    parameters.update(more)


def pages_of(domains: Sequence[Domain]) -> tuple[Route, ...]:
    """What only browsers ask for."""
    return pages.pages_of(path for domain in domains for path in domain.page_paths)


def assets_of(domains: Sequence[Domain]) -> Mapping[str, Asset]:
    """Every file of the pages, by its path below `/static/`."""
    folders = [(domain.name, domain.pages) for domain in domains if domain.pages is not None]
    return pages.assets(tuple(folders))


@lru_cache(maxsize=4)
def document(domains: tuple[Domain, ...], version: str) -> bytes:
    """As `description`, encoded; made once."""
    return msgspec.json.encode(description(domains, version))


ROUTES = routes_of(DOMAINS)
"""Of every domain that this program knows."""
PAGES = pages_of(DOMAINS)
PAGE_PATHS = tuple(route.path for route in PAGES if route.summary == "A page")

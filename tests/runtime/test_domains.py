"""The list of domains, and that of laws: the same names; nothing of two domains meets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node.domains.description import Domain, Installed, Serving
from node.following.outcomes import NotDisclosableError
from node.ledger.rulebook import RULEBOOK
from node.runtime.domains import DOMAINS
from node.runtime.installed import InstalledDomains
from node.runtime.routes import ROUTES, description


def test_domains_and_laws_have_the_same_names() -> None:
    assert [domain.name for domain in DOMAINS] == [law.name for law in RULEBOOK.laws]


def test_no_route_stands_twice() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_the_routes_of_each_domain_stand_behind_the_core_s() -> None:
    of_domains = [route for domain in DOMAINS for route in domain.routes()]

    assert list(ROUTES[-len(of_domains) :]) == of_domains


def test_two_domains_do_not_describe_one_path_parameter() -> None:
    with pytest.raises(AssertionError, match="path parameters of these names"):
        description((*DOMAINS, DOMAINS[0]), "test")


def test_the_command_line_loads_no_server_and_no_storage() -> None:
    """`--help` is asked for often, and by scripts."""
    heavy = ("aiohttp", "pydantic", "sqlite3", "httpx")
    code = f"import sys, node.command; print([m for m in {heavy!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"


async def test_the_first_domain_that_can_discloses() -> None:
    def domain(name: str, discloser: object) -> Domain:
        return Domain(
            name=name,
            commands=lambda _: None,
            routes=tuple,
            install=lambda _: Installed(discloser=discloser),  # type: ignore[arg-type]
        )

    class Refuses:
        async def disclose(self, *_: object) -> list[str]:
            raise NotDisclosableError("not mine")

    class Shows:
        async def disclose(self, *_: object) -> list[str]:
            return ["shown"]

    def discloser(*parts: object) -> object:
        return InstalledDomains([domain("a", part) for part in parts], None).discloser  # type: ignore[arg-type]

    async def disclosed(*parts: object) -> object:
        return await discloser(*parts).disclose(None, 1, ("/lines/0",), None)  # type: ignore[attr-defined]

    assert await disclosed(None, Refuses(), Shows()) == ["shown"]
    with pytest.raises(NotDisclosableError, match="not mine"):
        await disclosed(Refuses())
    with pytest.raises(NotDisclosableError, match="no domain"):
        await disclosed(None)


def test_services_of_two_domains_must_differ() -> None:
    domain = Domain(
        name="a",
        commands=lambda _: None,
        routes=tuple,
        install=lambda _: Installed(serve=lambda _: Serving(services={"same": 1})),
    )

    with pytest.raises(AssertionError, match="services of two domains"):
        InstalledDomains([domain, domain], None).serve(None)  # type: ignore[arg-type]

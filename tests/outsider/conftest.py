"""The proofs that every verifier is shown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.outsider.proofs import Collection, of_a_history, with_disclosures


@pytest.fixture(scope="package")
def collections(tmp_path_factory: pytest.TempPathFactory) -> list[Collection]:
    """200 proofs."""

    async def make() -> list[Collection]:
        def folder() -> Path:
            return tmp_path_factory.mktemp("ledger")

        histories = [
            await of_a_history(folder(), voters, blocks, count)
            for voters, blocks, count in ((1, 5, 15), (3, 60, 35), (4, 120, 50), (7, 40, 30))
        ]
        return [*histories, await with_disclosures(folder() / "net", 70)]

    return asyncio.run(make())

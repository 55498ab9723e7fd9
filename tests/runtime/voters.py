"""A voter's parts as its daemon puts them together, over files of a test; nothing is started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from node.custody.keystore import INTERACTIVE, KeyFile, NodeKeys, save_keys
from node.runtime.files import open_files
from node.runtime.given import Given
from node.runtime.parts import VoterParts, build_parts
from node.runtime.serving import Services, build_services
from node.services.voter_health import VoterHealth
from node.storage.marker import MARKER_FILE, Marker
from node.system.config import ApiSection, KeysSection, NodeConfig, NodeSection, P2pSection
from tests.chain.network import AUTHOR, make_genesis, seed

NODE = "bureau"
PASSPHRASE = b"passphrase"


@asynccontextmanager
async def built_voter(folder: Path) -> AsyncIterator[VoterParts]:
    """The parts of the first voter, with an empty ledger."""
    given = made_voter(folder)
    async with AsyncExitStack() as closing:
        yield build_parts(given, await open_files(given, closing))


@asynccontextmanager
async def built_services(folder: Path) -> AsyncIterator[tuple[VoterParts, Services]]:
    """The same, with what programs and domains do there."""
    given = made_voter(folder)
    async with AsyncExitStack() as closing:
        files = await open_files(given, closing)
        parts = build_parts(given, files)
        role = VoterHealth(
            given.identity.voters, parts.following, parts.ordering.consensus, parts.rejoining
        )
        yield parts, build_services(given, files, parts, role)


def made_voter(folder: Path) -> Given:
    """What the first voter is made from, its keys and marker in `folder`."""
    keys = NodeKeys(
        identity=seed(f"{NODE}/identity"),
        cosign=seed(f"{NODE}/cosign"),
        origin=seed(f"{NODE}/origin"),
        signing=seed("author/signing"),
        sealing=seed("author/sealing"),
    )
    save_keys(folder / "keys", keys, PASSPHRASE, INTERACTIVE)
    data = folder / "data"
    data.mkdir()
    Marker.make(data / MARKER_FILE)
    config = NodeConfig(
        node=NodeSection(
            name=NODE, participant=AUTHOR, network=folder / "network.toml", data_dir=data
        ),
        keys=KeysSection(file=folder / "keys"),
        p2p=P2pSection(),
        api=ApiSection(token_dir=folder),
    )
    return Given.of(config, make_genesis(), KeyFile.open(folder / "keys", PASSPHRASE))

"""Which node a command talks to: `node.toml`, its API address and its tokens."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from node.cli.client import ApiClient
from node.cli.errors import UsageError

if TYPE_CHECKING:
    from node.system.config import NodeConfig

Scope = Literal["read", "operate", "admin"]
_TOKEN_BYTES_MAX = 4_096


def find_config(given: Path | None) -> Path:
    """The configuration file: as given, else the first that exists of the usual places.

    Raises:
        UsageError: there is none.
    """
    if given is not None:
        return given
    import platformdirs

    places = [
        Path("node.toml"),
        Path(platformdirs.user_config_dir("piaolian")) / "node.toml",
        Path("/etc/piaolian/node.toml"),
    ]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise UsageError(f"no configuration: pass --config, or set PIAOLIAN_CONFIG (not at {looked})")


def load(given: Path | None) -> NodeConfig:
    """The configuration of the node that a command is about.

    Raises:
        UsageError: there is none.
        ConfigError: it cannot be used.
    """
    from node.system.config import load_config

    return load_config(find_config(given))


def connect(
    given: Path | None,
    scope: Scope = "read",
    *,
    timeout_s: float = 70.0,
    patience_s: float = 0.0,
) -> ApiClient:
    """A client with the token of `scope`.

    Raises:
        UsageError, ConfigError, KeyFileError: nothing to connect with.
    """
    return client_of(load(given), scope, timeout_s=timeout_s, patience_s=patience_s)


def client_of(
    config: NodeConfig,
    scope: Scope,
    *,
    timeout_s: float = 70.0,
    patience_s: float = 0.0,
    on_busy: Callable[[float], None] = lambda _: None,
) -> ApiClient:
    """A client of the node with this configuration; arguments as `ApiClient`'s.

    Raises:
        KeyFileError: the token file is missing or open to others.
    """
    from node.custody.keystore import read_private

    host, port = api_address(config)
    token = read_private(config.api.token_dir / f"{scope}.token", _TOKEN_BYTES_MAX)
    return ApiClient(
        host,
        port,
        token.decode("ascii").strip(),
        timeout_s=timeout_s,
        patience_s=patience_s,
        on_busy=on_busy,
    )


def api_address(config: NodeConfig) -> tuple[str, int]:
    """Host and port at which this machine reaches the API."""
    from node.system.config import split_address

    host, port = split_address(config.api.listen)
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    return local.get(host, host), port


def clean_environment() -> dict[str, str]:
    """This environment without overrides of `node.toml`: those of one node would hit all."""
    return {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("PIAOLIAN_") and "__" in name)
    }

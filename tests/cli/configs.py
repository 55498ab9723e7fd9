"""The `node.toml` of a node that a test stands in for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from node.custody.keystore import write_private


def write_config(folder: Path, participant: str, port: int, tokens: Mapping[str, str]) -> Path:
    """A configuration whose API is at `port`, with token files by scope; its path."""
    for scope, token in tokens.items():
        write_private(folder / f"{scope}.token", token.encode())
    file = folder / "node.toml"
    file.write_text(
        f"""
        [node]
        name = "issuer"
        participant = "{participant}"
        network = "network.toml"
        data_dir = "data"
        [keys]
        file = "keys"
        [p2p]
        [api]
        listen = "127.0.0.1:{port}"
        token_dir = "."
        """
    )
    return file

"""`node.toml`: what is local to one node. Owns its shape, checks and environment overrides.

Knows nothing of the genesis (`network.toml`, equal everywhere) nor of any key. An unknown key is
fatal. `PIAOLIAN_<SECTION>__<KEY>` overrides one value, for example `PIAOLIAN_API__LISTEN`.
Relative paths are relative to the file, so that a node's folder can be moved.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import override

from node.system.toml_text import TomlError, read_toml

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
Address = Annotated[str, StringConstraints(pattern=f"^{ADDRESS.pattern}$")]
"""`host:port`, or `[IPv6]:port`."""

_PREFIX = "PIAOLIAN_"
_NAME_MAX = 64
_OTHER_VARIABLES = frozenset({"PIAOLIAN_CONFIG", "PIAOLIAN_LANG", "PIAOLIAN_TRACEBACK"})
"""Variables of the command line, which are no settings of a node."""
_SERVICE_LINK = re.compile(
    r"PIAOLIAN(_[A-Z0-9]+)*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT(_[0-9]+_(TCP|UDP|SCTP)"
    r"(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes and Docker's links set in a container beside a service named `piaolian…`."""
CONFIG_BYTES_MAX = 1 << 20
PEERS_MAX = 64


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the file and the key."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSection(_Section):
    """Who this node is and where it keeps its files."""

    name: NodeName
    """Its name; a voter's is in the genesis."""
    kind: Literal["voter", "observer"] = "voter"
    """An observer follows the ledger and serves programs; it neither votes nor signs blocks."""
    participant: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")]
    """The unified social credit code it signs for."""
    network: Path
    """Path of `network.toml`."""
    data_dir: Path
    """Folder of the databases; made on first start."""


class KeysSection(_Section):
    """The encrypted key file."""

    file: Path
    passphrase_file: Path | None = None
    """Absent: asked on the terminal."""


class PeerSection(_Section):
    """Where another node listens for peers."""

    node: NodeName
    address: Address


class P2pSection(_Section):
    """The peer-to-peer listener and the known peers."""

    listen: Address = "127.0.0.1:7101"
    peers: Annotated[tuple[PeerSection, ...], Field(max_length=PEERS_MAX)] = ()


class ApiSection(_Section):
    """The HTTP API for local programs."""

    listen: Address = "127.0.0.1:8101"
    token_dir: Path
    """Folder with `read.token`, `operate.token`, `admin.token`."""
    expose: bool = False
    """Allow `listen` beyond loopback. The API speaks plain HTTP: put it behind a proxy, or
    publish it on the host's loopback only, as the compose file does."""
    allowed_hosts: tuple[str, ...] = ()
    """Values of the Host header that are accepted besides loopback and `listen`."""
    public_url: (
        Annotated[
            str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.:\[\]/_~-]+$", max_length=200)
        ]
        | None
    ) = None
    """Where people with a paper invoice reach this node's check page, through a proxy: it goes
    into the QR code of every face, and its host is accepted as a Host header."""
    public_read: bool = False
    """Anyone may read the transparency log without a token: `/checkpoint` and `/tile/…`."""
    allowed_origins: tuple[str, ...] = ()
    """Values of the Origin header that are accepted besides the API's own."""


class LogSection(_Section):
    """Logs go to standard error."""

    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: console on a terminal, else JSON."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class LimitsSection(_Section):
    """Local limits. Limits that rules use stand in the genesis."""

    pool_transactions: Annotated[int, Field(ge=100, le=1_000_000)] = 50_000
    pool_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 32)] = 128 << 20
    outbox_transactions: Annotated[int, Field(ge=100, le=1_000_000)] = 50_000


class RaftSection(_Section):
    """When the Raft log is cut. What is cut off, a node that is behind gets as blocks."""

    snapshot_entries: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    snapshot_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = 64 << 20
    """After so many entries, or so many bytes of them, the present head is named."""
    trailing_entries: Annotated[int, Field(ge=0, le=10_000_000)] = 5_000
    trailing_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 64 << 20
    """Kept below that head, for nodes that are only a little behind: so many entries, fewer if they
    weigh more than that."""


class NodeConfig(BaseSettings):
    """The whole of `node.toml`, checked, with absolute paths. Made by `load_config`."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
    )

    node: NodeSection
    keys: KeysSection
    p2p: P2pSection
    api: ApiSection
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()
    raft: RaftSection = RaftSection()

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; there is no third source."""
        return env_settings, init_settings


def load_config(path: Path) -> NodeConfig:
    """Read `node.toml` and the environment.

    Raises:
        ConfigError: the file is missing, malformed, has an unknown key or an unusable value.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError(f"{path}: is no plain file")  # a FIFO holds whoever opens it
        with path.open("rb") as file:
            text = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # ConfigError is one
        raise (
            error if isinstance(error, ConfigError) else ConfigError(f"{path}: {error}")
        ) from error
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {CONFIG_BYTES_MAX} bytes")
    try:
        document = read_toml(text.decode())
        _check_environment()
        for key in document.keys() - NodeConfig.model_fields.keys():
            raise ConfigError(f"{path}: {key}: unknown key")
        config = NodeConfig(**document)
    except (TomlError, UnicodeDecodeError, SettingsError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from error
    try:
        config = _with_absolute_paths(config, path.resolve().parent)
    except (RuntimeError, ValueError) as error:  # ~user whom there is not; a NUL
        raise ConfigError(f"{path}: {error}") from error
    _check(path, config)
    return config


def _check_environment() -> None:
    """Refuse a variable that names no setting: it would be ignored, and nobody would know.

    Raises:
        ConfigError: naming it.
    """
    sections = NodeConfig.model_fields
    for name in os.environ:
        upper = name.upper()
        if not upper.startswith(_PREFIX) or upper in _OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(name):  # settings have two underscores in a row
            continue
        section, _, key = upper.removeprefix(_PREFIX).lower().partition("__")
        model = sections[section].annotation if section in sections else None
        if not isinstance(model, type) or not issubclass(model, _Section):
            raise ConfigError(f"{name}: there is no such variable{_meant(upper)}")
        if key.partition("__")[0] not in model.model_fields:
            raise ConfigError(
                f"{name}: section {section} has no setting {key or '(none given)'}{_meant(upper)}"
            )


def _meant(variable: str) -> str:
    """The nearest variable that there is, as the end of a message; nothing when none is near."""
    known = [
        f"{_PREFIX}{section}__{key}".upper()
        for section, field in NodeConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section)
        for key in field.annotation.model_fields
    ]
    near = difflib.get_close_matches(variable[:_NAME_MAX], known, n=1, cutoff=0.85)
    return f"; did you mean {near[0]}?" if near else ""


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port of an `Address`."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether a listener on `host` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "file"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key"
    return f"{where}: {problem['msg']}"


def _with_absolute_paths(config: NodeConfig, base: Path) -> NodeConfig:
    def absolute(path: Path) -> Path:
        if "\0" in str(path):
            raise ValueError(f"{str(path)!r} can be no path")
        return (base / path.expanduser()).absolute()

    passphrase = config.keys.passphrase_file
    return config.model_copy(
        update={
            "node": config.node.model_copy(
                update={
                    "network": absolute(config.node.network),
                    "data_dir": absolute(config.node.data_dir),
                }
            ),
            "keys": config.keys.model_copy(
                update={
                    "file": absolute(config.keys.file),
                    "passphrase_file": None if passphrase is None else absolute(passphrase),
                }
            ),
            "api": config.api.model_copy(update={"token_dir": absolute(config.api.token_dir)}),
        }
    )


def _check(path: Path, config: NodeConfig) -> None:
    host, _ = split_address(config.api.listen)
    if not is_loopback(host) and not config.api.expose:
        raise ConfigError(
            f"{path}: api.listen: {config.api.listen} is not loopback; the API is for local "
            "programs. Set api.expose = true only behind a proxy or inside a container"
        )
    names = [peer.node for peer in config.p2p.peers]
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: p2p.peers: a node is named twice")
    if config.node.name in names:
        raise ConfigError(f"{path}: p2p.peers: the node itself is not one of its peers")
    for key, address in (
        ("p2p.listen", config.p2p.listen),
        ("api.listen", config.api.listen),
        *((f"p2p.peers ({peer.node})", peer.address) for peer in config.p2p.peers),
    ):
        if split_address(address)[1] > 65_535:
            raise ConfigError(f"{path}: {key}: port out of range")

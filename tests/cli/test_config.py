"""`node.toml`: what is refused, what the environment overrides, where relative paths point."""

import os
import re
from pathlib import Path

import pytest

from node.api.security import TokenError, _read_token
from node.ledger.genesis import GenesisError
from node.ledger.genesis_file import parse_genesis
from node.runtime.daemon import _load_genesis
from node.setup.cards import CardError, parse_card
from node.system.config import ConfigError, is_loopback, load_config, split_address

MINIMAL = """
[node]
name = "issuer"
participant = "91310115337099624K"
network = "../network.toml"
data_dir = "data"
[keys]
file = "keys"
[p2p]
peers = [{ node = "payer", address = "127.0.0.1:7103" }]
[api]
token_dir = "tokens"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_a_minimal_file_gets_defaults_and_absolute_paths(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL))

    assert config.p2p.listen == "127.0.0.1:7101"
    assert config.api.listen == "127.0.0.1:8101"
    assert config.node.data_dir == tmp_path / "data"
    assert config.node.network.resolve() == tmp_path.parent / "network.toml"
    assert config.keys.passphrase_file is None
    assert config.p2p.peers[0].node == "payer"
    raft = config.raft
    assert (raft.snapshot_entries, raft.snapshot_bytes, raft.trailing_entries) == (
        20_000,
        64 << 20,
        5_000,
    )
    assert raft.trailing_bytes == 64 << 20


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("PIAOLIAN_API__LISTENS", "section api has no setting listens"),
        ("PIAOLIAN_APP__LISTEN", "PIAOLIAN_APP__LISTEN: there is no such variable"),
        ("PIAOLIAN_API_LISTEN", "no such variable; did you mean PIAOLIAN_API__LISTEN?"),
        ("PIAOLIAN_LOG__LEVL", "has no setting levl; did you mean PIAOLIAN_LOG__LEVEL?"),
        ("PIAOLIAN_API", "section api has no setting"),
        ("piaolian_log__levels", "section log has no setting levels"),
    ],
)
def test_a_variable_that_names_no_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "127.0.0.1:9000")

    with pytest.raises(ConfigError, match=re.escape(said)):
        load_config(write(tmp_path, MINIMAL))


@pytest.mark.parametrize(
    "text", [f"a = {'9' * 5_000}", f"a = {'[' * 8_000}{']' * 8_000}", "a = 1979-13-99"]
)
def test_toml_that_cannot_be_read_is_no_internal_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"node\.toml"):
        load_config(write(tmp_path, MINIMAL + text))
    with pytest.raises(CardError, match="card"):
        parse_card(text)
    with pytest.raises(GenesisError, match=r"network\.toml"):
        parse_genesis(text)


def test_the_environment_overrides_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIAOLIAN_API__LISTEN", "127.0.0.1:9000")
    monkeypatch.setenv("PIAOLIAN_KEYS__PASSPHRASE_FILE", "/run/secret")
    monkeypatch.setenv("PIAOLIAN_CONFIG", "/elsewhere/node.toml")  # the command's, no section
    # An orchestrator's, beside a service of this name.
    monkeypatch.setenv("PIAOLIAN_PORT", "tcp://10.0.0.7:8101")
    monkeypatch.setenv("PIAOLIAN_PORT_8101_TCP_ADDR", "10.0.0.7")
    monkeypatch.setenv("PIAOLIAN_API_SERVICE_HOST", "10.0.0.7")
    monkeypatch.setenv("PIAOLIAN_SERVICE_PORT_P2P", "7101")

    config = load_config(write(tmp_path, MINIMAL))

    assert config.api.listen == "127.0.0.1:9000"
    assert config.keys.passphrase_file == Path("/run/secret")


def test_the_environment_can_expose_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIAOLIAN_API__LISTEN", "0.0.0.0:8101")
    path = write(tmp_path, MINIMAL)

    with pytest.raises(ConfigError, match="not loopback"):
        load_config(path)

    monkeypatch.setenv("PIAOLIAN_API__EXPOSE", "true")
    assert load_config(path).api.expose


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[node]", "colour = 1\n[node]"), "colour: unknown key"),
        (("[node]", "[raft]\nsnapshots = 1\n[node]"), "raft.snapshots: unknown key"),
        (("[node]", "[raft]\nsnapshot_entries = 0\n[node]"), "raft.snapshot_entries"),
        (("[node]", "_env_file = 'x'\n[node]"), "_env_file: unknown key"),
        (('name = "issuer"', 'name = "issuer"\nnick = 1'), "node.nick: unknown key"),
        (('name = "issuer"', 'name = "Is suer"'), "node.name"),
        (('name = "issuer"', 'name = "payer"'), "itself is not one of its peers"),
        (("[api]", '[api]\nlisten = "8.8.8.8:80"'), "not loopback"),
        (("[api]", '[api]\nlisten = "nowhere"'), "api.listen"),
        (("[api]", '[api]\nlisten = "127.0.0.1:70000"'), "port out of range"),
        (("[api]", '[log]\nformat = "loud"\n[api]'), "log.format"),
        (("[api]", "[limits]\npool_transactions = 1\n[api]"), "limits.pool_transactions"),
        (('file = "keys"', ""), "keys.file"),
        (("91310115337099624K", "short"), "node.participant"),
        (("[node]", "[node"), "node.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    path = write(tmp_path, MINIMAL.replace(*change))

    with pytest.raises(ConfigError, match=complaint) as caught:
        load_config(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value) or "[node" in change[1]


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "node.toml")
    (tmp_path / "node.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError):
        load_config(tmp_path / "node.toml")


@pytest.mark.parametrize("folder", ["~there-is-no-such-user/data", "a\\u0000b"])
def test_a_path_that_can_be_none_is_refused(tmp_path: Path, folder: str) -> None:
    path = write(tmp_path, MINIMAL.replace('"data"', f'"{folder}"'))
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load_config(path)


def test_what_is_no_plain_file_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigError, match="no plain file"):
        load_config(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="no plain file"):
        _load_genesis(tmp_path / "fifo")
    with pytest.raises(TokenError, match="no plain file"):
        _read_token(tmp_path / "fifo")


def test_of_a_genesis_without_end_no_more_is_read_than_one_can_be(tmp_path: Path) -> None:
    path = tmp_path / "network.toml"
    path.touch()
    os.truncate(path, 64 << 30)
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        _load_genesis(path)


def test_a_peer_cannot_be_named_twice(tmp_path: Path) -> None:
    peer = '{ node = "payer", address = "127.0.0.1:7103" }'
    with pytest.raises(ConfigError, match="twice"):
        load_config(write(tmp_path, MINIMAL.replace(peer, f"{peer}, {peer}")))


@pytest.mark.parametrize(
    ("address", "host", "port", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("127.8.8.8:80", "127.8.8.8", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("localhost:80", "localhost", 80, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("example.org:80", "example.org", 80, False),
    ],
)
def test_addresses_split_and_loopback_is_known(
    address: str, host: str, port: int, loopback: bool
) -> None:
    assert split_address(address) == (host, port)
    assert is_loopback(host) is loopback

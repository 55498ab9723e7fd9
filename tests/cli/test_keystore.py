"""The key file: round trip, tampering, modes, bounds on what is read."""

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from node.custody.keystore import (
    INTERACTIVE,
    KEYS_OF_A_KIND_MAX,
    KdfCost,
    KeyFile,
    KeyFileError,
    NodeKeys,
    WrongPassphraseError,
    copy_keys,
    generate_keys,
    load_keys,
    open_keystore,
    read_passphrase,
    save_keys,
    write_private,
)

PASSPHRASE = b"correct horse"


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, NodeKeys]:
    keys, path = generate_keys(), tmp_path / "keys"
    save_keys(path, keys, PASSPHRASE, INTERACTIVE)
    return path, keys


def test_keys_survive_a_round_trip(saved: tuple[Path, NodeKeys]) -> None:
    path, keys = saved

    assert load_keys(path, PASSPHRASE) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keys"]


def test_no_secret_is_in_the_file_or_in_a_representation(saved: tuple[Path, NodeKeys]) -> None:
    path, keys = saved
    seeds = (keys.identity, keys.cosign, keys.origin, keys.signing, keys.sealing)

    assert len(set(seeds)) == 5
    assert not any(seed in path.read_bytes() for seed in seeds)
    assert repr(keys) == str(keys) == "NodeKeys(…)"


def test_another_passphrase_is_refused(saved: tuple[Path, NodeKeys]) -> None:
    with pytest.raises(WrongPassphraseError, match="wrong passphrase"):
        load_keys(saved[0], b"correct horsf")


@pytest.mark.parametrize("position", [17, 32, 33, 60, 100, -1])
def test_a_flipped_byte_of_salt_nonce_or_box_fails_the_mac(
    saved: tuple[Path, NodeKeys], position: int
) -> None:
    content = bytearray(saved[0].read_bytes())
    content[position] ^= 1
    saved[0].write_bytes(content)

    with pytest.raises(WrongPassphraseError):
        load_keys(saved[0], PASSPHRASE)


@pytest.mark.parametrize(
    ("start", "new", "complaint"),
    [
        (0, b"PKCS", "not a Piaolian key file"),
        (4, b"\x02", "version 2"),
        (5, (11).to_bytes(4, "big"), "cost out of bounds"),
        (5, (1).to_bytes(4, "big"), "cost out of bounds"),
        (9, ((1 << 30) + 1).to_bytes(8, "big"), "cost out of bounds"),
        (9, (1 << 20).to_bytes(8, "big"), "cost out of bounds"),
    ],
)
def test_a_foreign_header_is_refused_before_anything_is_derived(
    saved: tuple[Path, NodeKeys], start: int, new: bytes, complaint: str
) -> None:
    content = bytearray(saved[0].read_bytes())
    content[start : start + len(new)] = new
    saved[0].write_bytes(content)

    with pytest.raises(KeyFileError, match=complaint):
        load_keys(saved[0], PASSPHRASE)


@pytest.mark.parametrize("length", [0, 3, 40, 72])
def test_a_truncated_file_is_refused(saved: tuple[Path, NodeKeys], length: int) -> None:
    saved[0].write_bytes(saved[0].read_bytes()[:length])

    with pytest.raises(KeyFileError):
        load_keys(saved[0], PASSPHRASE)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_refused(saved: tuple[Path, NodeKeys], mode: int) -> None:
    saved[0].chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(saved[0], PASSPHRASE)


def test_a_folder_or_a_huge_file_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        load_keys(tmp_path, PASSPHRASE)
    write_private(tmp_path / "keys", b"PLKS" + bytes(40_000))
    with pytest.raises(KeyFileError, match="larger"):
        load_keys(tmp_path / "keys", PASSPHRASE)


def test_keys_are_never_overwritten(saved: tuple[Path, NodeKeys], tmp_path: Path) -> None:
    before = saved[0].read_bytes()

    with pytest.raises(KeyFileError, match="never overwritten"):
        save_keys(saved[0], generate_keys(), PASSPHRASE, INTERACTIVE)
    with pytest.raises(KeyFileError, match="never overwritten"):
        copy_keys(saved[0], saved[0])

    assert saved[0].read_bytes() == before


def test_a_backup_opens_with_the_same_passphrase(
    saved: tuple[Path, NodeKeys], tmp_path: Path
) -> None:
    copy_keys(saved[0], tmp_path / "backup")
    write_private(tmp_path / "passphrase", PASSPHRASE + b"\r\n")

    assert open_keystore(tmp_path / "backup", tmp_path / "passphrase") == saved[1]


def test_without_a_file_or_a_terminal_there_is_no_passphrase(
    saved: tuple[Path, NodeKeys],
) -> None:
    with pytest.raises(KeyFileError, match="no terminal"):
        open_keystore(saved[0], None)


def test_an_empty_passphrase_file_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "passphrase", b"\n")
    with pytest.raises(KeyFileError, match="empty"):
        read_passphrase(tmp_path / "passphrase")


def test_a_credential_of_systemd_may_show_group_bits(
    saved: tuple[Path, NodeKeys], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved[0].chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(saved[0].parent))

    assert load_keys(saved[0], PASSPHRASE) == saved[1]


def test_the_derivation_cost_is_a_parameter_of_the_file(tmp_path: Path) -> None:
    save_keys(tmp_path / "keys", generate_keys(), PASSPHRASE, KdfCost(3, INTERACTIVE.memory_bytes))

    assert tmp_path.joinpath("keys").read_bytes()[5:9] == (3).to_bytes(4, "big")
    load_keys(tmp_path / "keys", PASSPHRASE)


def test_an_open_file_takes_up_what_another_process_added(
    saved: tuple[Path, NodeKeys],
) -> None:
    running, other = KeyFile.open(saved[0], PASSPHRASE), KeyFile.open(saved[0], PASSPHRASE)
    other.replace(replace(other.keys, more_signing=(bytes(32),), more_sealing=(bytes(32),)))

    assert running.keys == saved[1]
    running.reload()
    assert running.keys == other.keys == load_keys(saved[0], PASSPHRASE)
    assert running.keys.signing_seeds == (saved[1].signing, bytes(32))
    assert stat.S_IMODE(saved[0].stat().st_mode) == 0o600


def test_a_file_full_of_seeds_is_still_read(saved: tuple[Path, NodeKeys]) -> None:
    file = KeyFile.open(saved[0], PASSPHRASE)
    seeds = tuple(bytes([n]) * 32 for n in range(KEYS_OF_A_KIND_MAX - 1))
    file.replace(replace(file.keys, more_signing=seeds, more_sealing=seeds))

    assert load_keys(saved[0], PASSPHRASE).more_sealing == seeds


def test_a_file_made_anew_with_another_passphrase_is_not_taken_up(
    saved: tuple[Path, NodeKeys],
) -> None:
    file = KeyFile.open(saved[0], PASSPHRASE)
    saved[0].unlink()
    save_keys(saved[0], generate_keys(), b"another", INTERACTIVE)

    with pytest.raises(WrongPassphraseError):
        file.reload()
    assert file.keys == saved[1]

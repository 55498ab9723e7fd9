"""Bare keys survive a restart, open nothing without the node's key, and claim keys are checked."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from node.custody import wallet as wallet_module
from node.custody.keyring import Keyring
from node.custody.wallet import (
    ClaimKeyError,
    Wallet,
    WalletError,
    claim_seed,
    claim_text,
    parse_claim_text,
)
from node.ledger.signing import public_key, sign, verify
from node.sealing.format import RANDOM_BYTES, BlobSealer, reader_of_bare, sealing_key
from node.sealing.opener import BlobOpener
from node.storage.outbox import row_crc

NODE = hashlib.sha256(b"node").digest()
SEED = hashlib.sha256(b"claim").digest()


def keyring() -> Keyring:
    return Keyring([hashlib.sha256(b"sealing").digest()])


async def test_keys_survive_a_restart_and_sign_and_read(tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    wallet = await Wallet.open(path, NODE, keyring())
    made = await wallet.make()
    taken = await wallet.add(SEED)
    assert await wallet.add(SEED) == taken == public_key(SEED)
    await wallet.close()
    readers = keyring()
    wallet = await Wallet.open(path, NODE, readers)
    try:
        assert wallet.keys == [made, taken]
        for key in wallet.keys:
            secret = wallet.secret(key)
            assert secret is not None
            assert verify(key, b"m", sign(secret, b"m"))
            reader = reader_of_bare(key)
            assert reader is not None
            sealer = BlobSealer(sealing_key(bytes(range(32))), bytes(RANDOM_BYTES))
            commitment, _ = sealer.add(b'{"a":1}', [reader], bytes(32))
            assert BlobOpener(sealer.seal().blob).open(readers.keys, commitment) is not None
            assert readers.of_bare(key) is not None
        assert wallet.secret(bytes(32)) is None
    finally:
        await wallet.close()


async def test_the_file_holds_no_seed_and_opens_with_the_node_s_key_only(tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    wallet = await Wallet.open(path, NODE, keyring())
    await wallet.add(SEED)
    await wallet.close()
    for file in tmp_path.iterdir():
        assert SEED not in file.read_bytes()
    assert SEED.hex() not in repr(wallet)
    with pytest.raises(WalletError, match="this node's key"):
        await Wallet.open(path, NODE[::-1], keyring())
    with sqlite3.connect(path) as connection:
        other = public_key(bytes(32))
        (sealed,) = connection.execute("SELECT sealed FROM keys").fetchone()
        connection.execute("UPDATE keys SET public = ?, crc = ?", (other, row_crc(other, sealed)))
    connection.close()
    with pytest.raises(WalletError, match="in the place of another"):
        await Wallet.open(path, NODE, keyring())


async def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "wallet.db"
    wallet = await Wallet.open(path, NODE, keyring())
    await wallet.add(SEED)
    await wallet.close()
    whole = path.read_bytes()
    seed_at = whole.index(public_key(SEED)) + 40
    page = int.from_bytes(whole[16:18], "big")
    harmed = {
        "no database": b"not a database" * 100,
        "a byte of a key": whole[:seed_at] + bytes([whole[seed_at] ^ 1]) + whole[seed_at + 1 :],
        "a page of noise": whole[:page] + b"\xff" * (len(whole) - page),
        "the half": whole[: len(whole) // 2],
    }
    for what, content in harmed.items():
        path.write_bytes(content)
        with pytest.raises(WalletError) as caught:
            await Wallet.open(path, NODE, keyring())
        text = str(caught.value)
        assert text.startswith(f"{path} does not open ("), what
        assert "backup" in text, what
        assert "\n" not in text, what


async def test_a_wallet_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_module, "KEYS_MAX", 2)
    wallet = await Wallet.open(tmp_path / "wallet.db", NODE, keyring())
    try:
        await wallet.make()
        await wallet.add(SEED)
        with pytest.raises(WalletError, match="no more"):
            await wallet.make()
        assert await wallet.add(SEED) == public_key(SEED)
    finally:
        await wallet.close()


def test_the_claim_key_of_an_order_is_the_same_again_and_another_for_another() -> None:
    one, two = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    assert claim_seed(NODE, one) == claim_seed(NODE, one)
    assert len({claim_seed(NODE, one), claim_seed(NODE, two), claim_seed(NODE[::-1], one)}) == 3


def test_a_claim_key_is_read_however_it_was_typed() -> None:
    text = claim_text(SEED)
    assert text.startswith("plck1-")
    for typed in (text, text.upper(), text.replace("-", ""), f"  {text.replace('-', ' ')}\n"):
        assert parse_claim_text(typed) == SEED


def test_every_mistyped_letter_of_a_claim_key_is_noticed() -> None:
    text = claim_text(SEED)
    for at, letter in enumerate(text):
        for other in "a7z1é":
            if other != letter and letter != "-":
                with pytest.raises(ClaimKeyError):
                    parse_claim_text(text[:at] + other + text[at + 1 :])
        if letter != "-":
            with pytest.raises(ClaimKeyError):
                parse_claim_text(text[:at] + text[at + 1 :])
    for wrong in ("", "plck1", "plck2-" + text[6:], text + "a", "plck1-" + "a" * 90, text * 3):
        with pytest.raises(ClaimKeyError):
            parse_claim_text(wrong)

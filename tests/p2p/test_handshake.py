"""The handshake: who gets keys, and what ends it (p2p-and-reliability.md §5, rows 1–5)."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import Callable

import pytest
from nacl.bindings import crypto_scalarmult_base
from noise.connection import Keypair, NoiseConnection
from noise.state import CipherState

from p2p.errors import CloseCode, HandshakeError, LocalProtocolError
from p2p.frames import Opener, Sealer
from p2p.handshake import (
    MESSAGE_2_BYTES,
    MESSAGE_3_BYTES,
    VERSION,
    Dialler,
    Listener,
    Local,
    Role,
    Secrets,
    prologue,
    static_statement,
)
from p2p.identity import Identity, verify
from p2p.types import Link, PeerId
from tests.p2p.support import NETWORK_ID, local, peer_id, signing_key

NOISE_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
KNOWN = {peer_id(1), peer_id(2)}

# Points of small order on Curve25519 (Bernstein, "Curve25519", section on contributory behaviour;
# the list libsodium refuses), little-endian.
LOW_ORDER_POINTS = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


def shake(
    dialler: Dialler, listener: Listener, alter: Callable[[int, bytes], bytes] = lambda _, m: m
) -> tuple[Secrets, Secrets]:
    """Run a handshake; `alter` sees every message on its way."""
    answer = listener.answer(alter(1, dialler.hello()))
    message, ours = dialler.finish(alter(2, answer))
    return ours, listener.finish(alter(3, message))


def test_both_sides_agree_on_keys_identities_and_hash() -> None:
    one, two = shake(Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN))
    assert (one.peer, two.peer) == (peer_id(2), peer_id(1))
    assert (one.send_key, one.receive_key) == (two.receive_key, two.send_key)
    assert one.send_key != one.receive_key
    assert one.handshake_hash == two.handshake_hash


def test_another_ephemeral_key_gives_other_transport_keys() -> None:
    first, _ = shake(Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN))
    fresh = Local(Identity(signing_key(1)), NETWORK_ID, Link.GOSSIP, b"\x05" * 32, b"\x06" * 32)
    second, _ = shake(Dialler(fresh, peer_id(2)), Listener(local(2), KNOWN))
    assert first.send_key != second.send_key


def test_dialler_reveals_nothing_to_another_known_peer() -> None:
    dialler, listener = Dialler(local(1), peer_id(3)), Listener(local(2), KNOWN)
    with pytest.raises(HandshakeError, match="in place of") as caught:
        dialler.finish(listener.answer(dialler.hello()))
    assert caught.value.code is CloseCode.UNKNOWN_IDENTITY


def test_listener_refuses_an_unknown_identity() -> None:
    with pytest.raises(HandshakeError, match="unknown identity") as caught:
        shake(Dialler(local(3), peer_id(2)), Listener(local(2), KNOWN))
    assert caught.value.code is CloseCode.UNKNOWN_IDENTITY


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        pytest.param(local(1, network_id=bytes(32)), "decryption failed", id="other network"),
        pytest.param(local(1, Link.RAFT), "did not sign", id="other link"),
    ],
)
def test_a_dialler_of_another_network_or_link_is_refused(theirs: Local, reason: str) -> None:
    with pytest.raises(HandshakeError, match=reason):
        shake(Dialler(theirs, peer_id(2)), Listener(local(2), KNOWN))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_altered_byte_of_every_message_ends_the_handshake(number: int) -> None:
    size = {1: 32, 2: MESSAGE_2_BYTES, 3: MESSAGE_3_BYTES}[number]
    for position in range(size):

        def alter(which: int, message: bytes, position: int = position) -> bytes:
            if which != number:
                return message
            changed = bytearray(message)
            # Not the top bit: X25519 ignores that one in a public key, though Noise hashes it.
            changed[position] ^= 0x01
            return bytes(changed)

        with pytest.raises(HandshakeError):
            shake(Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN), alter)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("change", [-1, 1, -32, 4_000])
def test_a_message_of_another_length_ends_the_handshake(number: int, change: int) -> None:
    def alter(which: int, message: bytes) -> bytes:
        if which != number:
            return message
        return message[:change] if change < 0 else message + bytes(change)

    with pytest.raises(HandshakeError, match="bytes, not"):
        shake(Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN), alter)


@pytest.mark.parametrize("point", LOW_ORDER_POINTS, ids=lambda p: p.hex()[:8])
@pytest.mark.parametrize("number", [1, 2])
def test_a_point_of_low_order_ends_the_handshake(number: int, point: bytes) -> None:
    def alter(which: int, message: bytes) -> bytes:
        return point + message[32:] if which == number else message

    with pytest.raises(HandshakeError, match="low order"):
        shake(Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN), alter)


def test_steps_out_of_order_or_after_an_error_are_our_own_bug() -> None:
    dialler, listener = Dialler(local(1), peer_id(2)), Listener(local(2), KNOWN)
    with pytest.raises(LocalProtocolError):
        dialler.finish(bytes(MESSAGE_2_BYTES))
    with pytest.raises(LocalProtocolError):
        listener.finish(bytes(MESSAGE_3_BYTES))
    with pytest.raises(HandshakeError):
        listener.answer(b"short")
    with pytest.raises(LocalProtocolError):
        listener.answer(bytes(32))


# --- Interoperation with an independent implementation of Noise ------------------------------


def noise_peer(number: int, *, initiator: bool, network_id: bytes = NETWORK_ID) -> NoiseConnection:
    noise = NoiseConnection.from_name(NOISE_NAME)
    if initiator:
        noise.set_as_initiator()
    else:
        noise.set_as_responder()
    noise.set_prologue(prologue(network_id))
    noise.set_keypair_from_private_bytes(Keypair.STATIC, bytes([number, 1] * 16))
    noise.start_handshake()
    return noise


def static_public(noise: NoiseConnection) -> bytes:
    public: bytes = noise.noise_protocol.keypairs["s"].public_bytes
    return public


def payload(
    number: int,
    role: Role,
    static: bytes,
    *,
    version: int = VERSION,
    link: Link = Link.GOSSIP,
    network_id: bytes = NETWORK_ID,
    claimed: PeerId | None = None,
) -> bytes:
    signature = Identity(signing_key(number)).sign(static_statement(role, link, network_id, static))
    return version.to_bytes(2, "big") + (claimed or peer_id(number)) + signature


def transport_keys(noise: NoiseConnection) -> tuple[bytes, bytes]:
    protocol = noise.noise_protocol
    return protocol.cipher_state_encrypt.k, protocol.cipher_state_decrypt.k


def test_our_dialler_shakes_hands_with_noiseprotocol() -> None:
    noise = noise_peer(2, initiator=False)
    dialler = Dialler(local(1), peer_id(2))
    assert noise.read_message(dialler.hello()) == b""
    answer = bytes(noise.write_message(payload(2, Role.LISTENER, static_public(noise))))
    message, keys = dialler.finish(answer)
    assert keys.peer == peer_id(2)
    assert keys.remote_static == static_public(noise)
    theirs = bytes(noise.read_message(message))
    assert theirs[2:34] == peer_id(1)
    static = crypto_scalarmult_base(local(1).static_secret)
    statement = static_statement(Role.DIALLER, Link.GOSSIP, NETWORK_ID, static)
    assert verify(peer_id(1), statement, theirs[34:])
    assert noise.handshake_finished
    assert transport_keys(noise) == (keys.receive_key, keys.send_key)
    assert noise.get_handshake_hash() == keys.handshake_hash


def test_our_listener_shakes_hands_with_noiseprotocol() -> None:
    noise = noise_peer(1, initiator=True)
    listener = Listener(local(2), KNOWN)
    theirs = bytes(noise.read_message(listener.answer(bytes(noise.write_message()))))
    assert theirs[2:34] == peer_id(2)
    message = bytes(noise.write_message(payload(1, Role.DIALLER, static_public(noise))))
    keys = listener.finish(message)
    assert keys.peer == peer_id(1)
    assert noise.handshake_finished
    assert transport_keys(noise) == (keys.receive_key, keys.send_key)
    assert noise.get_handshake_hash() == keys.handshake_hash


def rekey(state: CipherState) -> None:
    state.rekey()
    state.cipher.initialize(state.k)  # which noiseprotocol forgets


def test_our_records_are_transport_messages_of_noiseprotocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("p2p.frames.REKEY_RECORDS", 5)
    noise = noise_peer(2, initiator=False)
    dialler = Dialler(local(1), peer_id(2))
    noise.read_message(dialler.hello())
    message, keys = dialler.finish(
        bytes(noise.write_message(payload(2, Role.LISTENER, static_public(noise))))
    )
    noise.read_message(message)
    protocol = noise.noise_protocol
    sealer, opener = Sealer(keys.send_key), Opener(keys.receive_key)
    for number in range(1, 18):
        plaintext = number.to_bytes(2, "big") * (1 if number % 2 else 30_000)
        assert bytes(noise.decrypt(sealer.seal(plaintext))) == plaintext
        assert opener.open(bytes(noise.encrypt(plaintext))) == plaintext
        if number % 5 == 0:
            rekey(protocol.cipher_state_encrypt)
            rekey(protocol.cipher_state_decrypt)


FORGERIES = {
    "a signature over another static key": lambda s: payload(1, Role.DIALLER, bytes(32)),
    "a signature for the other role": lambda s: payload(1, Role.LISTENER, s),
    "a signature for another link": lambda s: payload(1, Role.DIALLER, s, link=Link.RAFT),
    "a signature for another network": lambda s: payload(
        1, Role.DIALLER, s, network_id=b"\xff" * 32
    ),
    "a known identity that did not sign": lambda s: payload(3, Role.DIALLER, s, claimed=peer_id(1)),
    "an unknown identity": lambda s: payload(3, Role.DIALLER, s),
    "an identity of small order": lambda s: payload(
        3, Role.DIALLER, s, claimed=PeerId((1).to_bytes(32, "little"))
    ),
    "another version": lambda s: payload(1, Role.DIALLER, s, version=VERSION + 1),
    "a longer payload": lambda s: payload(1, Role.DIALLER, s) + b"\x00",
    "an empty payload": lambda s: b"",
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_sound_noise_around_a_forged_payload_is_refused(forge: Callable[[bytes], bytes]) -> None:
    noise = noise_peer(1, initiator=True)
    listener = Listener(local(2), KNOWN)
    noise.read_message(listener.answer(bytes(noise.write_message())))
    with pytest.raises(HandshakeError):
        listener.finish(bytes(noise.write_message(forge(static_public(noise)))))


def test_5000_fuzzed_handshake_messages_are_refused_and_nothing_else() -> None:
    rng = random.Random(7)
    listener = Listener(local(2), KNOWN)
    dialler = Dialler(local(1), peer_id(2))
    answer = listener.answer(dialler.hello())
    third, _ = dialler.finish(answer)
    for turn in range(5_000):
        whole = (answer, third)[turn % 2]
        mutated = bytearray(whole if rng.random() < 0.7 else rng.randbytes(rng.randrange(400)))
        for _ in range(rng.randrange(1, 4)):
            if mutated:
                mutated[rng.randrange(len(mutated))] ^= rng.randrange(1, 256)
        if rng.random() < 0.2:
            del mutated[rng.randrange(len(mutated) + 1) :]
        if bytes(mutated) == whole:
            continue
        if turn % 2:
            victim = Listener(local(2), KNOWN)
            victim.answer(Dialler(local(1), peer_id(2)).hello())
            finish: Callable[[bytes], object] = victim.finish
        else:
            caller = Dialler(local(1), peer_id(2))
            caller.hello()
            finish = caller.finish
        with pytest.raises(HandshakeError):
            finish(bytes(mutated))

"""Signed notes, checkpoints and cosignatures against published C2SP examples."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.checkpoint import (
    Checkpoint,
    MalformedCheckpointError,
    cosign,
    cosignature_message,
    cosignature_time,
    parse_checkpoint,
    sign_origin,
    verify_cosignature,
)
from node.chain.note import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    MalformedNoteError,
    Note,
    NoteSignature,
    VerifierKey,
    decode_base64,
    encode_base64,
    open_note,
    parse_note,
    parse_verifier_key,
    sign_note,
    verify_note_signature,
)
from node.ledger import signing
from tests.chain.network import seed

# c2sp.org/signed-note and golang.org/x/mod/sumdb/note publish these notes and keys.
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1E"
    "RYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = decode_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_NOTE = (
    f"{PETER_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FF"
    "YC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
# The specification's first example; its text has an empty line and an accent.
POEM_NOTE = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMou"
    "FSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
# c2sp.org/tlog-checkpoint and /tlog-cosignature.
SOFA_BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
SOFA_LOG = (
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8="
)
SOFA_WITNESS = (
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+"
    "mbIUBkBIfZ+qnA=="
)
SOFA_NOTE = (
    f"{SOFA_BODY}\n— example.com/behind-the-sofa {SOFA_LOG}\n— witness.example.com/w1 "
    f"{SOFA_WITNESS}\n"
)
# The log line of that example was made by sum.golang.org over its own origin line.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_BODY = SOFA_BODY.replace("example.com/behind-the-sofa", "go.sum database tree")
# A checkpoint of a public log with cosignatures of public witnesses (May 2026).
ARCHE_BODY = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\n"
    "U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n"
)
ARCHE_KEY = (
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
ARCHE_NOTE = (
    f"{ARCHE_BODY}\n— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pv"
    "sYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n"
    "— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3"
    "NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n"
    "— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2r"
    "hIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n"
    "— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ"
    "75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n"
    "— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sX"
    "Tynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
    "— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmI"
    "Y/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n"
)
WITNESS_KEYS = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]


@pytest.mark.parametrize("text", [SPEC_NOTE, PETER_NOTE, POEM_NOTE, SOFA_NOTE, ARCHE_NOTE])
def test_published_notes_parse_and_encode_to_the_same_bytes(text: str) -> None:
    assert parse_note(text).encode() == text


@pytest.mark.parametrize("vkey", [SPEC_KEY, PETER_KEY, GO_KEY, ARCHE_KEY, *WITNESS_KEYS])
def test_published_verifier_keys_have_their_id(vkey: str) -> None:
    key = parse_verifier_key(vkey)
    assert key.encode() == vkey
    assert key.type == (TYPE_COSIGNATURE if vkey in WITNESS_KEYS else TYPE_ED25519)


@pytest.mark.parametrize(
    ("note", "vkey"), [(SPEC_NOTE, SPEC_KEY), (PETER_NOTE, PETER_KEY), (ARCHE_NOTE, ARCHE_KEY)]
)
def test_published_signatures_verify(note: str, vkey: str) -> None:
    key = parse_verifier_key(vkey)
    opened = open_note(note, [key])
    assert [s.name for s in opened.signatures] == [key.name]


def test_signing_gives_the_published_bytes() -> None:
    signature = sign_note(PETER_TEXT, "PeterNeumann", PETER_SEED)
    assert Note(PETER_TEXT, (signature,)).encode() == PETER_NOTE


def test_an_empty_line_inside_the_text_stays_in_the_text() -> None:
    assert parse_note(POEM_NOTE).text.endswith("sole:\n\ned è subito sera.\n")


def test_the_log_line_of_the_checkpoint_example_verifies_over_its_true_origin() -> None:
    blob = decode_base64(SOFA_LOG)
    key = parse_verifier_key(GO_KEY)
    assert verify_note_signature(GO_BODY, NoteSignature(key.name, blob), key)
    assert not verify_note_signature(SOFA_BODY, NoteSignature(key.name, blob), key)


def test_the_checkpoint_example_has_its_fields() -> None:
    note = parse_note(SOFA_NOTE)
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.body == note.text == SOFA_BODY


def test_the_cosignature_example_has_76_bytes_and_its_time() -> None:
    blob = parse_note(SOFA_NOTE).signatures[1].blob
    assert len(blob) == 76
    assert blob[:4].hex() == "8d66cf3f"
    assert cosignature_time(blob) == 1_679_315_147
    message = f"cosignature/v1\ntime 1679315147\n{SOFA_BODY}".encode()
    assert cosignature_message(cosignature_time(blob), SOFA_BODY) == message


@pytest.mark.parametrize("vkey", WITNESS_KEYS)
def test_cosignatures_of_public_witnesses_verify(vkey: str) -> None:
    key = parse_verifier_key(vkey)
    note = parse_note(ARCHE_NOTE)
    blob = next(s.blob for s in note.signatures if s.name == key.name)
    checkpoint = parse_checkpoint(note.text)
    assert verify_cosignature(checkpoint, key.name, key.public_key, blob)
    other = Checkpoint(checkpoint.origin, checkpoint.size + 1, checkpoint.root)
    assert not verify_cosignature(other, key.name, key.public_key, blob)
    assert not verify_cosignature(checkpoint, f"{key.name}x", key.public_key, blob)
    for at in range(len(blob)):
        changed = blob[:at] + bytes((blob[at] ^ 1,)) + blob[at + 1 :]
        assert not verify_cosignature(checkpoint, key.name, key.public_key, changed)


def test_our_cosignature_verifies_as_type_04_of_its_name_only() -> None:
    key = seed("witness")
    public = signing.public_key(key)
    checkpoint = Checkpoint("origin", 5, bytes(32))
    blob = cosign(checkpoint, "origin/w", key, 1_679_315_147)
    assert len(blob) == 76
    assert blob[:4] == VerifierKey("origin/w", TYPE_COSIGNATURE, public).id
    assert verify_cosignature(checkpoint, "origin/w", public, blob)
    assert not verify_cosignature(checkpoint, "origin/w", public, blob + b"\0")
    assert not verify_cosignature(checkpoint, "origin/w", public, b"")
    assert cosign(checkpoint, "origin/w", signing.secret_key(key), 1_679_315_147) == blob


def test_our_log_signature_is_an_ordinary_note_signature() -> None:
    checkpoint = Checkpoint("origin", 5, bytes(32))
    blob = sign_origin(checkpoint, seed("log"))
    note = Note(checkpoint.body, (NoteSignature("origin", blob),)).encode()
    public = signing.public_key(seed("log"))
    opened = open_note(note, [VerifierKey("origin", TYPE_ED25519, public)])
    assert opened.text == checkpoint.body


def test_a_note_of_unknown_keys_only_is_refused() -> None:
    with pytest.raises(MalformedNoteError, match="no known key"):
        open_note(SPEC_NOTE, [parse_verifier_key(PETER_KEY)])


def test_one_bad_line_of_a_known_key_refuses_the_whole_note() -> None:
    peter, spec = parse_verifier_key(PETER_KEY), parse_verifier_key(SPEC_KEY)
    good = sign_note(PETER_TEXT, "PeterNeumann", PETER_SEED)
    bad = NoteSignature(spec.name, spec.id + bytes(64))
    text = Note(PETER_TEXT, (good, bad)).encode()
    assert open_note(text, [peter]).signatures == (good,)
    with pytest.raises(MalformedNoteError, match="does not verify"):
        open_note(text, [peter, spec])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        SPEC_NOTE[:-1],
        SPEC_NOTE + "\n",
        SPEC_NOTE.replace("—", "-"),
        SPEC_NOTE.replace("— ", "—"),
        SPEC_NOTE.replace("— example", "—  example"),
        SPEC_NOTE.replace("foo Uw", "foo  Uw"),
        SPEC_NOTE.replace("foo Uw", "foo+ Uw"),
        SPEC_NOTE.replace("foo Uw", "f\u00a0oo Uw"),
        SPEC_NOTE.replace("\n", "\r\n"),
        SPEC_NOTE.replace("This", "Th\tis"),
        SPEC_NOTE.replace("This", "Th\ud800is"),
        SPEC_NOTE.replace("QM=", "QM"),
        SPEC_NOTE.replace("QM=", "QN="),  # padding bits not zero
        SPEC_NOTE.replace("QM=", "QM=="),
        SPEC_NOTE.replace("Uw2Q", "Uw-Q"),
        "text\n\n— name AAAA\n",  # shorter than a key id
        "text\n\n— name AAAAAA==\n",  # a key id and nothing else
        "text\n\n" + "— name AAAAAAA=\n" * 33,
        "x" * 270_000 + SPEC_NOTE,
    ],
)
def test_malformed_notes_are_refused(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        parse_note(text)


def test_no_part_of_a_verifier_key_is_one() -> None:
    for start in range(len(PETER_KEY)):
        for end in range(start, len(PETER_KEY) + 1):
            if (start, end) != (0, len(PETER_KEY)):
                with pytest.raises(MalformedNoteError):
                    parse_verifier_key(PETER_KEY[start:end])
    for at, character in enumerate(PETER_KEY):
        with pytest.raises(MalformedNoteError):
            parse_verifier_key(PETER_KEY[:at] + chr(ord(character) + 1) + PETER_KEY[at + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [
        # Published with Go's tests: a key of a wrong length and an unknown type, with true ids.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        SPEC_KEY.replace("530d903a", "530D903A"),
    ],
)
def test_verifier_keys_of_another_kind_are_refused(vkey: str) -> None:
    with pytest.raises(MalformedNoteError):
        parse_verifier_key(vkey)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "origin\n1\n",
        f"\n1\n{encode_base64(bytes(32))}\n",
        f"origin\n01\n{encode_base64(bytes(32))}\n",
        f"origin\n-1\n{encode_base64(bytes(32))}\n",
        f"origin\n+1\n{encode_base64(bytes(32))}\n",
        f"origin\n١\n{encode_base64(bytes(32))}\n",
        f"origin\n1_0\n{encode_base64(bytes(32))}\n",
        f"origin\n{2**53 + 1}\n{encode_base64(bytes(32))}\n",
        f"origin\n{'9' * 5000}\n{encode_base64(bytes(32))}\n",
        f"origin\n1\n{encode_base64(bytes(31))}\n",
        f"origin\n1\n{encode_base64(bytes(33))}\n",
        f"origin\n1\n{'A' * 42 + 'B='}\n",  # padding bits not zero
        f"origin\n1\n{encode_base64(bytes(32))}",
        f"origin\n1\n{encode_base64(bytes(32))}\nextension\n",
        f"{'o' * 257}\n1\n{encode_base64(bytes(32))}\n",
    ],
)
def test_malformed_checkpoints_are_refused(body: str) -> None:
    with pytest.raises(MalformedCheckpointError):
        parse_checkpoint(body)


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40),
    st.integers(0, 2**53),
    st.binary(min_size=32, max_size=32),
)
def test_checkpoints_round_trip(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(checkpoint.body) == checkpoint


@given(st.text(max_size=200))
def test_any_text_is_a_note_or_a_typed_error(text: str) -> None:
    for candidate in (text, f"text\n\n— {text}\n", f"{text}\n\n— name AAAAAAA=\n"):
        with contextlib.suppress(MalformedNoteError):
            assert parse_note(candidate).encode() == candidate
        with contextlib.suppress(MalformedCheckpointError):
            assert parse_checkpoint(candidate).body == candidate


@given(st.binary(max_size=40))
def test_base64_is_canonical(data: bytes) -> None:
    assert decode_base64(encode_base64(data)) == data


@pytest.mark.parametrize(
    "text", ["AB==", "AAB=", "A", "AA", "AA=", "AA===", "A A=", "AA==\n", "A-=="]
)
def test_base64_with_padding_bits_or_in_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        decode_base64(text)


@given(st.text("AB=+/ \n-é", max_size=9))
def test_any_text_is_canonical_base64_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(MalformedNoteError):
        assert encode_base64(decode_base64(text)) == text

"""Attachments: sealed for whoever can open the details, and bound to them."""

from __future__ import annotations

import hashlib

import pytest

from node.following.outcomes import AttachmentMissingError, BusyError
from node.sealing.attachments import (
    WAITING_BYTES_MAX,
    WAITING_MAX,
    WAITING_S,
    WaitingFiles,
    named_attachments,
    open_attachment,
    seal_attachment,
)

KEY, COMMITMENT = b"k" * 32, b"c" * 32
FILE = "合同正文".encode() * 50
HASH = hashlib.sha256(FILE).digest()


def details(content: bytes = FILE, size: int | None = None) -> bytes:
    named = hashlib.sha256(content).hexdigest()
    stated = len(content) if size is None else size
    return f'{{"attachments":[{{"hash":"{named}","name":"a","size":{stated}}}]}}'.encode()


def test_who_has_the_key_opens_the_file() -> None:
    blob = seal_attachment(FILE, KEY, COMMITMENT)
    assert FILE not in blob
    assert blob != seal_attachment(FILE, KEY, COMMITMENT)
    assert open_attachment(blob, KEY, COMMITMENT, HASH) == FILE


def test_nothing_else_opens_it() -> None:
    blob = seal_attachment(FILE, KEY, COMMITMENT)
    assert open_attachment(blob, b"x" * 32, COMMITMENT, HASH) is None
    assert open_attachment(blob, KEY, b"x" * 32, HASH) is None
    assert open_attachment(blob, KEY, COMMITMENT, b"x" * 32) is None
    for cut in (0, 1, 23, 24, 30, len(blob) - 1):
        assert open_attachment(blob[:cut], KEY, COMMITMENT, HASH) is None
    for place in range(0, len(blob), 37):
        changed = bytearray(blob)
        changed[place] ^= 1
        assert open_attachment(bytes(changed), KEY, COMMITMENT, HASH) is None


def test_the_files_that_details_name() -> None:
    assert named_attachments(details()) == [(HASH, len(FILE))]
    for other in (b"{}", b"[]", b'{"attachments":1}', b'{"attachments":[{"hash":"zz","size":1}]}'):
        assert named_attachments(other) == []


def test_a_file_waits_until_it_is_named_and_may_be_named_again() -> None:
    files = WaitingFiles(lambda: 0.0)
    assert files.add(FILE) == HASH
    assert list(files.named_by(details())) == [FILE]
    assert list(files.named_by(details())) == [FILE]
    assert list(files.named_by(b"{}")) == []


def test_a_file_that_does_not_wait_is_missed() -> None:
    files = WaitingFiles(lambda: 0.0)
    with pytest.raises(AttachmentMissingError, match=HASH.hex()):
        list(files.named_by(details()))
    files.add(FILE)
    with pytest.raises(AttachmentMissingError):
        list(files.named_by(details(size=1)))


def test_what_waits_is_bounded_and_forgotten() -> None:
    now = 0.0
    files = WaitingFiles(lambda: now)
    for number in range(WAITING_MAX):
        files.add(b"%d" % number)
    with pytest.raises(BusyError):
        files.add(FILE)
    files.add(b"0")  # the same again takes no room
    now = WAITING_S + 1
    assert files.add(FILE) == HASH
    with pytest.raises(AttachmentMissingError):
        list(files.named_by(details(b"1")))

    large = WaitingFiles(lambda: 0.0)
    large.add(bytes(WAITING_BYTES_MAX))
    with pytest.raises(BusyError):
        large.add(b"1")

"""What a bystander sees of a sealed document is one of few lengths."""

from __future__ import annotations

import msgspec
import pytest

from node.chain.disclosure import items_of
from node.sealing.format import RANDOM_BYTES, BlobSealer, sealing_key
from node.sealing.padding import FIELD, PADDED_BYTES_MIN, PADDED_STEP_BYTES, padded, unpadded

CAUSES = ("books not shown", "fictitious deals", "发票虚开", 'a "quoted"\\ one\n' * 60, "x" * 3_000)
_encode = msgspec.json.Encoder(order="sorted").encode


def cause(text: str, **more: str) -> bytes:
    return _encode({"cause": text, **more})


def test_causes_in_words_are_blobs_of_one_length() -> None:
    sealer = sealing_key(b"s" * 32)
    readers = [sealing_key(bytes([n]) * 32).public for n in (1, 2)]
    lengths = set()
    for text in CAUSES:
        blob = BlobSealer(sealer, bytes(RANDOM_BYTES))
        blob.add(padded(cause(text)), readers, bytes(32))
        lengths.add(len(blob.seal().blob))
    assert len(lengths) == 1


@pytest.mark.parametrize("length", [*range(4_040, 4_110), 65_500, 65_530, 65_600, 500_000])
def test_what_is_opened_is_what_was_sealed(length: int) -> None:
    document = cause("c", proof="x" * length)
    long = padded(document)
    assert unpadded(long) == document
    assert [path for path, _ in items_of(long)] == ["/cause", f"/{FIELD}", "/proof"]
    if len(long) > PADDED_STEP_BYTES:
        assert len(long) % PADDED_STEP_BYTES == 0
    else:
        assert len(long) in {PADDED_BYTES_MIN << n for n in range(5)}


def test_what_another_program_sealed_without_is_opened_too() -> None:
    assert unpadded(cause("c")) == cause("c")

"""The proof file (c2sp.org/tlog-proof) of one leaf. Owns its form; `verify` judges its content.

    c2sp.org/tlog-proof@v1
    extra <base64 of the canonical MessagePack array [leaf, [disclosure, …], [handover, …]]>
    index <leaf index>
    <base64 hash>           once for each hash of the audit path, leaf's sibling first
    (empty line)
    <certificate>           one origin signature and exactly q cosignatures

There is one accepted form: reading writes again and compares. Only the note may hold lines of
unknown keys beside, which are ignored. A disclosure shows one item of the sealed details that the
leaf commits to (`disclosure`), each once, in the order of operation and place. Handovers between
voter sets have their place; this version knows none, so it is empty.

No line is longer than other tools' scanners read (64 KiB): what does not fit one `extra` line, as
a leaf beyond 48 kB or many disclosures, goes on in further ones. tlog-proof knows one such line;
so a tool that is strict about it reads every proof of a leaf and little more, and large ones not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from node.chain.certificate import Certificate, CertificateError, read_certificate
from node.chain.disclosure import Disclosure
from node.chain.leaf import LEAF_BYTES_MAX
from node.chain.merkle import HASH_BYTES
from node.chain.note import MalformedNoteError, base64_lines, decode_base64, encode_base64
from node.chain.voters import VoterSet

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
PROOF_BYTES_MAX = 1_048_576
"""A leaf and disclosures of `DISCLOSED_BYTES_MAX` need 436,911 in base64, path and certificate
less than 16,384; the rest is for signature lines of others."""
_EXTRA_LINES_MAX = 7
DISCLOSURES_MAX = 256
DISCLOSED_BYTES_MAX = 262_144
"""Of all disclosures of a proof together, encoded."""
PATH_HASHES_MAX = 64


class MalformedProofError(ValueError):
    """Not a proof file in its one accepted form; says what is wrong."""


class TooMuchDisclosedError(ValueError):
    """More items, or more bytes of them, than one proof file may hold."""


class _Extra(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    leaf: Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES_MAX)]
    disclosures: Annotated[tuple[Disclosure, ...], msgspec.Meta(max_length=DISCLOSURES_MAX)] = ()
    handovers: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=0)] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Extra)


class Proof(msgspec.Struct, frozen=True):
    """A leaf, its place, and the certified checkpoint of a tree that has it."""

    index: int
    path: tuple[bytes, ...]
    leaf: bytes
    """Canonical bytes of the leaf."""
    certificate: Certificate
    disclosures: tuple[Disclosure, ...] = ()

    def encode(self) -> str:
        """The proof file."""
        return f"{_head(self)}\n{self.certificate.encode()}"


def _head(proof: Proof) -> str:
    """All lines above the empty one."""
    data = _encoder.encode(_Extra(proof.leaf, proof.disclosures))
    extra = "".join(f"extra {line}\n" for line in base64_lines(data))
    hashes = "".join(f"{encode_base64(value)}\n" for value in proof.path)
    return f"{PROOF_HEADER}\n{extra}index {proof.index}\n{hashes}"


def build_proof(
    index: int,
    path: Sequence[bytes],
    leaf: bytes,
    certificate: Certificate,
    origin_signature: bytes,
    voters: VoterSet,
    disclosures: Sequence[Disclosure] = (),
) -> Proof:
    """The proof of a leaf under a final checkpoint.

    Args:
        index: Index of the leaf.
        path: Its audit path in the certificate's tree.
        leaf: Its canonical bytes.
        certificate: A verified certificate of a tree larger than `index`.
        origin_signature: `checkpoint.sign_origin` of the certificate's checkpoint.
        voters: The voters in force; their q is the number of cosignatures that are kept.
        disclosures: Items of sealed details to show, in any order.

    Raises:
        TooMuchDisclosedError: more than one proof file may hold.
    """
    shown = {(item.operation, item.index): item for item in disclosures}
    ordered = tuple(shown[place] for place in sorted(shown))
    if len(ordered) > DISCLOSURES_MAX or len(_encoder.encode(ordered)) > DISCLOSED_BYTES_MAX:
        raise TooMuchDisclosedError(
            f"a proof shows at most {DISCLOSURES_MAX} items of {DISCLOSED_BYTES_MAX} bytes together"
        )
    narrowed = certificate.narrowed(voters).published(origin_signature)
    return Proof(
        index=index, path=tuple(path), leaf=leaf, certificate=narrowed, disclosures=ordered
    )


def parse_proof(data: bytes | str, voters: VoterSet) -> Proof:
    """Read a proof file; verifies nothing but its form.

    Args:
        data: The file. Read it as bytes: text modes of files may change line ends unseen.
        voters: Whose signature lines are read; those of others are left out.

    Raises:
        MalformedProofError: with a reason; never another error, whatever the bytes.
    """
    text = _text(data)
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines[0] != PROOF_HEADER:
        raise MalformedProofError("not a tlog-proof file")
    end = next((n for n, line in enumerate(lines) if line.startswith("index ")), len(lines))
    if not 2 <= end <= _EXTRA_LINES_MAX + 1 or end == len(lines):
        raise MalformedProofError("proof file has no extra data or no index")
    if len(lines) - end - 1 > PATH_HASHES_MAX:
        raise MalformedProofError("audit path is too long")
    try:
        extra = _extra(lines[1:end])
        proof = Proof(
            index=_index(lines[end]),
            path=tuple(decode_base64(line) for line in lines[end + 1 :]),
            leaf=extra.leaf,
            certificate=read_certificate(note, voters),
            disclosures=extra.disclosures,
        )
    except (MalformedNoteError, CertificateError) as error:
        raise MalformedProofError(str(error)) from error
    if any(len(value) != HASH_BYTES for value in proof.path):
        raise MalformedProofError("audit path has a hash of a wrong length")
    if _head(proof) != f"{head}\n":
        raise MalformedProofError("proof file is not in its canonical form")
    return proof


def _text(data: bytes | str) -> str:
    if len(data) > PROOF_BYTES_MAX:
        raise MalformedProofError("proof file is too large")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedProofError("proof file is not UTF-8") from error


def _index(line: str) -> int:
    word, _, digits = line.partition(" ")
    if word != "index" or not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise MalformedProofError("proof file has no index")
    return int(digits)


def _extra(lines: Sequence[str]) -> _Extra:
    words = [line.partition(" ") for line in lines]
    if any(word != "extra" for word, _, _ in words):
        raise MalformedProofError("proof file has no extra data")
    data = b"".join(decode_base64(encoded) for _, _, encoded in words)
    try:
        extra = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedProofError(f"extra data: {error}") from error
    if _encoder.encode(extra) != data:
        raise MalformedProofError("extra data is not canonical")
    places = [(item.operation, item.index) for item in extra.disclosures]
    if places != sorted(set(places)):
        raise MalformedProofError("disclosures are not in their order, each once")
    if len(_encoder.encode(extra.disclosures)) > DISCLOSED_BYTES_MAX:
        raise MalformedProofError("disclosures are too large")
    return extra

"""The proof file (c2sp.org/tlog-proof) of one leaf. Owns its form; `verify` judges its content.

    c2sp.org/tlog-proof@v1
    extra <base64 of the canonical MessagePack array [leaf, [disclosure, …], [handover, …]]>
    index <leaf index>
    <base64 hash>           once for each hash of the audit path, leaf's sibling first
    (empty line)
    <certificate>           one origin signature and exactly q cosignatures

There is one accepted form: reading writes again and compares. A disclosure shows one item of the
sealed details that the leaf commits to (`disclosure`), each once, in the order of operation and
place. Handovers between voter sets have their place; this version knows none, so it is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from node.chain.certificate import Certificate, CertificateError, parse_certificate
from node.chain.disclosure import Disclosure
from node.chain.leaf import LEAF_BYTES_MAX
from node.chain.merkle import HASH_BYTES
from node.chain.note import MalformedNoteError, decode_base64, encode_base64
from node.chain.voters import VoterSet

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
PROOF_BYTES_MAX = 524_288
"""A leaf and disclosures of `DISCLOSED_BYTES_MAX` need 436,911 in base64; path and certificate
less than 16,384."""
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
        extra = encode_base64(_encoder.encode(_Extra(self.leaf, self.disclosures)))
        hashes = "".join(f"{encode_base64(value)}\n" for value in self.path)
        note = self.certificate.encode()
        return f"{PROOF_HEADER}\nextra {extra}\nindex {self.index}\n{hashes}\n{note}"


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
    return Proof(index, tuple(path), leaf, narrowed, ordered)


def parse_proof(data: bytes | str) -> Proof:
    """Read a proof file; verifies nothing but its form.

    Args:
        data: The file. Read it as bytes: text modes of files may change line ends unseen.

    Raises:
        MalformedProofError: with a reason; never another error, whatever the bytes.
    """
    text = _text(data)
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) < 3 or lines[0] != PROOF_HEADER:
        raise MalformedProofError("not a tlog-proof file")
    if len(lines) - 3 > PATH_HASHES_MAX:
        raise MalformedProofError("audit path is too long")
    try:
        extra = _extra(lines[1])
        proof = Proof(
            index=_index(lines[2]),
            path=tuple(decode_base64(line) for line in lines[3:]),
            leaf=extra.leaf,
            certificate=parse_certificate(note),
            disclosures=extra.disclosures,
        )
    except (MalformedNoteError, CertificateError) as error:
        raise MalformedProofError(str(error)) from error
    if any(len(value) != HASH_BYTES for value in proof.path):
        raise MalformedProofError("audit path has a hash of a wrong length")
    if proof.encode() != text:
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


def _extra(line: str) -> _Extra:
    word, _, encoded = line.partition(" ")
    if word != "extra":
        raise MalformedProofError("proof file has no extra data")
    data = decode_base64(encoded)
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

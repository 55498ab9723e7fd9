"""Messages between nodes on the gossip link: typed, bounded, canonical enough to compare.

Owns kinds and shapes; knows no connection. Item kinds (transactions) belong to p2p.gossip.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Annotated, cast

import msgspec

from node.chain.certificate import CERTIFICATE_BYTES_MAX
from node.chain.checkpoint import COSIGNATURE_BYTES
from node.chain.cosigned import Cosigned
from node.chain.entry import HEADER_BYTES
from node.chain.evidence.excuse import RESUMPTION_BYTES_MAX
from node.chain.evidence.kinds import EVIDENCE_BYTES_MAX
from node.chain.leaf import LeafIndex
from node.chain.leaf_range import RANGE_BYTES_MAX, LeafRange
from node.chain.proof import PATH_HASHES_MAX

NONCE_BYTES = 16
HeightField = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
NonceField = Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


STATEMENTS_MAX = 8
"""Of each sort in one message about dissent."""
_Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Header = tuple[
    Annotated[bytes, msgspec.Meta(min_length=HEADER_BYTES, max_length=HEADER_BYTES)],
    Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)],
]
_Root = tuple[
    Annotated[int, msgspec.Meta(ge=0, le=255)],
    HeightField,
    _Bytes32,
    Annotated[bytes, msgspec.Meta(min_length=COSIGNATURE_BYTES, max_length=COSIGNATURE_BYTES)],
]


class Kind(IntEnum):
    """Kinds below 16 are control: they travel ahead of transactions, and of blocks."""

    STATUS = 0
    COSIGNED = 1
    CERTIFICATE = 2
    EVIDENCE = 3
    BLOCKS_WANTED = 4
    QUESTION = 5
    ANSWER = 6
    DISSENT = 8
    RESUMPTION = 9
    HISTORY_WANTED = 10
    HISTORY = 11
    OBSERVER = 12
    BLOCKS = 32


class StatusMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a node stands."""

    height: HeightField
    final_height: HeightField
    work: bool
    """It has pending or lapsing work, so the leader should go on sealing."""
    time_ms: HeightField
    """Its clock: UTC milliseconds since 1970."""


class CertificateMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A certificate for a node that is behind in finality."""

    height: HeightField
    note: Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class StatementMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The sender's own cosignature. It does not cover the height, so nobody may relay it."""

    voter: Annotated[int, msgspec.Meta(ge=0, le=255)]
    height: HeightField
    size: HeightField
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    cosignature: Annotated[bytes, msgspec.Meta(min_length=76, max_length=76)]

    def statement(self) -> Cosigned:
        """The statement without its voter."""
        return Cosigned(self.height, self.size, self.root, self.cosignature)


class EvidenceMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Evidence against a key; judged by whoever receives it."""

    body: Annotated[bytes, msgspec.Meta(max_length=EVIDENCE_BYTES_MAX)]


class ResumptionMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A voter that was led astray signs again (`node.chain.evidence.excuse`)."""

    body: Annotated[bytes, msgspec.Meta(max_length=RESUMPTION_BYTES_MAX)]


class HistoryWantedMessage(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True
):
    """Which root had the certified tree at the asker's size?"""

    size: HeightField


class HistoryMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer: that root, with the consistency proof to a certified tree."""

    size: HeightField
    root: _Bytes32
    path: Annotated[tuple[_Bytes32, ...], msgspec.Meta(max_length=2 * PATH_HASHES_MAX)]
    note: Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class DissentMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Signed statements that were made to the sender, since histories differ."""

    entries: Annotated[tuple[_Header, ...], msgspec.Meta(max_length=STATEMENTS_MAX)]
    """Entry headers of its log, with their leaders' attestations."""
    roots: Annotated[tuple[_Root, ...], msgspec.Meta(max_length=STATEMENTS_MAX)]
    """Cosignatures of trees that are not known to be its own: voter, size, root, cosignature."""


class BlocksWantedMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node that is behind asks for certified leaves."""

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    first: LeafIndex
    """Tree index of the first leaf that it lacks."""


class BlocksMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer."""

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    """Of the request."""
    leaf_range: LeafRange | None
    """None: no certified leaf from there on."""


class QuestionMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A voter asks, at its start, what the others know of its signatures and of finality."""

    nonce: NonceField
    """Drawn at that start: an answer to it is later than all that the asker may have lost."""


class HeldSignature(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A cosignature of the asker that the answering node holds."""

    size: HeightField
    root: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    cosignature: Annotated[bytes, msgspec.Meta(min_length=76, max_length=76)]


class AnswerMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The answer of a voter that remembers what it signed (`node.voting.resumption`)."""

    nonce: NonceField
    signed: HeightField
    """The highest height that the answering voter signed."""
    note: Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]
    """Its newest certificate; empty before the first."""
    held: HeldSignature | None
    """The asker's, over the largest tree: shows that it forgot. None shows nothing."""


OBSERVER_KEYS_MAX = 4
_Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class ObserverMessage(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The first message of a node that does not vote: whose it is."""

    participant: Annotated[str, msgspec.Meta(max_length=18)]
    signatures: Annotated[
        tuple[tuple[_Key, _Signature], ...],
        msgspec.Meta(min_length=1, max_length=OBSERVER_KEYS_MAX),
    ]
    """Public signing keys of it, each with what it signed (`node.custody.credentials`)."""


BLOCKS_BYTES_MAX = RANGE_BYTES_MAX + 65_536
"""A run with its proof and the lengths of its parts."""

ControlMessage = (
    StatusMessage
    | CertificateMessage
    | StatementMessage
    | EvidenceMessage
    | DissentMessage
    | ResumptionMessage
    | HistoryWantedMessage
    | HistoryMessage
    | BlocksWantedMessage
    | BlocksMessage
    | QuestionMessage
    | AnswerMessage
    | ObserverMessage
)

SHAPES: Mapping[int, type[ControlMessage]] = {
    Kind.STATUS: StatusMessage,
    Kind.COSIGNED: StatementMessage,
    Kind.CERTIFICATE: CertificateMessage,
    Kind.EVIDENCE: EvidenceMessage,
    Kind.BLOCKS_WANTED: BlocksWantedMessage,
    Kind.DISSENT: DissentMessage,
    Kind.RESUMPTION: ResumptionMessage,
    Kind.HISTORY_WANTED: HistoryWantedMessage,
    Kind.HISTORY: HistoryMessage,
    Kind.BLOCKS: BlocksMessage,
    Kind.QUESTION: QuestionMessage,
    Kind.ANSWER: AnswerMessage,
    Kind.OBSERVER: ObserverMessage,
}
"""What stands on the wire under each kind of the node's own. A number is never used again."""


class DishonestError(ValueError):
    """No honest node sends this: it costs its sender the link."""


class MalformedControlError(DishonestError):
    """A control message that no honest node sends."""


class Codec:
    """Kinds and their shapes, one to one: from messages to bytes and back."""

    def __init__(self, shapes: Mapping[int, type[msgspec.Struct]] = MappingProxyType({})) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._kinds: dict[type[msgspec.Struct], int] = {}
        self._decoders: dict[int, msgspec.msgpack.Decoder[msgspec.Struct]] = {}
        for kind, shape in shapes.items():
            self.add(kind, shape)

    def add(self, kind: int, shape: type[msgspec.Struct]) -> None:
        """Let messages of `kind` have this shape.

        Raises:
            ValueError: one of the two is taken, or another shape stands on the wire.
        """
        if kind in self._decoders or shape in self._kinds or SHAPES.get(kind, shape) is not shape:
            raise ValueError(f"kind {kind} is not {shape.__name__}, or not only that")
        self._kinds[shape] = kind
        self._decoders[kind] = msgspec.msgpack.Decoder(shape)

    def encode(self, message: msgspec.Struct) -> tuple[int, bytes]:
        """Kind and body of `message`."""
        return self._kinds[type(message)], self._encoder.encode(message)

    def decode(self, kind: int, body: bytes) -> msgspec.Struct:
        """The message of a body.

        Raises:
            MalformedControlError: unknown kind, wrong types or sizes.
        """
        decoder = self._decoders.get(kind)
        if decoder is None:
            raise MalformedControlError(f"unknown kind {kind}")
        if len(body) > BLOCKS_BYTES_MAX:
            raise MalformedControlError(f"{len(body)} bytes are too many")
        try:
            return decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
            raise MalformedControlError(str(error)) from error


_control = Codec(SHAPES)


def encode_control(message: ControlMessage) -> tuple[int, bytes]:
    """Kind and body of a message of the node's own, for who speaks without a router."""
    return _control.encode(message)


def decode_control(kind: int, body: bytes) -> ControlMessage:
    """The message of a body.

    Raises:
        MalformedControlError: unknown kind, wrong types or sizes.
    """
    return cast("ControlMessage", _control.decode(kind, body))

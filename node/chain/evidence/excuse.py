"""What excuses a voter that a lying leader led astray: its resumption, and when that counts.

Such a voter has signed a tree A at size s that contradicts a certificate. It comes back by dropping
that history, and signs again only above a certificate C, of size s0 >= s, under which its own
signature is not. So later it signs a tree B at s' > s0, and A and B together would convict it.

    resumption  array [voter, certificate, signature]: signed by the voter's cosign key over
                tag ‖ network id ‖ array [voter, s0, root]
    excuse      array [resumption, path]: the path shows that B continues C (RFC 6962, 2.1.2)

A pair (A at s, B at s') is excused if and only if s <= s0 < s', C is certified without the voter
and B continues C. A liar cannot use that to hide a second final history: C is final without it and
contradicts A, so those who signed both A's certificate and C are left, and of two certificates that
contradict each other and have no excuse between them, more than f voters signed both.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from node.chain.certificate import (
    CERTIFICATE_BYTES_MAX,
    Certificate,
    CertificateError,
    parse_certificate,
)
from node.chain.evidence.kinds import (
    Evidence,
    EvidenceError,
    LeafEvidence,
    PrefixEvidence,
    PrefixPath,
    RootStatement,
    SealEvidence,
    VoterNumber,
)
from node.chain.merkle import verify_consistency
from node.chain.voters import VoterSet
from node.ledger import signing
from node.ledger.types import Signature

RESUMPTION_BYTES_MAX = CERTIFICATE_BYTES_MAX + 128
EXCUSE_BYTES_MAX = RESUMPTION_BYTES_MAX + 8_192
_TAG = b"piaolian/resumption/v1\n"

_Read = TypeVar("_Read")


class ExcuseError(ValueError):
    """No resumption, or one that is not signed or certified as it must be; says why."""


class Resumption(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A voter says that it dropped what it signed, and signs again only above a certificate."""

    voter: VoterNumber
    note: Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]
    """The certificate, without the voter's own signature."""
    signature: Signature


class Excuse(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A resumption, and the proof that what was signed later continues its certificate."""

    resumption: Resumption
    path: PrefixPath


_encoder = msgspec.msgpack.Encoder()
_resumptions = msgspec.msgpack.Decoder(Resumption)
_excuses = msgspec.msgpack.Decoder(Excuse)


def encode_resumption(resumption: Resumption) -> bytes:
    """Canonical bytes."""
    return _encoder.encode(resumption)


def decode_resumption(data: bytes) -> Resumption:
    """Read a resumption; verifies nothing.

    Raises:
        ExcuseError: the bytes are not a canonical one.
    """
    return _decode(data, _resumptions, RESUMPTION_BYTES_MAX)


def encode_excuse(excuse: Excuse) -> bytes:
    """Canonical bytes."""
    return _encoder.encode(excuse)


def decode_excuse(data: bytes) -> Excuse:
    """Read an excuse; judges nothing.

    Raises:
        ExcuseError: the bytes are not a canonical one.
    """
    return _decode(data, _excuses, EXCUSE_BYTES_MAX)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[_Read], bytes_max: int) -> _Read:
    if len(data) > bytes_max:
        raise ExcuseError("too large")
    try:
        found = decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise ExcuseError(f"not a resumption: {error}") from error
    if _encoder.encode(found) != data:
        raise ExcuseError("not canonical")
    return found


def sign_resumption(
    voters: VoterSet, number: int, certificate: Certificate, key: bytes
) -> Resumption:
    """This voter's resumption above a certificate that does not hold its signature.

    The caller has persisted that nothing is signed any more but what continues it.
    """
    message = _message(voters, number, certificate)
    return Resumption(number, certificate.encode(), signing.sign(key, message))


def verify_resumption(resumption: Resumption, voters: VoterSet) -> Certificate:
    """The certificate of a resumption, once all of it is verified.

    Raises:
        ExcuseError: with a reason.
    """
    voter = voters.get(resumption.voter)
    if voter is None:
        raise ExcuseError("who resumes is no voter")
    try:
        certificate = parse_certificate(resumption.note)
        certificate.verify(voters)
    except CertificateError as error:
        raise ExcuseError(str(error)) from error
    if certificate.encode() != resumption.note:
        raise ExcuseError("the certificate is not in its one form")
    if any(line.cosigner == voter.cosigner for line in certificate.cosignatures):
        raise ExcuseError(f"{voter.node} signed the certificate itself")
    message = _message(voters, voter.number, certificate)
    if not signing.verify(voter.cosign_key, message, resumption.signature):
        raise ExcuseError(f"{voter.node} did not sign the resumption")
    return certificate


def contradiction(evidence: Evidence) -> tuple[int, RootStatement, RootStatement] | None:
    """Whom a pair accuses, with the smaller and the larger tree; None: nothing excuses it."""
    match evidence:
        case PrefixEvidence():
            pair = evidence.first, evidence.second.under
        case LeafEvidence() | SealEvidence():
            pair = evidence.first.under, evidence.second.under
        case _:
            return None
    small, large = sorted(pair, key=lambda said: said.size)
    return None if small.size == large.size else (evidence.voter, small, large)


def may_excuse(evidence: Evidence, resumed: int, size: int) -> bool:
    """Whether a resumption by voter `resumed` at `size` lies between the two statements."""
    pair = contradiction(evidence)
    if pair is None:
        return False
    voter, small, large = pair
    return voter == resumed and small.size <= size < large.size


def excuses(excuse: Excuse, evidence: Evidence, voters: VoterSet) -> bool:
    """Whether true evidence convicts nobody, because of this resumption.

    Raises:
        ExcuseError: the resumption is none.
    """
    certificate = verify_resumption(excuse.resumption, voters)
    base, pair = certificate.checkpoint, contradiction(evidence)
    if pair is None or not may_excuse(evidence, excuse.resumption.voter, base.size):
        return False
    large = pair[2]
    return verify_consistency(base.size, large.size, base.root, large.root, excuse.path)


def check_excused(excuse: Excuse, evidence: Evidence, voters: VoterSet) -> None:
    """Raise EvidenceError if the evidence, which is true, is excused."""
    if excuses(excuse, evidence, voters):
        node = voters.voters[excuse.resumption.voter].node
        size = parse_certificate(excuse.resumption.note).checkpoint.size
        raise EvidenceError(
            f"{node} was led astray and resumed above a certificate of {size} leaves without itself"
        )


def _message(voters: VoterSet, number: int, certificate: Certificate) -> bytes:
    told = certificate.checkpoint
    return _TAG + voters.network_id + _encoder.encode((number, told.size, told.root))

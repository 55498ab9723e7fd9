"""A certificate: a checkpoint with enough cosignatures to be final. Owns its form as a note.

    text            the checkpoint's body
    line 1          origin signature (type 01), by any voter's origin key; absent in a certificate
                    that no node has published yet
    lines after     cosignatures (type 04), one a voter, in the order of the voter list

`Certificate.verify` checks each signature exactly once and is the only judge of finality.

What nodes send each other and store has one spelling (`parse_certificate`). A file or an answer
that an outsider is shown may carry lines of others: witnesses add theirs to any checkpoint, and
signed-note tells verifiers to ignore what they do not know (`read_certificate`, `open_checkpoint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

from node.chain.checkpoint import (
    COSIGNATURE_BYTES,
    ORIGIN_SIGNATURE_BYTES,
    Checkpoint,
    MalformedCheckpointError,
    parse_checkpoint,
    verify_cosignature,
)
from node.chain.note import MalformedNoteError, Note, NoteSignature, parse_note
from node.chain.voters import VoterSet
from node.ledger import signing
from node.ledger.genesis import VOTERS_MAX

CERTIFICATE_BYTES_MAX = 8_192
"""Seven cosignatures with long names need less than 3 KiB."""


class CertificateError(ValueError):
    """The certificate is malformed or does not make its checkpoint final; says why."""


class Cosignature(msgspec.Struct, frozen=True):
    """One voter's cosignature under a certificate."""

    cosigner: str
    """`Voter.cosigner`."""
    blob: bytes
    """76 bytes: key id ‖ time ‖ signature."""


class Certificate(msgspec.Struct, frozen=True):
    """A checkpoint and its cosignatures; made by `certify` or read by `parse_certificate`."""

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    """In voter order."""
    origin_signature: bytes | None = None
    """68 bytes: key id ‖ signature."""

    def encode(self) -> str:
        """The certificate as a signed note."""
        lines = [NoteSignature(c.cosigner, c.blob) for c in self.cosignatures]
        if self.origin_signature is not None:
            lines.insert(0, NoteSignature(self.checkpoint.origin, self.origin_signature))
        return Note(self.checkpoint.body, tuple(lines)).encode()

    def published(self, origin_signature: bytes) -> Certificate:
        """This certificate under a log signature (`checkpoint.sign_origin`)."""
        return msgspec.structs.replace(self, origin_signature=origin_signature)

    def narrowed(self, voters: VoterSet) -> Certificate:
        """This certificate with exactly q cosignatures, the first in voter order."""
        return msgspec.structs.replace(self, cosignatures=self.cosignatures[: voters.q])

    def cosigner_nodes(self, voters: VoterSet) -> tuple[str, ...]:
        """Node names of the cosigners, in voter order."""
        return tuple(voters.by_cosigner[c.cosigner].node for c in self.cosignatures)

    def verify(self, voters: VoterSet) -> None:
        """Check that the checkpoint is final under `voters` and every line is true.

        Raises:
            CertificateError: on another origin, too few or badly ordered cosignatures, an
                unknown signer or a signature that does not verify.
        """
        if self.checkpoint.origin != voters.origin:
            raise CertificateError("checkpoint belongs to another network")
        numbers = []
        for cosignature in self.cosignatures:
            voter = voters.by_cosigner.get(cosignature.cosigner)
            if voter is None:
                raise CertificateError("cosigner is no voter")
            numbers.append(voter.number)
        if any(a >= b for a, b in pairwise(numbers)):
            raise CertificateError("cosignatures are not one a voter in voter order")
        if len(numbers) < voters.q:
            raise CertificateError(f"{len(numbers)} cosignatures, {voters.q} are needed")
        for number, cosignature in zip(numbers, self.cosignatures, strict=True):
            voter = voters.voters[number]
            if not verify_cosignature(
                self.checkpoint, voter.cosigner, voter.cosign_key, cosignature.blob
            ):
                raise CertificateError(f"cosignature of {voter.node} does not verify")
        if self.origin_signature is not None:
            _check_origin(self.checkpoint, voters, self.origin_signature)


def certify(
    checkpoint: Checkpoint, cosignatures: Mapping[int, bytes], voters: VoterSet
) -> Certificate:
    """The certificate of cosignatures that were verified when they arrived.

    Args:
        checkpoint: The checkpoint that all of them cover.
        cosignatures: 76-byte cosignature by voter number; at least q.
        voters: The voters in force.

    Raises:
        CertificateError: when there are too few.
    """
    if len(cosignatures) < voters.q:
        raise CertificateError(f"{len(cosignatures)} cosignatures, {voters.q} are needed")
    return Certificate(
        checkpoint,
        tuple(
            Cosignature(voters.voters[number].cosigner, cosignatures[number])
            for number in sorted(cosignatures)
        ),
    )


def parse_certificate(text: str) -> Certificate:
    """Read a certificate; verifies no signature.

    Raises:
        CertificateError: when it is not the note of a certificate in its one accepted form.
    """
    if len(text) > CERTIFICATE_BYTES_MAX:
        raise CertificateError("certificate is too large")
    checkpoint, lines = _parse(text)
    return _certificate(checkpoint, lines)


def read_certificate(text: str, voters: VoterSet) -> Certificate:
    """As `parse_certificate`, of a note that may hold lines of others: those are left out.

    Raises:
        CertificateError: when the voters' lines are not those of a certificate.
    """
    checkpoint, lines = _parse(text)
    return _certificate(checkpoint, _known(lines, voters))


def open_checkpoint(text: str, voters: VoterSet) -> Certificate:
    """Read a checkpoint that somebody shows, as signed-note asks of a verifier.

    Lines of unknown keys are ignored, wherever they stand, also those that share a name or a key
    id with a voter's; one false line of a voter's key refuses the whole.

    Returns:
        The voters' lines only, one each, in voter order, all verified. There may be fewer than q.

    Raises:
        CertificateError: malformed, of another network, or a voter's line does not verify.
    """
    checkpoint, lines = _parse(text)
    if checkpoint.origin != voters.origin:
        raise CertificateError("checkpoint belongs to another network")
    found: dict[int, Cosignature] = {}
    origin_signature = None
    for line in _known(lines, voters):
        voter = voters.by_cosigner.get(line.name)
        if voter is None:
            _check_origin(checkpoint, voters, line.blob)
            origin_signature = origin_signature or line.blob
            continue
        if not verify_cosignature(checkpoint, voter.cosigner, voter.cosign_key, line.blob):
            raise CertificateError(f"cosignature of {voter.node} does not verify")
        found.setdefault(voter.number, Cosignature(line.name, line.blob))
    return Certificate(checkpoint, tuple(found[n] for n in sorted(found)), origin_signature)


def _parse(text: str) -> tuple[Checkpoint, Sequence[NoteSignature]]:
    try:
        note = parse_note(text)
        return parse_checkpoint(note.text), note.signatures
    except (MalformedNoteError, MalformedCheckpointError) as error:
        raise CertificateError(str(error)) from error


def _check_origin(checkpoint: Checkpoint, voters: VoterSet, blob: bytes) -> None:
    message = checkpoint.body.encode()
    # Key ids are 4 bytes, so two voters may share one: any of them may have signed.
    keys = [voter.origin_key for voter in voters.voters if voter.origin_id == blob[:4]]
    if not any(signing.verify(key, message, blob[4:]) for key in keys):
        raise CertificateError("origin signature does not verify")


def _known(lines: Iterable[NoteSignature], voters: VoterSet) -> list[NoteSignature]:
    return [line for line in lines if voters.knows(line.name, line.key_id)]


def _certificate(checkpoint: Checkpoint, signatures: Sequence[NoteSignature]) -> Certificate:
    lines = list(signatures)
    published = bool(lines) and lines[0].name == checkpoint.origin
    origin_signature = lines.pop(0).blob if published else None
    certificate = Certificate(
        checkpoint, tuple(Cosignature(line.name, line.blob) for line in lines), origin_signature
    )
    if origin_signature is not None and len(origin_signature) != ORIGIN_SIGNATURE_BYTES:
        raise CertificateError("origin signature has a wrong length")
    if len(lines) > VOTERS_MAX or any(len(line.blob) != COSIGNATURE_BYTES for line in lines):
        raise CertificateError("cosignatures have a wrong number or length")
    return certificate

"""A certificate: a checkpoint with enough cosignatures to be final. Owns its form as a note.

    text            the checkpoint's body
    line 1          origin signature (type 01), by any voter's origin key; absent in a certificate
                    that no node has published yet
    lines after     cosignatures (type 04), one a voter, in the order of the voter list

`Certificate.verify` checks each signature exactly once and is the only judge of finality.
"""

from __future__ import annotations

from collections.abc import Mapping
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
            self._verify_origin(voters, self.origin_signature)

    def _verify_origin(self, voters: VoterSet, blob: bytes) -> None:
        message = self.checkpoint.body.encode()
        # Key ids are 4 bytes, so two voters may share one: any of them may have signed.
        keys = [voter.origin_key for voter in voters.voters if voter.origin_id == blob[:4]]
        if not any(signing.verify(key, message, blob[4:]) for key in keys):
            raise CertificateError("origin signature does not verify")


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
    try:
        note = parse_note(text)
        checkpoint = parse_checkpoint(note.text)
    except (MalformedNoteError, MalformedCheckpointError) as error:
        raise CertificateError(str(error)) from error
    lines = list(note.signatures)
    origin_signature = lines.pop(0).blob if lines[0].name == checkpoint.origin else None
    certificate = Certificate(
        checkpoint, tuple(Cosignature(line.name, line.blob) for line in lines), origin_signature
    )
    if origin_signature is not None and len(origin_signature) != ORIGIN_SIGNATURE_BYTES:
        raise CertificateError("origin signature has a wrong length")
    if len(lines) > VOTERS_MAX or any(len(line.blob) != COSIGNATURE_BYTES for line in lines):
        raise CertificateError("cosignatures have a wrong number or length")
    return certificate

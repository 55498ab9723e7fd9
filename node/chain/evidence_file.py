"""Evidence as a file, and its verdict: what anyone checks with nothing but the genesis document.

    piaolian/evidence@v1
    network <network id, 64 hexadecimal digits>
    <base64 of the canonical evidence, `node.chain.evidence`>     a line for each 48,000 bytes

Every line ends in a line feed. There is one accepted form: reading writes again and compares. The
file names nobody; the verdict does, and only after every signature and path was verified.
"""

from __future__ import annotations

import msgspec

from node.chain.evidence import (
    EVIDENCE_BYTES_MAX,
    Evidence,
    EvidenceError,
    Finding,
    decode_evidence,
    encode_evidence,
)
from node.chain.judgement import judge
from node.chain.note import LINE_BYTES, MalformedNoteError, base64_lines, decode_base64
from node.chain.voters import VoterSet
from node.ledger.genesis import Genesis

EVIDENCE_HEADER = "piaolian/evidence@v1"
EVIDENCE_FILE_BYTES_MAX = 256 + (EVIDENCE_BYTES_MAX + 2) // 3 * 4
"""Two short lines, and the largest evidence in base64."""
_BODY_LINES_MAX = -(-EVIDENCE_BYTES_MAX // LINE_BYTES)


class EvidenceVerdict(msgspec.Struct, frozen=True):
    """What an evidence file shows. Everything but `valid` and `reason` is empty when invalid."""

    valid: bool
    reason: str
    """Why it proves nothing; empty when valid."""
    kind: str | None = None
    """`Finding.kind`."""
    voter: str | None = None
    """Node name of the voter that lied."""
    sentence: str | None = None
    id: str | None = None
    """`Finding.id` in hex."""


def is_evidence_file(data: bytes) -> bool:
    """Whether a file claims to be evidence."""
    return data.startswith(EVIDENCE_HEADER.partition("@")[0].encode())


def encode_evidence_file(evidence: Evidence, voters: VoterSet) -> str:
    """The file of `evidence` against one of `voters`."""
    body = base64_lines(encode_evidence(evidence))
    return "\n".join([EVIDENCE_HEADER, f"network {voters.network_id.hex()}", *body, ""])


def parse_evidence_file(data: bytes, voters: VoterSet) -> Evidence:
    """Read a file; judges nothing.

    Raises:
        EvidenceError: it is no evidence file of this network in its one accepted form.
    """
    if len(data) > EVIDENCE_FILE_BYTES_MAX:
        raise EvidenceError("evidence file is too large")
    lines = data.decode("ascii", "replace").split("\n")
    if not 4 <= len(lines) <= 3 + _BODY_LINES_MAX or lines[0] != EVIDENCE_HEADER or lines.pop():
        raise EvidenceError("not an evidence file")
    if lines[1] != f"network {voters.network_id.hex()}":
        raise EvidenceError("evidence belongs to another network")
    try:
        body = b"".join(map(decode_base64, lines[2:]))
    except MalformedNoteError as error:
        raise EvidenceError(str(error)) from error
    if lines[2:] != base64_lines(body):
        raise EvidenceError("evidence file has its lines cut elsewhere")
    return decode_evidence(body)


def judge_evidence_file(data: bytes, voters: VoterSet) -> Finding:
    """Read and judge a file.

    Raises:
        EvidenceError: with the reason why it proves nothing.
    """
    return judge(parse_evidence_file(data, voters), voters)


def verify_evidence_file(data: bytes, genesis: Genesis) -> EvidenceVerdict:
    """Check an evidence file against a network's genesis document.

    Returns:
        The verdict; never raises, whatever the file holds.
    """
    try:
        finding = judge_evidence_file(data, VoterSet.from_genesis(genesis))
    except EvidenceError as error:
        return EvidenceVerdict(valid=False, reason=str(error))
    return EvidenceVerdict(
        valid=True,
        reason="",
        kind=finding.kind,
        voter=finding.voter,
        sentence=finding.sentence,
        id=finding.id.hex(),
    )

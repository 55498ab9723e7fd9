"""Evidence as a file, and its verdict: what anyone checks with nothing but the genesis document.

    piaolian/evidence@v1
    network <network id, 64 hexadecimal digits>
    <base64 of the canonical evidence, `node.chain.evidence.kinds`>     a line for each 48,000 bytes
    excuse                                                        these two only where there is one
    <base64 of the canonical excuse, `node.chain.evidence.excuse`>

Every line ends in a line feed. There is one accepted form: reading writes again and compares. The
file names nobody; the verdict does, and only after every signature and path was verified.
"""

from __future__ import annotations

import msgspec

from node.chain.evidence.excuse import (
    EXCUSE_BYTES_MAX,
    Excuse,
    ExcuseError,
    check_excused,
    decode_excuse,
    encode_excuse,
)
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import (
    EVIDENCE_BYTES_MAX,
    Evidence,
    EvidenceError,
    Finding,
    decode_evidence,
    encode_evidence,
)
from node.chain.note import LINE_BYTES, MalformedNoteError, base64_lines, decode_base64
from node.chain.voters import VoterSet
from node.ledger.genesis import Genesis

EVIDENCE_HEADER = "piaolian/evidence@v1"
EVIDENCE_FILE_BYTES_MAX = 256 + (EVIDENCE_BYTES_MAX + EXCUSE_BYTES_MAX + 4) // 3 * 4
"""Three short lines, and the largest evidence and excuse in base64."""
_BODY_LINES_MAX = -(-EVIDENCE_BYTES_MAX // LINE_BYTES) + 1
_EXCUSE = "excuse"
"""Begins the lines of the excuse; no line of base64 of this length ends a body in one form."""


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


def encode_evidence_file(evidence: Evidence, voters: VoterSet, excuse: Excuse | None = None) -> str:
    """The file of `evidence` against one of `voters`, with what excuses it, if anything does."""
    body = base64_lines(encode_evidence(evidence))
    if excuse is not None:
        body += [_EXCUSE, *base64_lines(encode_excuse(excuse))]
    return "\n".join([EVIDENCE_HEADER, f"network {voters.network_id.hex()}", *body, ""])


def parse_evidence_file(data: bytes, voters: VoterSet) -> tuple[Evidence, Excuse | None]:
    """Read a file; judges nothing.

    Raises:
        EvidenceError: it is no evidence file of this network in its one accepted form.
    """
    if len(data) > EVIDENCE_FILE_BYTES_MAX:
        raise EvidenceError("evidence file is too large")
    lines = data.decode("ascii", "replace").split("\n")
    if not 4 <= len(lines) <= 4 + _BODY_LINES_MAX or lines[0] != EVIDENCE_HEADER or lines.pop():
        raise EvidenceError("not an evidence file")
    if lines[1] != f"network {voters.network_id.hex()}":
        raise EvidenceError("evidence belongs to another network")
    body = lines[2:]
    cut = body.index(_EXCUSE) if _EXCUSE in body else len(body)
    evidence = decode_evidence(_body(body[:cut]))
    if cut == len(body):
        return evidence, None
    try:
        return evidence, decode_excuse(_body(body[cut + 1 :]))
    except ExcuseError as error:
        raise EvidenceError(f"excuse: {error}") from error


def _body(lines: list[str]) -> bytes:
    try:
        body = b"".join(map(decode_base64, lines))
    except MalformedNoteError as error:
        raise EvidenceError(str(error)) from error
    if lines != base64_lines(body):
        raise EvidenceError("evidence file has its lines cut elsewhere")
    return body


def judge_evidence_file(data: bytes, voters: VoterSet) -> Finding:
    """Read and judge a file.

    Raises:
        EvidenceError: with the reason why it proves nothing, or why what it proves is excused.
    """
    evidence, excuse = parse_evidence_file(data, voters)
    finding = judge(evidence, voters)
    if excuse is not None:
        try:
            check_excused(excuse, evidence, voters)
        except ExcuseError as error:
            raise EvidenceError(f"excuse: {error}") from error
    return finding


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

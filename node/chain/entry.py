"""What a leader signs about a Raft entry. Owns the statement; restates the header's layout.

    header      "piaolian/raft-entry/v1" ‖ LF ‖ term (8) ‖ index (8) ‖ kind (1) ‖ leader (4) ‖
                previous entry's hash (32) ‖ payload hash (32); integers big-endian
    signed      "piaolian/entry/v1" ‖ LF ‖ network id (32) ‖ header     (Ed25519, identity key)

This floor must not know consensus, so the layout stands here a second time, and a test holds
both together. It is restated because evidence must be judged without any log.
"""

from __future__ import annotations

import struct

import msgspec

from node.chain.voters import VoterSet
from node.ledger import signing

ENTRY_TAG = b"piaolian/entry/v1\n"
HEADER_TAG = b"piaolian/raft-entry/v1\n"
_LAYOUT = struct.Struct(">23sQQBI32s32s")
HEADER_BYTES = _LAYOUT.size
"""108."""


class MalformedHeaderError(ValueError):
    """Not the header of an entry."""


class EntryHeader(msgspec.Struct, frozen=True):
    """The decoded header of an entry."""

    term: int
    index: int
    kind: int
    leader: int
    """Number of the voter that made and signed the entry."""
    prev_hash: bytes
    payload_hash: bytes


def decode_header(header: bytes) -> EntryHeader:
    """The fields of a header.

    Raises:
        MalformedHeaderError: when length or tag are wrong.
    """
    if len(header) != HEADER_BYTES or not header.startswith(HEADER_TAG):
        raise MalformedHeaderError("not an entry header")
    return EntryHeader(*_LAYOUT.unpack(header)[1:])


def attested_message(network_id: bytes, header: bytes) -> bytes:
    """What the leader of an entry signs."""
    return b"".join((ENTRY_TAG, network_id, header))


def attest(network_id: bytes, header: bytes, key: bytes) -> bytes:
    """The 64-byte attestation of an entry by a leader's identity seed or secret key."""
    return signing.sign(key, attested_message(network_id, header))


def verify_attestation(voters: VoterSet, header: bytes, attestation: bytes) -> bool:
    """Whether the voter that the header names as leader signed it; False on malformed bytes."""
    try:
        leader = voters.get(decode_header(header).leader)
    except MalformedHeaderError:
        return False
    return leader is not None and signing.verify(
        leader.identity_key, attested_message(voters.network_id, header), attestation
    )

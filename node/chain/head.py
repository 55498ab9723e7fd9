"""The name of a final head: what a node calls a snapshot of itself. The ledger is the state.

    name        canonical MessagePack array [network id, seal leaf, path, certificate]

The seal says height, tree size and the place in the Raft log, and stands for the root; its audit
path leads to a certified tree. So nobody can name a head that is not final, nor one that is no end
of a block, nor one that stands elsewhere in the log: nothing is the word of a leader alone.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.chain.certificate import CERTIFICATE_BYTES_MAX, CertificateError, parse_certificate
from node.chain.leaf import LEAF_BYTES_MAX, MalformedLeafError, SealLeaf, decode_leaf
from node.chain.merkle import leaf_hash, verify_inclusion
from node.chain.voters import VoterSet
from node.ledger.types import Hash

PATH_HASHES_MAX = 64
NAME_BYTES_MAX = 16_384


class FalseHeadError(ValueError):
    """The bytes do not name a final head of this network; says why."""


class _Name(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    network_id: Hash
    seal: Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES_MAX)]
    path: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=PATH_HASHES_MAX)]
    certificate: Annotated[str, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class NamedHead(msgspec.Struct, frozen=True):
    """A final head. Made by `parse_head`."""

    height: int
    size: int
    """Leaves in the tree."""
    place: tuple[int, int, bytes]
    """Index, term and hash of the entry that the block came from."""
    state_digest: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Name)


def name_head(network_id: bytes, seal: bytes, path: tuple[bytes, ...], certificate: str) -> bytes:
    """The name of the head that ends with `seal`.

    Args:
        network_id: Of this network.
        seal: Leaf bytes.
        path: From the seal to the root of the certified tree.
        certificate: Of a tree that holds the seal, as a note.
    """
    return _encoder.encode(_Name(network_id, seal, path, certificate))


def parse_head(data: bytes, voters: VoterSet) -> NamedHead:
    """The head that `data` names, once everything that can be proven of it is.

    Raises:
        FalseHeadError: with a reason.
    """
    if len(data) > NAME_BYTES_MAX:
        raise FalseHeadError("name is too large")
    try:
        name = _decoder.decode(data)
        seal = decode_leaf(name.seal)
        certificate = parse_certificate(name.certificate)
        certificate.verify(voters)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError) as error:
        raise FalseHeadError(f"not the name of a head: {error}") from error
    except (MalformedLeafError, CertificateError) as error:
        raise FalseHeadError(str(error)) from error
    if _encoder.encode(name) != data:
        raise FalseHeadError("encoding is not canonical")
    if name.network_id != voters.network_id:
        raise FalseHeadError("head of another network")
    if not isinstance(seal, SealLeaf):
        raise FalseHeadError("head is no end of a block")
    tree = certificate.checkpoint
    if not verify_inclusion(seal.index, tree.size, leaf_hash(name.seal), name.path, tree.root):
        raise FalseHeadError("head is not in the certified tree")
    place = (seal.entry_index, seal.term, seal.entry_hash)
    return NamedHead(seal.height, seal.index + 1, place, seal.state_digest)

"""A verifying client: recomputes the tree from the leaves and checks every certificate.

Owns nothing of a node: it is what an outsider can do with `network.toml` and the public API.
A transaction counts as final once its leaf is under a checkpoint whose cosignatures it verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from node.chain.certificate import parse_certificate
from node.chain.leaf import SealLeaf, TransactionLeaf
from node.chain.merkle import Frontier, leaf_hashes
from node.chain.voters import VoterSet
from node.ledger.transaction import TXID_TAG

_Leaf = msgspec.msgpack.Decoder(TransactionLeaf | SealLeaf)
RawBlock = tuple[int, int, list[bytes], bytes | None]
_Blocks = msgspec.msgpack.Decoder(list[RawBlock])


class FollowError(RuntimeError):
    """The node served blocks that do not verify."""


class VerifyingFollower:
    """Follows the ledger from height 1 and reports final transactions."""

    def __init__(
        self, voters: VoterSet, on_final: Callable[[list[tuple[bytes, int]]], None]
    ) -> None:
        self._voters = voters
        self._on_final = on_final
        self._frontier = Frontier()
        self._uncertified: list[tuple[bytes, int]] = []
        self._seal: SealLeaf | None = None
        self.height = 0
        self.final_height = 0

    def take(self, body: bytes) -> int:
        """Verify a page of raw blocks; returns how many there were.

        Raises:
            FollowError: a block is out of order, or a certificate does not fit the leaves.
        """
        blocks = _Blocks.decode(body)
        for height, first_index, leaves, note in blocks:
            if height != self.height + 1 or first_index != self._frontier.size:
                raise FollowError(f"block {height} does not follow {self.height}")
            self.height = height
            self._frontier = self._frontier.append_hashes(leaf_hashes(leaves))
            for data in leaves:
                leaf = _Leaf.decode(data)
                if isinstance(leaf, TransactionLeaf):
                    txid = hashlib.sha256(TXID_TAG + leaf.body).digest()
                    self._uncertified.append((txid, leaf.code))
                else:
                    self._seal = leaf
            if note is not None:
                self._certify(note.decode())
        return len(blocks)

    def _certify(self, note: str) -> None:
        certificate = parse_certificate(note)
        certificate.verify(self._voters)
        stated = certificate.checkpoint
        if (stated.size, stated.root) != (self._frontier.size, self._frontier.root()):
            raise FollowError(f"certificate of height {self.height} does not fit its leaves")
        final, self._uncertified = self._uncertified, []
        self.final_height = self.height
        self._on_final(final)

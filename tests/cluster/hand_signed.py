"""Transactions signed with a node's own key, of any content: what its owner may send."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec

from node.ledger.operations import Operation
from node.ledger.signing import secret_key, sign
from node.ledger.transaction import (
    TransactionBody,
    encode_body,
    encode_wire,
    open_wire,
    signed_bytes,
)
from tests.cluster.cluster import TRANSACTION, Cluster, Member, Reply

VALID_HEIGHTS = 5_000


class Author:
    """Signs for the participant of one member."""

    def __init__(self, cluster: Cluster, member: Member) -> None:
        self._network = cluster.genesis.network_id
        self.member = member
        self._key = secret_key(member.keys().signing)
        self._nonces = count(1)

    def sign(self, *operations: Operation) -> bytes:
        """The wire of a transaction that nothing was checked of."""
        until = int(self.member.status()["height"]) + VALID_HEIGHTS
        return self.sign_until(until, operations)

    def sign_until(self, valid_until: int, operations: Sequence[Operation]) -> bytes:
        """As `sign`, without asking for the height."""
        return self.sign_body(
            encode_body(
                TransactionBody(
                    self._network,
                    self.member.participant,
                    self._key[32:],
                    next(self._nonces),
                    valid_until,
                    tuple(operations),
                )
            )
        )

    def sign_shape(self, rest: Sequence[object], *, name: object = None) -> bytes:
        """The wire of a body whose nonce, last height and operations may be anything."""
        author = self.member.participant if name is None else name
        return self.sign_body(
            msgspec.msgpack.encode([self._network, author, self._key[32:], *rest])
        )

    def sign_body(self, body: bytes) -> bytes:
        """The wire of any bytes."""
        return encode_wire(body, sign(self._key, signed_bytes(body)))

    def send(self, *operations: Operation) -> tuple[str, Reply]:
        """Post a transaction; its id and the answer."""
        return send(self.member, self.sign(*operations))


def send(member: Member, wire: bytes) -> tuple[str, Reply]:
    """`POST /v1/transactions`; the id and the answer."""
    reply = member.ask("POST", "/v1/transactions", wire, content_type=TRANSACTION)
    return open_wire(wire)[1].hex(), reply


def outcome(member: Member, txid: str) -> dict[str, object]:
    """What became of it, once that is final."""
    answer = member.get(f"/v1/transactions/{txid}?wait=final&timeout_s=20")
    assert isinstance(answer, dict)
    return answer

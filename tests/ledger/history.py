"""A random history as blocks of signed transactions: the same seed gives the same bytes."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from dataclasses import dataclass

from node.ledger.execution.bykey import by_key_message, encode_operation
from node.ledger.genesis import Genesis
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.signing import public_key, secret_key, sign
from node.ledger.transaction import (
    Transaction,
    TransactionBody,
    decode_transaction,
    encode_body,
    encode_wire,
    signed_bytes,
)
from tests.ledger.member_moves import MEMBER_KINDS, MemberMoves
from tests.ledger.moves import BARE, KINDS, SEED, Draw, Moves, invoices, opening
from tests.ledger.world import HOUR, PARTICIPANTS, STRANGER, World, seed_of

_BLOCK_MAX = 5


@dataclass(frozen=True)
class PastBlock:
    """One block of a history, and what it must come to."""

    time_ms: int
    wires: tuple[bytes, ...]
    digest: bytes


class SigningWorld(World):
    """A world whose transactions carry real signatures, so that any node can apply them."""

    def sign(self, author: str, operations: tuple[Operation, ...], seal_by: int) -> Transaction:
        public = self.signing_key(author)
        key = secret_key(self.seeds.get(public, seed_of(author)))
        body = encode_body(
            TransactionBody(self.network_id, author, public, self.nonce, seal_by, operations)
        )
        return decode_transaction(encode_wire(body, sign(key, signed_bytes(body))))

    def signed(self, who: str, operation: DirectOperation) -> Transaction:
        """A transaction of `who`, or of a stranger who carries a bare key's operation."""
        self.nonce += 1
        seal_by = self.height + 10
        if who != BARE:
            return self.sign(who, (operation,), seal_by)
        inner = encode_operation(operation)
        message = by_key_message(self.network_id, STRANGER, self.nonce, seal_by, inner)
        wrapped = ByKey(public_key(SEED), sign(SEED, message), inner)
        return self.sign(STRANGER, (wrapped,), seal_by)


def random_history(
    seed: int, blocks: int, genesis: Genesis | None = None
) -> tuple[SigningWorld, list[PastBlock]]:
    """`blocks` blocks after the opening ones, and the world they lead to."""
    rng = random.Random(seed)
    world = SigningWorld(genesis)
    past: list[PastBlock] = []

    def apply(transactions: list[Transaction]) -> None:
        world.block(transactions)
        wires = tuple(transaction.wire for transaction in transactions)
        past.append(PastBlock(world.now, wires, world.digest.value()))

    for who, operation in opening(500_000):
        apply([world.signed(who, operation)])
    moves, members = Moves(world), MemberMoves(world)
    for _ in range(blocks):
        if rng.random() < 0.05:
            world.later(rng.choice((1, 5, 25, 73, 16 * 24)) * HOUR)
        apply([_step(rng, world, moves, members) for _ in range(rng.randrange(1, _BLOCK_MAX + 1))])
    return world, past


def _step(
    rng: random.Random, world: SigningWorld, moves: Moves, members: MemberMoves
) -> Transaction:
    draw: Draw = (rng.randrange(10_000), rng.randrange(10_000))
    if rng.random() < 0.1 and invoices(world):
        return world.signed(*members.make(rng.choice(MEMBER_KINDS), draw))
    blues = [row for row in invoices(world).values() if not row.red]
    if not blues or rng.random() < 0.06:
        return world.signed(*moves.issue(draw))
    row = blues[-1 - min(len(blues) - 1, int(rng.expovariate(0.3)))]
    kind = rng.choice(moves.suggested(row)) if rng.random() < 0.8 else rng.choice(KINDS)
    who, operation = moves.make(kind, row, draw)
    if rng.random() < 0.05:
        who = rng.choice(PARTICIPANTS)
    return world.signed(who, operation)

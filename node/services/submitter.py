"""The node as its API sees it: `node.services.ports.NodeFacade` over the real parts.

Owns what is written: signing for the participant, promises, repeated requests. Reading is
`node.services.ledger_service`; what a domain adds to operations is its own. Knows no HTTP, no p2p
and no consensus.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from node.custody.signer import Signer
from node.custody.wallet import Wallet, WalletError, parse_claim_text
from node.following.identity import NodeIdentity
from node.following.outcomes import (
    BusyError,
    Idempotency,
    IdempotencyConflictError,
    Submission,
    TooLargeError,
    TransactionState,
    UnknownWalletKeyError,
    WriteRefusal,
    WriteRefusedError,
)
from node.following.parts import Following
from node.ledger.codes import Code
from node.ledger.execution.bykey import by_key_message, encode_operation
from node.ledger.genesis import Terms
from node.ledger.operations import ByKey, Operation
from node.ledger.signing import sign
from node.ledger.transaction import (
    BLOBS_BYTES_MAX,
    TRANSACTION_BYTES_MAX,
    Transaction,
    TransactionBody,
    decode_transaction,
    encode_body,
    encode_wire,
    signed_bytes,
)
from node.services.ledger_service import Discloser, LedgerService
from node.services.status import Check, NodeStatus
from node.storage.outbox import Outbox, Promise, RememberedAnswer
from node.submission.intake import Intake, OutboxFullError

VALIDITY_HEIGHTS = 20_000
"""Own transactions are valid for so many heights: over three minutes at the fastest pace."""


class Health(Protocol):
    """What only the wiring can tell."""

    def status(self) -> NodeStatus:
        """A snapshot of the whole node."""
        ...

    def checks(self) -> Sequence[Check]:
        """Readiness conditions."""
        ...

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now."""
        ...


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    """The answer kept under an Idempotency-Key."""

    txid: bytes
    numbers: tuple[str, ...]


class Drawn(msgspec.Struct, frozen=True):
    """What was made for one transaction and must be made once only."""

    operations: Sequence[Operation]
    blobs: Sequence[bytes]
    numbers: tuple[str, ...]
    """Told to the client, now and whenever it repeats its request."""
    serials: Sequence[tuple[str, int]]
    """Kept with the promise: the next serial of each segment."""
    on_stored: Callable[[], None]
    """Called once all of it is durable, before anything else is drawn."""


class Companions(Protocol):
    """What a domain adds to operations before they are signed."""

    async def complete(
        self, operations: Sequence[Operation], party: str, *, by_key: bool
    ) -> list[Operation]:
        """The operations as they are to be signed, and what goes along with them.

        Args:
            operations: What was asked for.
            party: Whose they are: the participant, or a bare key of the wallet in hex.
            by_key: They are of a bare key.
        """
        ...


class DomainPieces(Protocol):
    """What the domains of a network add to writing and reading."""

    @property
    def companions(self) -> Sequence[Companions]:
        """What is added to operations, in this order."""
        ...

    @property
    def discloser(self) -> Discloser:
        """Shows items of sealed details."""
        ...


class Submitter(LedgerService):
    """Implements `NodeFacade` for one participant."""

    def __init__(
        self,
        identity: NodeIdentity,
        following: Following,
        intake: Intake,
        outbox: Outbox,
        signer: Signer,
        wallet: Wallet,
        health: Health,
        domains: DomainPieces,
    ) -> None:
        super().__init__(identity, following, intake, domains.discloser)
        self._genesis = identity.genesis
        self._participant = identity.participant
        self._signer = signer
        self._wallet = wallet
        self._outbox = outbox
        self._health = health
        self._companions = domains.companions
        self._one_at_a_time = asyncio.Lock()
        """Each number is drawn once, and each Idempotency-Key answered by one request."""

    # --- Memory reads ------------------------------------------------------------------------

    @property
    def participant(self) -> str:
        """The id of the participant this node signs for."""
        return self._participant

    @property
    def terms(self) -> Terms:
        """The network's terms and limits."""
        return self._genesis.terms

    @property
    def home_currency(self) -> str:
        """Of the network's quotas."""
        return self._genesis.home_currency

    @property
    def utc_offset_minutes(self) -> int:
        """Of the network's days and months."""
        return self._genesis.utc_offset_minutes

    def status(self) -> NodeStatus:
        """A snapshot."""
        return self._health.status()

    def checks(self) -> Sequence[Check]:
        """All readiness conditions."""
        return self._health.checks()

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now, or None."""
        return self._health.write_refusal()

    # --- Writes ------------------------------------------------------------------------------

    async def submit_signed(self, wires: Sequence[bytes]) -> Sequence[Submission]:
        """Admit and store signed transactions; one submission each, in order."""
        self.check_writable()
        try:
            judged = await self._intake.submit(wires)
        except OutboxFullError as error:
            raise BusyError(str(error)) from error
        answers = []
        for item in judged:
            txid = item.txid
            if item.code is Code.OK:
                answers.append(Submission(txid, TransactionState.PENDING))
            elif item.code is Code.DUPLICATE and txid is not None:
                answers.append(await self._known_submission(txid))
            else:
                answers.append(Submission(txid, TransactionState.REFUSED, item.code, item.detail))
        return answers

    async def submit_operations(
        self,
        operations: Sequence[Operation],
        blobs: Sequence[bytes] = (),
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Sign one transaction with this node's key and store it in the outbox."""
        self.check_writable()
        self.check_actor(actor)
        transaction = self._sign(await self._complete(operations, actor), blobs, actor)
        if idempotency is None:
            await self._promise(transaction, (), (), None)
            return Submission(transaction.txid, TransactionState.PENDING)
        async with self._one_at_a_time:
            known = await self._answered(idempotency)
            if known is not None:
                return await self._known_submission(known.txid)
            await self._promise(transaction, (), (), idempotency)
        return Submission(transaction.txid, TransactionState.PENDING)

    async def submit_drawn(
        self, draw: Callable[[], Awaitable[Drawn]], idempotency: Idempotency | None = None
    ) -> tuple[tuple[str, ...], Submission]:
        """Sign and store what `draw` makes, while nothing else is drawn.

        A repeated request draws nothing: it is answered with the numbers of the first.

        Raises: as `submit_operations`, and what `draw` raises.
        """
        self.check_writable()
        async with self._one_at_a_time:
            known = await self._answered(idempotency)
            if known is not None:
                return known.numbers, await self._known_submission(known.txid)
            drawn = await draw()
            transaction = self._sign(await self._complete(drawn.operations, None), drawn.blobs)
            await self._promise(transaction, drawn.numbers, drawn.serials, idempotency)
            drawn.on_stored()
        return drawn.numbers, Submission(transaction.txid, TransactionState.PENDING)

    def wallet_keys(self) -> Sequence[bytes]:
        """Public keys of the wallet, oldest first."""
        return self._wallet.keys

    async def make_wallet_key(self) -> bytes:
        """A fresh bare key in the wallet; its public half."""
        try:
            return await self._wallet.make()
        except WalletError as error:
            raise BusyError(str(error)) from error

    async def import_wallet_key(self, text: str) -> bytes:
        """Take a claim key over; its public half."""
        try:
            return await self._wallet.add(parse_claim_text(text))
        except WalletError as error:
            raise BusyError(str(error)) from error

    def check_actor(self, actor: bytes | None) -> None:
        """Raise UnknownWalletKeyError if the wallet holds no such key."""
        if actor is not None and self._wallet.secret(actor) is None:
            raise UnknownWalletKeyError("the wallet holds no such key")

    def party_of(self, actor: bytes | None) -> str:
        """Whose an operation is: this participant's, or that bare key's."""
        return self._participant if actor is None else actor.hex()

    async def _complete(
        self, operations: Sequence[Operation], actor: bytes | None
    ) -> Sequence[Operation]:
        for domain in self._companions:
            party, by_key = self.party_of(actor), actor is not None
            operations = await domain.complete(operations, party, by_key=by_key)
        return operations

    def check_writable(self) -> None:
        """Raise WriteRefusedError if this node takes no write now."""
        refusal = self._health.write_refusal()
        if refusal is not None:
            raise WriteRefusedError(refusal)

    async def _answered(self, idempotency: Idempotency | None) -> _Remembered | None:
        if idempotency is None:
            return None
        remembered = await self._outbox.remembered(idempotency.key)
        if remembered is None:
            return None
        if remembered.request != idempotency.fingerprint:
            raise IdempotencyConflictError("this Idempotency-Key belongs to another request")
        return msgspec.msgpack.decode(remembered.answer, type=_Remembered)

    async def _known_submission(self, txid: bytes) -> Submission:
        status = await self.transaction(txid)
        if status is None:
            return Submission(txid, TransactionState.PENDING)
        return Submission(txid, status.state, status.code)

    def _sign(
        self,
        operations: Sequence[Operation],
        blobs: Sequence[bytes],
        actor: bytes | None = None,
    ) -> Transaction:
        nonce = int.from_bytes(os.urandom(8), "big") >> 1
        valid_until = self._tracker.height + min(
            VALIDITY_HEIGHTS, self._genesis.terms.validity_heights
        )
        if actor is not None:
            operations = [
                self._by_key(actor, operation, nonce, valid_until) for operation in operations
            ]
        key = self._signer.signing_key(operations)
        body = encode_body(
            TransactionBody(
                network=self._voters.network_id,
                author=self._participant,
                key=key[32:],
                nonce=nonce,
                valid_until=valid_until,
                operations=tuple(operations),
            )
        )
        if len(body) + 64 > TRANSACTION_BYTES_MAX or sum(map(len, blobs)) > BLOBS_BYTES_MAX:
            raise TooLargeError("the operations do not fit one transaction")
        signature = sign(key, signed_bytes(body))
        return decode_transaction(encode_wire(body, signature, tuple(blobs)))

    def _by_key(self, actor: bytes, operation: Operation, nonce: int, valid_until: int) -> ByKey:
        """The operation as the wallet's key signs it, for this very transaction."""
        secret = self._wallet.secret(actor)
        assert secret is not None, "checked before"
        assert not isinstance(operation, ByKey), "made here only"
        encoded = encode_operation(operation)
        message = by_key_message(
            self._voters.network_id, self._participant, nonce, valid_until, encoded
        )
        return ByKey(actor, sign(secret, message), encoded)

    async def _promise(
        self,
        transaction: Transaction,
        numbers: Sequence[str],
        serials: Sequence[tuple[str, int]],
        idempotency: Idempotency | None,
    ) -> None:
        remembered = None
        if idempotency is not None:
            answer = msgspec.msgpack.encode(_Remembered(transaction.txid, tuple(numbers)))
            remembered = RememberedAnswer(idempotency.fingerprint, answer)
        promise = Promise(
            items=(),
            serials=serials,
            idempotency_key=None if idempotency is None else idempotency.key,
            remembered=remembered,
        )
        try:
            await self._intake.promise([transaction], promise)
        except OutboxFullError as error:
            raise BusyError(str(error)) from error

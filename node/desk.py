"""The node as its API sees it: `node.services.ports.NodeFacade` over the real parts.

Owns what is written: signing for the participant, drawing of numbers, sealing of details, promises.
Reading is `node.reading`. Knows no HTTP, no p2p and no consensus.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Protocol

import msgspec

from node.attachments import WaitingFiles
from node.chain.disclosure import commit, items_of
from node.chain.voters import VoterSet
from node.clock import SystemClock
from node.domains.invoices.details.drafts import InvoiceDraft, Issued, RedDraft
from node.following.outcomes import (
    BusyError,
    Idempotency,
    IdempotencyConflictError,
    NotDisclosableError,
    Submission,
    TooLargeError,
    TransactionState,
    UnknownWalletKeyError,
    WriteRefusal,
    WriteRefusedError,
)
from node.intake import History, Intake, OutboxFullError
from node.issuance import Issuance
from node.keyring import Keyring
from node.ledger.bykey import by_key_message, encode_operation
from node.ledger.codes import Code
from node.ledger.genesis import Genesis, Terms
from node.ledger.invoices.operations import (
    OfferInvoice,
    RequestRedLetter,
    ShareDetails,
    SubmitInvoice,
)
from node.ledger.operations import ByKey, Operation
from node.ledger.signing import public_key, sign
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
from node.members import Members
from node.readers import Readers
from node.reading import Reading
from node.retired import StandIn
from node.sealing import details_salt
from node.services.status import Check, NodeStatus
from node.signer import Signer
from node.storage.ledger_reader import LedgerReader
from node.storage.outbox import Outbox, Promise, RememberedAnswer
from node.tracker import Tracker
from node.unsealing import Unsealer
from node.wallet import Wallet, WalletError, claim_seed, claim_text, parse_claim_text

VALIDITY_HEIGHTS = 20_000
"""Own transactions are valid for so many heights: over three minutes at the fastest pace."""


class Vitals(Protocol):
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


class Desk(Reading):
    """Implements `NodeFacade` for one participant."""

    def __init__(
        self,
        genesis: Genesis,
        voters: VoterSet,
        participant: str,
        members: Members,
        signer: Signer,
        keyring: Keyring,
        wallet: Wallet,
        intake: Intake,
        outbox: Outbox,
        tracker: Tracker,
        reader: LedgerReader,
        history: History,
        vitals: Vitals,
    ) -> None:
        readers = Readers(members)
        unsealer = Unsealer(keyring, readers, reader)
        super().__init__(voters, intake, tracker, reader, history, unsealer)
        self._genesis = genesis
        self._participant = participant
        self._signer = signer
        self._stand_in = StandIn(participant, members, reader)
        self._keyring = keyring
        self._wallet = wallet
        self._outbox = outbox
        self._vitals = vitals
        self._files = WaitingFiles(lambda: SystemClock().monotonic_ms() / 1000)
        self._issuance = Issuance(participant, keyring, readers, outbox, reader, self._files)
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

    def status(self) -> NodeStatus:
        """A snapshot."""
        return self._vitals.status()

    def checks(self) -> Sequence[Check]:
        """All readiness conditions."""
        return self._vitals.checks()

    def write_refusal(self) -> WriteRefusal | None:
        """Why writes are refused now, or None."""
        return self._vitals.write_refusal()

    # --- Writes ------------------------------------------------------------------------------

    async def submit_signed(self, wires: Sequence[bytes]) -> Sequence[Submission]:
        """Admit and store signed transactions; one submission each, in order."""
        self._check_writable()
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
        """Sign one transaction with this node's key and store it in the outbox.

        Whoever is offered an invoice, or is to reimburse it, gets the key of its details with it.
        """
        self._check_writable()
        self._check_actor(actor)
        shares = await self._shares(operations, self._reference(actor))
        if actor is None:
            operations = await self._stand_in.wrap(operations)
        transaction = self._sign([*operations, *shares], blobs, actor)
        if idempotency is None:
            await self._promise(transaction, (), (), None)
            return Submission(transaction.txid, TransactionState.PENDING)
        async with self._one_at_a_time:
            known = await self._answered(idempotency)
            if known is not None:
                return await self._known_submission(known.txid)
            await self._promise(transaction, (), (), idempotency)
        return Submission(transaction.txid, TransactionState.PENDING)

    async def request_red(
        self,
        operation: RequestRedLetter,
        details: bytes,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Ask for a red letter with details, sealed to the invoice's parties."""
        commitment, sealed = await self._issuance.seal_form(operation.invoice, details)
        operation = msgspec.structs.replace(
            operation, details=commitment, blobs=(sealed.blob_hash,)
        )
        return await self.submit_operations((operation,), (sealed.blob,), idempotency, actor)

    async def issue(
        self,
        drafts: Sequence[InvoiceDraft | RedDraft],
        idempotency: Idempotency | None = None,
    ) -> Issued:
        """Draw numbers from the participant's segments, seal details, sign and store."""
        self._check_writable()
        async with self._one_at_a_time:
            known = await self._answered(idempotency)
            if known is not None:
                return Issued(known.numbers, await self._known_submission(known.txid))
            numbers, serials = await self._issuance.draw(len(drafts))
            operations, blobs = await self._issuance.operations(drafts, numbers)
            transaction = self._sign(await self._stand_in.wrap(operations), blobs)
            await self._promise(transaction, numbers, serials, idempotency)
            self._issuance.drawn(serials)
        return Issued(tuple(numbers), Submission(transaction.txid, TransactionState.PENDING))

    async def keep_attachment(self, content: bytes) -> bytes:
        """Keep a file until an invoice names it; its SHA-256."""
        return self._files.add(content)

    async def share(
        self,
        number: str,
        party: str,
        idempotency: Idempotency | None = None,
        actor: bytes | None = None,
    ) -> Submission:
        """Let `party` read an invoice's details."""
        self._check_writable()
        self._check_actor(actor)
        operations = await self.unsealer.share(number, self._reference(actor), (party,), again=True)
        if not operations:
            raise NotDisclosableError(
                "this node cannot open the details, or may not share them, or there is no key"
            )
        return await self.submit_operations(operations, (), idempotency, actor)

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

    def claim_buyer(self, order: bytes) -> str:
        """The party reference of the claim key that belongs to an order of this participant."""
        return public_key(claim_seed(self._keyring.salt_secret, order)).hex()

    def details_commitment(self, order: bytes, details: bytes) -> bytes:
        """The commitment that sealing the details of an order makes, whenever it is done."""
        return commit(items_of(details), details_salt(self._keyring.salt_secret, order))

    def claim_key(self, order: bytes, buyer: str) -> str | None:
        """The claim key of an order, if `buyer` is the key made for it."""
        seed = claim_seed(self._keyring.salt_secret, order)
        return claim_text(seed) if public_key(seed).hex() == buyer else None

    def _check_actor(self, actor: bytes | None) -> None:
        if actor is not None and self._wallet.secret(actor) is None:
            raise UnknownWalletKeyError("the wallet holds no such key")

    def _reference(self, actor: bytes | None) -> str:
        return self._participant if actor is None else actor.hex()

    async def _shares(self, operations: Sequence[Operation], actor: str) -> list[ShareDetails]:
        """What lets the receivers of these operations read the invoices they are about."""
        shares: list[ShareDetails] = []
        for operation in operations:
            if isinstance(operation, OfferInvoice | SubmitInvoice) and (
                isinstance(operation, OfferInvoice) or operation.amount
            ):
                shares += await self.unsealer.share(operation.invoice, actor, (operation.to,))
        return shares

    def _check_writable(self) -> None:
        refusal = self._vitals.write_refusal()
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

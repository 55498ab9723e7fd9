"""Applying a block: which rows it reads, what each transaction comes to, which rows change.

Owns the envelope's checks, all-or-none, and that a transaction over which a rule fails costs itself
only; the rules are in `registers`, `regions`, `governance`, `keys`, `issuing`, `holding`, `claims`,
`booking` and `redletters`. Pure: the same state, context and transactions give the same outcome on
every node. Verifies bare keys' signatures; the author's is verified by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from node.ledger.blobs import named_blobs, travelling_blobs
from node.ledger.bykey import inner_operation, live_id, message_of
from node.ledger.codes import LEAFLESS_MAX, Code, Table
from node.ledger.context import BlockContext
from node.ledger.faults import FAULTS_KEPT_MAX, MACHINE_ERRORS, RuleFault
from node.ledger.footprint import Footprint, expired_max, expiry_scan, footprint
from node.ledger.invoices import (
    booking,
    claims,
    discrepancies,
    freezing,
    holding,
    issuing,
    redletters,
    regions,
    registers,
    responses,
    sharing,
)
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau_operations import (
    AllotRegion,
    AllotSegment,
    GrantQuota,
    PublishExchangeRate,
    PublishTaxRates,
    ResumeIssuing,
    SuspendIssuing,
)
from node.ledger.invoices.on_invoice import edit_invoice
from node.ledger.invoices.operations import ActForRetired
from node.ledger.invoices.region_rows import REGIONS, REGIONS_OF
from node.ledger.invoices.rows import (
    ALLOTMENTS,
    DISCREPANCIES,
    EXCHANGE_RATES,
    INVOICES,
    ORDERS,
    QUOTAS,
    SEGMENTS,
    SHARES,
    TAX_RATES,
    InvoiceRow,
)
from node.ledger.membership import governance, keys
from node.ledger.membership import operations as membership
from node.ledger.membership.rows import GOVERNANCE, PROPOSALS
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.participants import (
    ALL_SCOPES,
    PARTICIPANTS,
    ParticipantRow,
    ParticipantState,
    find_key,
)
from node.ledger.row_codec import LIVE, RULES, RULES_KEY, TableKind, live_key
from node.ledger.scopes import SCOPES_OF
from node.ledger.signing import verify
from node.ledger.state import RowChange, State
from node.ledger.step import Note, Step
from node.ledger.stored import PrefetchedState, Scan, StateView, UnprefetchedError
from node.ledger.transaction import VALIDITY_WINDOW_MAX, Transaction, TransactionBody
from node.ledger.types import Role

__all__ = [
    "BlockContext",
    "BlockOutcome",
    "CheckedTransaction",
    "Footprint",
    "Note",
    "PrefetchedState",
    "Result",
    "RowChange",
    "RuleFault",
    "Scan",
    "StateView",
    "UnknownRulesError",
    "UnprefetchedError",
    "execute_block",
    "footprint",
    "named_blobs",
    "travelling_blobs",
]

RULES_VERSION = 1
"""The version of the rules that this program holds."""


class UnknownRulesError(RuntimeError):
    """The state's active rules are not this program's: the node must stop applying."""


class CheckedTransaction(msgspec.Struct, frozen=True, gc=False):
    """A decoded transaction and whether its author's signature is good."""

    transaction: Transaction
    signature_valid: bool
    certified: bool = False
    """It stands in a certified block: whoever applied it first saw all its blobs, and some of them
    may be gone since. Those that are there must still be named by it."""


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one transaction."""

    txid: bytes
    code: Code
    operation: int | None
    """Position of the operation that was refused; None for the envelope, or when applied."""
    leaf: bool
    """Whether it leaves a leaf, and a txid record, in the ledger."""
    notes: tuple[Note, ...] = ()
    """Of an applied transaction: at most one an operation, in their order."""
    blobs: tuple[tuple[bytes, bytes], ...] = ()
    """Of an applied transaction: hashes and bodies of its sealed blobs, in order."""


class BlockOutcome(msgspec.Struct, frozen=True):
    """What a block did."""

    results: list[Result]
    """One for each transaction, in order."""
    changes: list[RowChange]
    """Each row at most once."""
    invoices: list[InvoiceRow]
    """Those that it wrote, as it left them; one that is as before may be among them."""
    faults: Sequence[RuleFault] = ()
    """Transactions over which the rules failed."""


_InvoiceRule = Callable[[Step, InvoiceRow, Any], Code]
_OPEN_ONLY = True

KINDS: tuple[TableKind[Any], ...] = (
    RULES,
    PARTICIPANTS,
    LIVE,
    SEGMENTS,
    ALLOTMENTS,
    QUOTAS,
    TAX_RATES,
    EXCHANGE_RATES,
    INVOICES,
    ORDERS,
    GOVERNANCE,
    PROPOSALS,
    REGIONS,
    REGIONS_OF,
    SHARES,
    DISCREPANCIES,
)
"""Every table of the state."""

# Operation → its rule, and whether a frozen, cancelled or credited invoice refuses it (DOMAIN §3).
# Row 12's issue refuses that itself: an order that is repeated succeeds on a closed invoice too.
_INVOICE_RULES: dict[type, tuple[_InvoiceRule, bool]] = {
    ops.RespondInvoice: (responses.respond, _OPEN_ONLY),
    ops.LapseResponse: (responses.lapse, False),
    ops.RuleDispute: (responses.rule, False),
    ops.FreezeInvoice: (freezing.freeze, False),
    ops.UnfreezeInvoice: (freezing.unfreeze, False),
    ops.OfferInvoice: (holding.offer, _OPEN_ONLY),
    ops.SignOffer: (holding.sign, _OPEN_ONLY),
    ops.RefuseOffer: (holding.refuse, _OPEN_ONLY),
    ops.WithdrawOffer: (holding.withdraw, _OPEN_ONLY),
    ops.SubmitInvoice: (claims.submit, _OPEN_ONLY),
    ops.ClaimInvoice: (claims.claim, _OPEN_ONLY),
    ops.ReleaseClaim: (claims.release, False),
    ops.ReimburseClaim: (claims.reimburse, _OPEN_ONLY),
    ops.BookInvoice: (booking.book, _OPEN_ONLY),
    ops.UnbookInvoice: (booking.unbook, _OPEN_ONLY),
    ops.CancelInvoice: (issuing.cancel, _OPEN_ONLY),
    ops.RequestRedLetter: (redletters.request, _OPEN_ONLY),
    ops.ConfirmRedLetter: (redletters.confirm, False),
    ops.DenyRedLetter: (redletters.deny, False),
    ops.WithdrawRedLetter: (redletters.withdraw, False),
    ops.LapseRedLetter: (redletters.lapse, False),
    ops.ConsentRedLetter: (redletters.consent, _OPEN_ONLY),
    ops.IssueRedLetter: (redletters.issue_red, False),
}

_OTHER_RULES: dict[type, Callable[[Step, Any], Code]] = {
    ops.IssueInvoice: issuing.issue,
    # A red invoice takes these too, and reading moves no value.
    ops.ShareDetails: sharing.share,
    ops.RecordDiscrepancy: discrepancies.record,
    ops.ResolveDiscrepancy: discrepancies.resolve,
    AllotSegment: registers.allot_segment,
    GrantQuota: registers.grant_quota,
    PublishTaxRates: registers.publish_tax_rates,
    PublishExchangeRate: registers.publish_exchange_rate,
    AllotRegion: regions.allot_region,
    SuspendIssuing: registers.suspend_issuing,
    ResumeIssuing: registers.resume_issuing,
    membership.AddKey: keys.add_key,
    membership.RevokeKey: keys.revoke_key,
    membership.RotateKey: keys.rotate_key,
    membership.Propose: governance.propose,
    membership.Vote: governance.vote,
    membership.WithdrawProposal: governance.withdraw,
}

# What a party without a participant's roles can be: buyer, holder, receiver, or anyone.
_OPEN_TO_KEYS = frozenset(
    {
        ops.RespondInvoice,
        ops.LapseResponse,
        ops.ShareDetails,
        ops.OfferInvoice,
        ops.SignOffer,
        ops.RefuseOffer,
        ops.WithdrawOffer,
        ops.SubmitInvoice,
        ops.ReleaseClaim,
        ops.BookInvoice,
        ops.UnbookInvoice,
        ops.RequestRedLetter,
        ops.ConfirmRedLetter,
        ops.DenyRedLetter,
        ops.WithdrawRedLetter,
        ops.LapseRedLetter,
    }
)


def execute_block(
    view: StateView, context: BlockContext, transactions: Sequence[CheckedTransaction]
) -> BlockOutcome:
    """Apply the transactions of one block, each all or none.

    Args:
        view: The state before the block; at least what `footprint` names.
        context: The block.
        transactions: In the order of the entry.

    Raises:
        UnknownRulesError: when the state follows rules that this program does not hold.
        Exception: of the machine (`MACHINE_ERRORS`).
    """
    try:
        return _execute(view, context, transactions, careful=False)
    except (*MACHINE_ERRORS, UnknownRulesError):
        raise
    except Exception:  # noqa: BLE001 - a row that cannot be stored
        # Rows are encoded once a block, so whose it is shows only transaction by transaction.
        return _execute(view, context, transactions, careful=True)


def _execute(
    view: StateView,
    context: BlockContext,
    transactions: Sequence[CheckedTransaction],
    *,
    careful: bool,
) -> BlockOutcome:
    state = State(view, KINDS)
    active = state[RULES].get(RULES_KEY)
    if active is None or active.version != RULES_VERSION:
        raise UnknownRulesError(f"active rules: {active}, this program holds {RULES_VERSION}")
    run = _Run(state, context, careful=careful)
    results = [run.transaction(checked) for checked in transactions]
    scan = expiry_scan(context.height, len(transactions))
    # The leaves alone must tell what a block did: what left none does not count here.
    limit = expired_max(sum(result.leaf for result in results))
    expired = [RowChange(Table.TXID, key, old, None) for key, old in view.scan(scan)[:limit]]
    changes = expired + state.changes()
    return BlockOutcome(results, changes, state[INVOICES].written(), run.faults)


_ENVELOPE = -1
"""Position while no operation has begun."""


class _Run:
    """One block's execution."""

    def __init__(self, state: State, context: BlockContext, *, careful: bool) -> None:
        self._state = state
        self._careful = careful
        """Look at the rows of each transaction before it counts."""
        self.faults: list[RuleFault] = []
        self._height = context.height
        self._network = context.network_id
        self._window = min(context.terms.validity_heights, VALIDITY_WINDOW_MAX)
        self._step = Step(state, context)

    def transaction(self, checked: CheckedTransaction) -> Result:
        """Apply one transaction and commit or roll back what it wrote, whatever its rules do."""
        self._step.position = _ENVELOPE
        try:
            return self._transaction(checked)
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - the fault costs this transaction only
            return self._fault(checked.transaction, error)

    def _fault(self, transaction: Transaction, error: Exception) -> Result:
        """What is left of a transaction over which a rule failed.

        Before its author and signature are known that is nothing: a leaf is of who may author.
        """
        self._state.roll_back()
        position = self._step.position
        leaf = position != _ENVELOPE
        operation = position if leaf else None
        kept = error if len(self.faults) < FAULTS_KEPT_MAX else None
        self.faults.append(RuleFault(transaction.txid, operation, kept))
        if leaf:
            key = live_key(transaction.body.valid_until, transaction.txid)
            self._state[LIVE].put_at_once(key, self._height)
        return Result(transaction.txid, Code.RULE_FAULT, operation, leaf)

    def _transaction(self, checked: CheckedTransaction) -> Result:
        transaction = checked.transaction
        body, txid = transaction.body, transaction.txid
        author = self._state[PARTICIPANTS].get(body.author.encode())
        key = live_key(body.valid_until, txid)
        signing = None if author is None else find_key(author.signing_keys, body.key, self._height)
        if author is None or signing is None:
            code = Code.UNKNOWN_AUTHOR if body.network == self._network else Code.WRONG_NETWORK
            return Result(txid, code, None, leaf=False)
        scope = signing.scope
        code = self._refuse_envelope(body, author, key, signed=checked.signature_valid)
        if code:
            return Result(txid, code, None, leaf=False)
        blobs, code = travelling_blobs(transaction, some=checked.certified)
        if code:
            return Result(txid, code, None, leaf=False)
        step = self._step
        step.txid = txid
        step.notes = []
        step.numbers_of = author.id
        for position, operation in enumerate(body.operations):
            step.position = position
            step.participant = author
            step.actor = author.id
            if scope != ALL_SCOPES and not scope & SCOPES_OF[type(operation)]:
                code = Code.KEY_SCOPE
                break
            rule = _OTHER_RULES.get(type(operation))
            code = rule(step, operation) if rule else self._operation(body, operation)
            if code:
                break
        else:
            if self._careful:
                self._state.check_open()
            self._state.commit()
            self._state[LIVE].put_at_once(key, self._height)
            return Result(txid, Code.OK, None, True, tuple(step.notes), blobs)
        self._state.roll_back()
        if code <= LEAFLESS_MAX:
            return Result(txid, code, position, leaf=False)
        self._state[LIVE].put_at_once(key, self._height)
        return Result(txid, code, position, leaf=True)

    def _refuse_envelope(
        self, body: TransactionBody, author: ParticipantRow, key: bytes, *, signed: bool
    ) -> Code:
        if body.network != self._network:
            return Code.WRONG_NETWORK
        if author.state is not ParticipantState.ACTIVE:
            return Code.AUTHOR_NOT_ACTIVE
        if not signed:
            return Code.BAD_SIGNATURE
        if body.valid_until < self._height:
            return Code.EXPIRED
        if body.valid_until - self._height > self._window:
            return Code.VALIDITY_TOO_LONG
        return Code.OK if self._state[LIVE].get(key) is None else Code.DUPLICATE

    def _operation(self, body: TransactionBody, operation: Operation) -> Code:
        """Apply any operation. Those of `_OTHER_RULES`, issuing above all, need not come here."""
        if isinstance(operation, ByKey):
            return self._by_key(body, operation)
        if isinstance(operation, ActForRetired):
            return self._for_retired(operation)
        return self._direct(operation)

    def _direct(self, operation: DirectOperation) -> Code:
        found = _INVOICE_RULES.get(type(operation))
        if found is None:
            return _OTHER_RULES[type(operation)](self._step, operation)
        rule, open_only = found
        invoice = edit_invoice(self._step, operation.invoice)  # type: ignore[union-attr]
        if invoice is None:
            return Code.UNKNOWN_INVOICE
        if invoice.original is not None:
            return Code.RED_TAKES_NO_OPERATION
        if open_only and (invoice.frozen or invoice.closed):
            return Code.FROZEN if invoice.frozen else Code.DOCUMENT_CLOSED
        return rule(self._step, invoice, operation)

    def _for_retired(self, op: ActForRetired) -> Code:
        """Apply a red-letter operation of the tax bureau as the retired issuer's."""
        step = self._step
        if not step.has_role(Role.TAX_BUREAU):
            return Code.NOT_BUREAU
        issuer = self._state[PARTICIPANTS].get(op.issuer.encode())
        if issuer is None:
            return Code.UNKNOWN_PARTY
        if issuer.state is not ParticipantState.RETIRED:
            return Code.PARTICIPANT_STATE
        invoice = self._state[INVOICES].get(op.operation.invoice.encode())
        if invoice is not None and invoice.issuer != issuer.id:
            return Code.WRONG_PARTY  # the rules would let it act as the buyer, too
        step.participant, step.actor = issuer, issuer.id
        return self._direct(op.operation)

    def _by_key(self, body: TransactionBody, wrapped: ByKey) -> Code:
        """Apply an operation for the bare key that signed it, at most once."""
        operation = inner_operation(wrapped)
        if operation is None:
            return Code.MALFORMED
        if type(operation) not in _OPEN_TO_KEYS:
            return Code.NOT_PERMITTED
        message = message_of(body, wrapped)
        key = live_key(body.valid_until, live_id(wrapped.key, message))
        used = self._state[LIVE].get(key) is not None
        if used or not verify(wrapped.key, message, wrapped.signature):
            return Code.PARTY_SIGNATURE_INVALID
        self._state[LIVE].put(key, self._height)
        self._step.participant = None
        self._step.actor = wrapped.key.hex()
        return self._direct(operation)

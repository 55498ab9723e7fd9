"""Applying a block: which rows it reads, what each transaction comes to, which rows change.

Owns the envelope's checks, all-or-none, and that a transaction over which a rule fails costs itself
only. The rules are those of a rulebook; this knows none of them. Pure: the same state, context and
transactions give the same outcome on every node. Verifies bare keys' signatures; the author's is
verified by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.ledger.codes import LEAFLESS_MAX, Code, Table
from node.ledger.context import BlockContext
from node.ledger.execution.blobs import named_blobs, travelling_blobs
from node.ledger.execution.bykey import inner_operation, live_id, message_of
from node.ledger.execution.footprint import Footprint, expired_max, expiry_scan, footprint
from node.ledger.faults import FAULTS_KEPT_MAX, MACHINE_ERRORS, RuleFault
from node.ledger.operations import ByKey, Operation
from node.ledger.participants import (
    ALL_SCOPES,
    PARTICIPANTS,
    ParticipantRow,
    ParticipantState,
    find_key,
)
from node.ledger.row_codec import LIVE, RULES, RULES_KEY, live_key
from node.ledger.rulebook import RULEBOOK, Rulebook
from node.ledger.signing import verify
from node.ledger.state import RowChange, State
from node.ledger.step import Note, Step
from node.ledger.stored import PrefetchedState, Scan, StateView, UnprefetchedError
from node.ledger.transaction import VALIDITY_WINDOW_MAX, Transaction, TransactionBody

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
    rows: Mapping[Table, Mapping[bytes, object]]
    """Of the tables that others follow, the rows that it wrote, decoded, as it left them, by key;
    one that is as before may be there."""
    faults: Sequence[RuleFault] = ()
    """Transactions over which the rules failed."""


def execute_block(
    view: StateView,
    context: BlockContext,
    transactions: Sequence[CheckedTransaction],
    rulebook: Rulebook = RULEBOOK,
) -> BlockOutcome:
    """Apply the transactions of one block, each all or none.

    Args:
        view: The state before the block; at least what `footprint` names.
        context: The block.
        transactions: In the order of the entry.
        rulebook: The laws of the network's domains.

    Raises:
        UnknownRulesError: when the state follows rules that this program does not hold.
        Exception: of the machine (`MACHINE_ERRORS`).
    """
    try:
        return _execute(view, context, transactions, rulebook, careful=False)
    except (*MACHINE_ERRORS, UnknownRulesError):
        raise
    except Exception:  # noqa: BLE001 - a row that cannot be stored
        # Rows are encoded once a block, so whose it is shows only transaction by transaction.
        return _execute(view, context, transactions, rulebook, careful=True)


def _execute(
    view: StateView,
    context: BlockContext,
    transactions: Sequence[CheckedTransaction],
    rulebook: Rulebook,
    *,
    careful: bool,
) -> BlockOutcome:
    state = State(view, rulebook.tables)
    active = state[RULES].get(RULES_KEY)
    if active is None or active.version != RULES_VERSION:
        raise UnknownRulesError(f"active rules: {active}, this program holds {RULES_VERSION}")
    run = _Run(state, context, rulebook, careful=careful)
    results = [run.transaction(checked) for checked in transactions]
    scan = expiry_scan(context.height, len(transactions))
    # The leaves alone must tell what a block did: what left none does not count here.
    limit = expired_max(sum(result.leaf for result in results))
    expired = [RowChange(Table.TXID, key, old, None) for key, old in view.scan(scan)[:limit]]
    changes = expired + state.changes()
    rows = {kind.table: table.changed for kind, table in state.items() if kind.followed}
    return BlockOutcome(results, changes, rows, run.faults)


_ENVELOPE = -1
"""Position while no operation has begun."""


class _Run:
    """One block's execution."""

    def __init__(
        self, state: State, context: BlockContext, rulebook: Rulebook, *, careful: bool
    ) -> None:
        self._state = state
        self._rulebook = rulebook
        self._participants = state[PARTICIPANTS]
        self._live = state[LIVE]
        self._careful = careful
        """Look at the rows of each transaction before it counts."""
        self.faults: list[RuleFault] = []
        self._height = context.height
        self._network = context.network_id
        self._window = min(context.terms.validity_heights, VALIDITY_WINDOW_MAX)
        self._step = Step(state, context, rulebook.rules)

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
            self._live.put_at_once(key, self._height)
        return Result(transaction.txid, Code.RULE_FAULT, operation, leaf)

    def _transaction(self, checked: CheckedTransaction) -> Result:
        transaction = checked.transaction
        body, txid = transaction.body, transaction.txid
        author = self._participants.get(body.author.encode())
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
        step.key = body.key
        step.notes = []
        step.numbers_of = author.id
        rules, scopes = self._rulebook.rules, self._rulebook.scopes
        for position, operation in enumerate(body.operations):
            step.position = position
            step.participant = author
            step.actor = author.id
            kind = type(operation)
            # Of a domain that the network has not, no scope is asked: it is refused as such.
            if scope != ALL_SCOPES and not scope & scopes.get(kind, ALL_SCOPES):
                code = Code.KEY_SCOPE
                break
            rule = rules.get(kind)
            code = self._by_key(body, operation) if rule is None else rule(step, operation)
            if code:
                break
        else:
            if self._careful:
                self._state.check_open()
            self._state.commit()
            self._live.put_at_once(key, self._height)
            return Result(txid, Code.OK, None, True, tuple(step.notes), blobs)
        self._state.roll_back()
        if code <= LEAFLESS_MAX:
            return Result(txid, code, position, leaf=False)
        self._live.put_at_once(key, self._height)
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
        return Code.OK if self._live.get(key) is None else Code.DUPLICATE

    def _by_key(self, body: TransactionBody, wrapped: Operation) -> Code:
        """Apply an operation for the bare key that signed it, at most once.

        Also asked of an operation of a domain that these rules do not have, which it refuses.
        """
        if not isinstance(wrapped, ByKey):
            return Code.DOMAIN_ABSENT
        operation = inner_operation(wrapped)
        if operation is None:
            return Code.MALFORMED
        if type(operation) not in self._rulebook.open_to_keys:
            known = type(operation) in self._rulebook.specs
            return Code.NOT_PERMITTED if known else Code.DOMAIN_ABSENT
        message = message_of(body, wrapped)
        key = live_key(body.valid_until, live_id(wrapped.key, message))
        used = self._live.get(key) is not None
        if used or not verify(wrapped.key, message, wrapped.signature):
            return Code.PARTY_SIGNATURE_INVALID
        self._live.put(key, self._height)
        self._step.participant = None
        self._step.actor = wrapped.key.hex()
        return self._step.apply(operation)

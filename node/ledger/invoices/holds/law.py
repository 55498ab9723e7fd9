"""The law of issuing holds, a part of `law`: what is known of each operation."""

from __future__ import annotations

from typing import Any

from node.ledger.codes import Code
from node.ledger.invoices import reads
from node.ledger.invoices.holds import rules as issuing_holds
from node.ledger.invoices.holds.operations import AppealHold, HoldIssuing, LiftHold, UpholdHold
from node.ledger.participants import Scope
from node.ledger.spec import OperationSpec, own_blobs

ROW = 16


HOLD_OPERATIONS: tuple[OperationSpec[Any], ...] = (
    OperationSpec(
        kind=HoldIssuing,
        name="hold_issuing",
        row=ROW,
        apply=issuing_holds.put,
        scopes=Scope.REGISTER,
        refusals=frozenset(
            {
                Code.NOT_BUREAU,
                Code.UNKNOWN_PARTY,
                Code.NOT_PERMITTED,
                Code.PERIOD_INVALID,
                Code.ALREADY_HELD,
            }
        ),
        reads=reads.put_hold,
        carries_blobs=own_blobs,
    ),
    OperationSpec(
        kind=UpholdHold,
        name="uphold_hold",
        row=ROW,
        apply=issuing_holds.uphold,
        scopes=Scope.REGISTER,
        refusals=frozenset(
            {
                Code.NOT_BUREAU,
                Code.NOT_HELD,
                Code.ALREADY_HELD,
                Code.REASON_REQUIRED,
                Code.PERIOD_INVALID,
                Code.SECOND_KEY_NEEDED,
            }
        ),
        reads=reads.hold_of_issuer,
    ),
    OperationSpec(
        kind=LiftHold,
        name="lift_hold",
        row=ROW,
        apply=issuing_holds.lift,
        scopes=Scope.REGISTER,
        refusals=frozenset({Code.NOT_BUREAU, Code.NOT_HELD}),
        reads=reads.hold_of_issuer,
    ),
    OperationSpec(
        kind=AppealHold,
        name="appeal_hold",
        row=ROW,
        apply=issuing_holds.appeal,
        scopes=Scope.ISSUE,
        refusals=frozenset({Code.NOT_HELD, Code.ALREADY_APPEALED}),
        reads=reads.own_hold,
        carries_blobs=own_blobs,
    ),
)

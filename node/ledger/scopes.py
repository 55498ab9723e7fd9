"""Which scopes of a signing key permit which operation (DOMAIN §1). A table; owns no other rule.

One of the scopes named is enough: who may ask for a red letter as the issuer or as the buyer, say,
is the rule's business, and either department may sign it.
"""

from __future__ import annotations

from typing import get_args

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
from node.ledger.membership.operations import (
    AddKey,
    Propose,
    RevokeKey,
    RotateKey,
    Vote,
    WithdrawProposal,
)
from node.ledger.operations import ByKey, Operation
from node.ledger.participants import ALL_SCOPES, Scope

_EITHER_SIDE = Scope.ISSUE | Scope.HOLD
_NAMED: dict[type, Scope] = {
    AllotSegment: Scope.REGISTER,
    GrantQuota: Scope.REGISTER,
    PublishTaxRates: Scope.REGISTER,
    PublishExchangeRate: Scope.REGISTER,
    AllotRegion: Scope.REGISTER,
    SuspendIssuing: Scope.REGISTER,
    ResumeIssuing: Scope.REGISTER,
    ops.ActForRetired: Scope.REGISTER,
    ops.IssueInvoice: Scope.ISSUE,
    ops.CancelInvoice: Scope.ISSUE,
    ops.IssueRedLetter: Scope.ISSUE,
    ops.RequestRedLetter: _EITHER_SIDE,
    ops.ConfirmRedLetter: _EITHER_SIDE,
    ops.DenyRedLetter: _EITHER_SIDE,
    ops.WithdrawRedLetter: _EITHER_SIDE,
    ops.ShareDetails: _EITHER_SIDE | Scope.REGISTER,
    ops.RecordDiscrepancy: Scope.REGISTER,
    ops.ResolveDiscrepancy: Scope.REGISTER,
    ops.ClaimInvoice: Scope.REIMBURSE,
    ops.ReimburseClaim: Scope.REIMBURSE,
    ops.ConsentRedLetter: Scope.REIMBURSE,
    ops.ReleaseClaim: Scope.REIMBURSE | Scope.HOLD,
    ops.BookInvoice: Scope.HOLD | Scope.REIMBURSE,
    ops.UnbookInvoice: Scope.HOLD | Scope.REIMBURSE,
    ops.LapseRedLetter: Scope(ALL_SCOPES),
    ops.LapseResponse: Scope(ALL_SCOPES),
    ops.RuleDispute: Scope.REGISTER,
    ops.FreezeInvoice: Scope.REGISTER,
    ops.UnfreezeInvoice: Scope.REGISTER,
    ops.RecordDiscrepancy: Scope.REGISTER,
    ops.ResolveDiscrepancy: Scope.REGISTER,
    ops.ShareDetails: Scope.HOLD | Scope.ISSUE | Scope.REIMBURSE,
    Propose: Scope.GOVERN,
    Vote: Scope.GOVERN,
    WithdrawProposal: Scope.GOVERN,
    AddKey: Scope.KEYS,
    RevokeKey: Scope.KEYS,
    RotateKey: Scope.KEYS,
    # Carrying a bare key's operation: the bare key answers for it.
    ByKey: Scope(ALL_SCOPES),
}

SCOPES_OF: dict[type, int] = {
    kind: int(_NAMED.get(kind, Scope.HOLD)) for kind in get_args(Operation)
}
"""For every operation, the scopes of which a key must have one; a holder's where none is named."""

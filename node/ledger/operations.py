"""The operations of every domain as one static union, and the wrapper of a bare key. Owns no rule.

The unions are what a decoder of transactions accepts, so they are written down here, for type
checkers and msgspec; `rulebook` refuses to start unless each of them stands in a law.
An operation acts for the transaction's author unless it is wrapped in `ByKey`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.invoices.operations import InvoicesOperation
from node.ledger.membership.operations import MembershipOperation
from node.ledger.operation import Shape
from node.ledger.types import PublicKey, Signature


class ByKey(Shape, frozen=True, tag=90):
    """An operation of a bare key, carried in any participant's transaction.

    The signature covers `BY_KEY_TAG ‖ network ‖ author ‖ nonce (8 B) ‖ valid-until (8 B) ‖
    operation`, so it cannot be lifted into another transaction.
    """

    key: PublicKey
    signature: Signature
    operation: Annotated[bytes, msgspec.Meta(max_length=8_192)]
    """The canonical encoding of one operation that is not itself `ByKey`."""


DirectOperation = MembershipOperation | InvoicesOperation
Operation = DirectOperation | ByKey

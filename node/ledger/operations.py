"""The one list of laws, and their operations as one static union. Owns that, and a bare key's.

Who adds a domain adds its law and its operations here: nothing else of the ledger names it. The
unions are what a decoder of transactions accepts, so they are written down, for type checkers and
msgspec; `rulebook` refuses to start unless each of them stands in a law, and the other way round.
An operation acts for the transaction's author unless it is wrapped in `ByKey`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from node.ledger.invoices.law import INVOICES_LAW
from node.ledger.invoices.operations import InvoicesOperation
from node.ledger.membership.law import MEMBERSHIP_LAW
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


LAWS = (MEMBERSHIP_LAW, INVOICES_LAW)
"""Of every domain that this program knows, in the order in which a new network names them."""
DirectOperation = MembershipOperation | InvoicesOperation
Operation = DirectOperation | ByKey

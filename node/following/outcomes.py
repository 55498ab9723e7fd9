"""What becomes of a write, as every part of a node says it. Owns the values and the errors.

Knows no HTTP but the numbers of its status codes, no operation and no domain. Ids are raw bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from node.ledger.codes import Code

RefusalCode = Literal["NO_QUORUM", "NOT_FINALISING", "NOT_READY", "DISK_FULL"]
WaitFor = Literal["committed", "final"]


class WriteRefusal(msgspec.Struct, frozen=True):
    """Why this node takes no write at the moment; nothing is stored then."""

    code: RefusalCode
    detail: str = ""

    @property
    def status(self) -> int:
        """Of HTTP (RFC 9110, 15.6.4; RFC 4918, 11.5)."""
        return 507 if self.code == "DISK_FULL" else 503


# --- Errors that a write or a reading may raise ---------------------------------------------------


class FacadeError(Exception):
    """Base of what a `NodeFacade` raises on purpose; anything else is a fault (HTTP 500)."""


class WriteRefusedError(FacadeError):
    """The node takes no write now. Nothing was stored (HTTP 503 or 507)."""

    def __init__(self, refusal: WriteRefusal) -> None:
        super().__init__(refusal.detail or refusal.code)
        self.refusal = refusal


class BusyError(FacadeError):
    """A pool or outbox limit is reached. Nothing was stored; try again later (HTTP 429)."""

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RefusedError(FacadeError):
    """This node knows before signing that the rules refuse the operation (HTTP 409)."""

    def __init__(self, code: Code, detail: str, operation: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.operation = operation
        """Position of the refused operation or draft in the request."""


class TooLargeError(FacadeError):
    """The transaction would pass 60,000 bytes or its blobs 1 MiB (HTTP 413)."""


class IdempotencyConflictError(FacadeError):
    """The Idempotency-Key was used before with another request (HTTP 422)."""


class AttachmentMissingError(FacadeError):
    """Details name a file that was not handed in here (HTTP 422). Names its SHA-256."""


class NotFinalError(FacadeError):
    """The transaction is known but not final, so there is no receipt yet (HTTP 409)."""


class UnknownWalletKeyError(FacadeError):
    """This node's wallet has no such key (HTTP 404)."""


class NotDisclosableError(FacadeError):
    """No such item in details that this participant can open (HTTP 404)."""


# --- Transactions ----------------------------------------------------------------------------


class TransactionState(StrEnum):
    """ARCHITECTURE, Finality. `final` and a refusal with `final=True` never change again."""

    PENDING = "pending"
    COMMITTED = "committed"
    FINAL = "final"
    REFUSED = "refused"
    EXPIRED = "expired"


class Submission(msgspec.Struct, frozen=True):
    """What became of one transaction on submission."""

    txid: bytes | None
    """32 bytes; None only when the bytes are malformed."""
    state: TransactionState
    code: Code = Code.OK
    """Why, when `state` is refused."""
    detail: str = ""
    """A sentence for the sender when refused; may be empty."""


class TransactionStatus(msgspec.Struct, frozen=True):
    """What this node knows of one transaction."""

    txid: bytes
    state: TransactionState
    code: Code = Code.OK
    final: bool = False
    """True when a final block holds the leaf, whether applied or refused."""
    height: int | None = None
    index: int | None = None
    """Position of its leaf in the tree."""
    body: bytes | None = None
    """Canonical bytes of the transaction body, when this node has them."""
    operation: int | None = None
    """Position of the operation that was refused, while this node remembers it."""


class Idempotency(msgspec.Struct, frozen=True):
    """An Idempotency-Key and what it was sent with. The facade stores both with the result."""

    key: str
    """1 to 128 printable ASCII characters."""
    fingerprint: bytes
    """SHA-256 over method, path and body: another one under the same key is a conflict."""


class Heights(msgspec.Struct, frozen=True):
    """How far the local ledger has come. `final` ≤ `committed`."""

    committed: int
    final: int

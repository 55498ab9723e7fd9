"""Ledgers made by hand: blocks of real leaves, and the state rows that a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from node.chain.leaf import SealLeaf, TransactionLeaf, encode_leaf
from node.ledger.codes import Table
from node.ledger.invoices.operations import IssueInvoice, RateGroup
from node.ledger.invoices.rows import InvoiceRow
from node.ledger.operations import Operation
from node.ledger.row_codec import encode_row
from node.ledger.transaction import TransactionBody, encode_body, transaction_id
from node.storage.index import QueryIndex
from node.storage.index_part import StoredRows

ISSUER = "91350100M000100Y43"
BUYER = "91110000600037341L"
PAYER = "91440300708461136T"
BLOCK_MS = 1_000
NEVER = (-1, -1)


class Block(msgspec.Struct, frozen=True):
    height: int
    first_index: int
    leaves: Sequence[bytes]


class Ledger:
    """Blocks and invoice rows, made by hand."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.rows: dict[str, bytes] = {}
        self.size = 0
        self._nonce = 0

    def body(self, operations: Sequence[Operation], author: str = ISSUER) -> bytes:
        self._nonce += 1
        return encode_body(
            TransactionBody(bytes(32), author, bytes(32), self._nonce, 9, tuple(operations))
        )

    def block(self, *bodies: bytes | tuple[bytes, int]) -> Block:
        """A block of bodies, each applied, or refused with a code."""
        height = len(self.blocks) + 1
        leaves = []
        for item in bodies:
            body, code = item if isinstance(item, tuple) else (item, 0)
            leaves.append(encode_leaf(TransactionLeaf(code, height, body, bytes(64))))
        leaves.append(
            encode_leaf(
                SealLeaf(
                    *(height, height * BLOCK_MS, 1, 0, self.size, len(leaves)),
                    *(bytes(32), bytes(32), 1, height, bytes(32)),
                )
            )
        )
        block = Block(height, self.size, leaves)
        self.size += len(leaves)
        self.blocks.append(block)
        return block

    def issue(self, *numbers: str, gross: int = 100, buyer: str = BUYER) -> bytes:
        """A body that issues numbers, and their rows."""
        body = self.body([issue(number, gross, buyer) for number in numbers])
        for number in numbers:
            self.put(row(number, transaction_id(body), gross=gross, buyer=buyer))
        return body

    def put(self, invoice: InvoiceRow) -> None:
        self.rows[invoice.number] = encode_row(invoice)

    def stored(self, missing: Mapping[Table, Sequence[bytes]]) -> StoredRows:
        """The rows of these keys that exist."""
        held = {Table.INVOICE: {number.encode(): body for number, body in self.rows.items()}}
        return {
            table: {key: held[table][key] for key in keys if key in held[table]}
            for table, keys in missing.items()
        }


def issue(number: str, gross: int = 100, buyer: str = BUYER) -> IssueInvoice:
    groups = (RateGroup(0, gross, 0, 1),)
    return IssueInvoice(
        *(number, False, buyer, "CNY", "2026-11-01", groups, gross, 0, gross),
        *(bytes(32), None, None, ()),
    )


def row(
    number: str, txid: bytes, *, gross: int = 100, buyer: str = BUYER, **changes: object
) -> InvoiceRow:
    values: dict[str, object] = {
        "number": number,
        "issuer": ISSUER,
        "buyer": buyer,
        "special": False,
        "currency": "CNY",
        "issue_date": "2026-11-01",
        "groups": (),
        "net": gross,
        "tax": 0,
        "gross": gross,
        "order": bytes(32),
        "replaces": None,
        "original": None,
        "details": None,
        "blobs": (),
        "txid": txid,
        "height": 1,
        "issued_at": 0,
        "quota": 0,
        "holder": buyer,
    }
    return InvoiceRow(**{**values, **changes})  # type: ignore[arg-type]


def number(n: int) -> str:
    return f"{n:020d}"


async def follow(index: QueryIndex, ledger: Ledger, *blocks: Block) -> None:
    """Bring the parts that stand before these blocks over them."""
    batch = await index.prepare(blocks)
    await index.follow(batch, ledger.stored(batch.missing))

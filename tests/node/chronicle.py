"""A network whose blocks a test makes: real ledgers and keys, certificates by any voters."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from node.chain.block import Block, encode_block
from node.chain.certificate import Certificate, certify
from node.chain.checkpoint import Checkpoint, cosign, sign_origin
from node.chain.voters import VoterSet
from node.ledger.genesis import Genesis, ParticipantDocument
from node.ledger.invoices import operations as ops
from node.ledger.invoices.bureau.operations import AllotSegment, GrantQuota
from node.ledger.operations import Operation
from node.ledger.signing import public_key, secret_key, sign
from node.ledger.transaction import TransactionBody, encode_body, encode_wire, signed_bytes
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from tests.chain.network import AUTHOR, TIME_S, make_genesis, seed
from tests.ledger.world import BUREAU, BUYER, DAY, MONTH, SELLER, START, make_issue
from tests.ledger.world import number as invoice_number

TERM = 3
SEGMENT_COUNT = 10_000


def found(name: str = "demo") -> Genesis:
    """Four voters, and participants whose keys are real."""

    def document(code: str, *roles: str) -> ParticipantDocument:
        key = public_key(seed(code)).hex()
        return ParticipantDocument(code, f"name of {code}", roles, key, key)

    genesis = make_genesis(4, name)
    parties = (
        *genesis.participants,
        document(BUREAU, "tax_bureau"),
        document(SELLER, "issuer", "payer"),
        document(BUYER, "payer"),
    )
    return msgspec.structs.replace(genesis, participants=parties)


def transaction(
    genesis: Genesis,
    author: str,
    nonce: int,
    operations: Sequence[Operation],
    blobs: tuple[bytes, ...] = (),
) -> bytes:
    """A signed transaction as it travels."""
    key = secret_key(seed(author))
    body = encode_body(
        TransactionBody(genesis.network_id, author, key[32:], nonce, 1_000, tuple(operations))
    )
    return encode_wire(body, sign(key, signed_bytes(body)), blobs)


@dataclass
class Chronicle:
    """The ledger of one node, and what the voters sign of it."""

    genesis: Genesis
    voters: VoterSet
    folder: Path
    ledger: Ledger
    reader: LedgerReader
    blocks: list[AppliedBlock]

    @classmethod
    async def open(cls, folder: Path, genesis: Genesis | None = None) -> Chronicle:
        genesis = genesis or found()
        folder.mkdir(exist_ok=True)
        voters = VoterSet.from_genesis(genesis)
        ledger = await Ledger.open(folder / "ledger.db", genesis, voters.hash, lambda _: None)
        reader = await LedgerReader.open(folder / "ledger.db")
        return cls(genesis, voters, folder, ledger, reader, [])

    async def close(self) -> None:
        await self.reader.close()
        await self.ledger.close()

    async def reopen(self) -> None:
        """As after a restart."""
        await self.close()
        again = await Chronicle.open(self.folder, self.genesis)
        self.ledger, self.reader = again.ledger, again.reader

    async def add(self, *wires: bytes, time_ms: int | None = None) -> AppliedBlock:
        """Apply a block of these transactions."""
        index = self.ledger.head.raft_index + 2
        payload = encode_block(Block(TERM, time_ms or START + 1_000 * index, wires))
        entry = CommittedEntry(index, TERM, 1, payload, index.to_bytes(32, "big"))
        (block,) = await self.ledger.apply([entry], lambda _: None)
        self.blocks.append(block)
        return block

    def certificate(
        self, block: AppliedBlock, signers: Sequence[int] = (0, 1, 2), *, published: bool = True
    ) -> Certificate:
        """What these voters sign of a block's tree."""
        return self.sign(Checkpoint(self.voters.origin, block.size, block.root), signers, published)

    def sign(
        self, checkpoint: Checkpoint, signers: Sequence[int] = (0, 1, 2), published: bool = True
    ) -> Certificate:
        """A certificate of any checkpoint."""
        signed = {}
        for number in signers:
            voter = self.voters.voters[number]
            key = seed(f"{voter.node}/cosign")
            signed[number] = cosign(checkpoint, voter.cosigner, key, TIME_S)
        certificate = certify(checkpoint, signed, self.voters)
        if not published:
            return certificate
        return certificate.published(sign_origin(checkpoint, seed("bureau/origin")))

    async def certify(self, block: AppliedBlock) -> None:
        """Store the certificate of a block."""
        note = self.certificate(block).encode().encode()
        await self.ledger.store_certificates([(block.height, note)])

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """What the file holds of the history."""
        with sqlite3.connect(f"file:{self.folder / 'ledger.db'}?mode=ro", uri=True) as connection:
            queries = {
                "blocks": "SELECT height, first_index, leaves FROM blocks ORDER BY height",
                "state": "SELECT tbl, key, value FROM state ORDER BY tbl, key",
                "orders": "SELECT place, key, value FROM orders ORDER BY place, key",
                "tiles": "SELECT level, number, hashes FROM tiles ORDER BY level, number",
                "blobs": "SELECT hash, body FROM blobs ORDER BY hash",
                "certificates": "SELECT height, note FROM certificates ORDER BY height",
            }
            found = {name: connection.execute(query).fetchall() for name, query in queries.items()}
        connection.close()
        return found


def blob(name: str, size: int = 300) -> bytes:
    return (hashlib.sha256(name.encode()).digest() * (size // 32 + 1))[:size]


def issue(genesis: Genesis, serial: int, *, details: int = 0, nonce: int | None = None) -> bytes:
    """An invoice, with a sealed blob of so many bytes."""
    blobs = (blob(f"details {serial}", details),) if details else ()
    hashes = tuple(hashlib.sha256(b).digest() for b in blobs)
    operation = make_issue(serial, buyer=BUYER, blobs=hashes)
    return transaction(genesis, SELLER, serial if nonce is None else nonce, [operation], blobs)


async def write_history(chronicle: Chronicle) -> None:
    """Six certified heights of every kind, and a seventh that is not final."""
    genesis = chronicle.genesis
    opening: list[Operation] = [
        AllotSegment(SELLER, invoice_number(0), SEGMENT_COUNT),
        GrantQuota(SELLER, MONTH, 10**12, START, START + 30 * DAY),
    ]
    await chronicle.certify(await chronicle.add(transaction(genesis, BUREAU, 1, opening)))
    twice = issue(genesis, 1, details=400)
    await chronicle.add(issue(genesis, 0), twice, twice, issue(genesis, 2, details=900))
    refused = issue(genesis, SEGMENT_COUNT + 5, details=500)
    unknown = transaction(genesis, AUTHOR, 9, [ops.WithdrawOffer(invoice_number(7_000))])
    stranger = transaction(genesis, BUYER, 9, [ops.WithdrawOffer(invoice_number(0))])
    block = await chronicle.add(refused, unknown, stranger, issue(genesis, 3))
    await chronicle.certify(block)
    await chronicle.add()
    many = [issue(genesis, 10 + n, details=200 if n % 3 == 0 else 0) for n in range(90)]
    await chronicle.certify(await chronicle.add(*many))
    await chronicle.certify(await chronicle.add(issue(genesis, 4)))
    await chronicle.add(issue(genesis, 5))

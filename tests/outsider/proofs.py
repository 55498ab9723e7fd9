"""Proof files as the product makes them: real ledgers apply real histories, and voters sign.

Every outcome, trees of many sizes, disclosures of one item and of very many.
"""

from __future__ import annotations

import json
import random  # noqa: TID251  # seeded
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from node.chain.certificate import certify, parse_certificate
from node.chain.checkpoint import Checkpoint, cosign, sign_origin
from node.chain.disclosure import Disclosure, Item, commit, disclose, items_of
from node.chain.leaf import SealLeaf, decode_leaf
from node.chain.proof import build_proof
from node.chain.voters import VoterSet
from node.ledger.execution.bykey import by_key_message, encode_operation
from node.ledger.genesis import Genesis
from node.ledger.invoices import operations as ops
from node.ledger.operations import ByKey, DirectOperation, Operation
from node.ledger.signing import public_key, sign
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock
from tests.audit.ledgers import open_registers
from tests.chain.network import genesis_text, seed
from tests.chain.network import make_genesis as make_voters
from tests.ledger.history import random_history
from tests.ledger.world import BUREAU, BUYER, SELLER, make_issue, number
from tests.ledger.world import make_genesis as make_members
from tests.node.chronicle import Chronicle, transaction
from tests.storage.test_same_history import entries

SALT = bytes(range(32))
BARE = seed("a buyer without a name")


@dataclass
class Collection:
    """Proofs of one network."""

    genesis: Genesis
    proofs: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> bytes:
        """The `network.toml`."""
        return genesis_text(self.genesis).encode()


def _note(voters: VoterSet, block: AppliedBlock, rng: random.Random) -> bytes:
    """What at least q of the voters sign, and one publishes as the log."""
    checkpoint = Checkpoint(voters.origin, block.size, block.root)
    signers = rng.sample(range(voters.n), rng.randint(voters.q, voters.n))
    cosignatures = {
        n: cosign(
            checkpoint,
            voters.voters[n].cosigner,
            seed(f"{voters.voters[n].node}/cosign"),
            rng.randrange(2**40),
        )
        for n in signers
    }
    publisher = voters.voters[rng.choice(signers)].node
    origin = sign_origin(checkpoint, seed(f"{publisher}/origin"))
    return certify(checkpoint, cosignatures, voters).published(origin).encode().encode()


async def prove(
    reader: LedgerReader, voters: VoterSet, index: int, disclosures: list[Disclosure]
) -> bytes:
    """As a node answers for a receipt."""
    inclusion = await reader.inclusion(index)
    assert inclusion is not None
    certificate = parse_certificate(inclusion.certificate.decode())
    assert certificate.origin_signature is not None
    proof = build_proof(
        index,
        inclusion.path,
        inclusion.leaf,
        certificate,
        certificate.origin_signature,
        voters,
        disclosures,
    )
    return proof.encode().encode()


async def of_a_history(folder: Path, voters: int, blocks: int, count: int) -> Collection:
    """Leaves of a random history: seals, transactions applied, and each way of being refused."""
    founding = make_voters(voters).voters
    genesis = msgspec.structs.replace(
        make_members(),
        voters=tuple(msgspec.structs.replace(v, participant=BUREAU) for v in founding),
    )
    made = Collection(genesis)
    rng = random.Random(voters)
    voter_set = VoterSet.from_genesis(genesis)
    _, past = random_history(voters, blocks, genesis)
    ledger = await Ledger.open(folder / "ledger.db", genesis, voter_set.hash, lambda _: None)
    applied = await ledger.apply(entries(past), lambda _: None)
    certified = [block for block in applied if block is applied[-1] or rng.random() < 0.4]
    await ledger.store_certificates([(b.height, _note(voter_set, b, rng)) for b in certified])
    reader = await LedgerReader.open(folder / "ledger.db")
    by_code: dict[int, list[int]] = {}
    size = applied[-1].size
    for start in range(0, size, 256):
        for index, data in enumerate(await reader.leaves(start, 256), start):
            leaf = decode_leaf(data)
            code = -1 if isinstance(leaf, SealLeaf) else leaf.code
            by_code.setdefault(code, []).append(index)
    chosen = [rng.choice(indexes) for indexes in by_code.values()]
    rest = [index for index in range(size) if index not in chosen]
    for index in sorted({*chosen, *rng.sample(rest, count - len(chosen))}):
        made.proofs.append(await prove(reader, voter_set, index, []))
    await reader.close()
    await ledger.close()
    return made


def random_details(rng: random.Random, lines: int) -> list[Item]:
    """Details of an invoice with so many lines."""
    document: dict[str, Any] = {
        "lines": [
            {
                "description": f'{rng.choice("纸墨笔")} {n} \\ "\u2028\x7f',
                "net": rng.randrange(2**53),
            }
            for n in range(lines)
        ],
        "remarks": "x" * rng.choice((0, 1, 300, 60_000)),
        "seller": {"name": "卖方", "bank": None, "a/b~c": True},
        "extensions": {"z": {"nested": [[-1, {"é": []}]]}, "~": {}, "": False},
        "attachments": [],
    }
    for name in rng.sample(sorted(document), rng.randrange(4)):
        if name != "lines":
            del document[name]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return items_of(text.encode())


def _by_key(genesis: Genesis, nonce: int, operation: DirectOperation) -> ByKey:
    """An operation of a bare key, which the buyer's transaction carries."""
    inner = encode_operation(operation)
    message = by_key_message(genesis.network_id, BUYER, nonce, 1_000, inner)
    return ByKey(public_key(BARE), sign(BARE, message), inner)


def _shown(rng: random.Random, items: list[Item], operation: int) -> list[Disclosure]:
    count = min(len(items), rng.choice((1, 1, 2, 3, 40, 250)))
    places = rng.sample(range(len(items)), count)
    return [disclose(items, SALT, place, operation) for place in places]


async def with_disclosures(folder: Path, count: int) -> Collection:
    """Invoices with details, alone and in batches up to the largest transaction."""
    rng = random.Random(7)
    chronicle = await Chronicle.open(folder)
    genesis, reader, voters = chronicle.genesis, chronicle.reader, chronicle.voters
    made = Collection(genesis)
    await chronicle.certify(await chronicle.add(open_registers(genesis)))
    serial = 0
    while len(made.proofs) < count:
        batch = rng.choice((1, 1, 1, 2, 9, 200))
        all_items = [random_details(rng, rng.choice((1, 2, 17, 300))) for _ in range(batch)]
        bare = rng.random() < 0.3
        buyer = public_key(BARE).hex() if bare else BUYER
        operations: list[Operation] = [
            make_issue(serial + n, buyer=buyer, details=commit(items, SALT))
            for n, items in enumerate(all_items)
        ]
        issued = await chronicle.add(transaction(genesis, SELLER, serial + 1, operations))
        asked = ops.RequestRedLetter(number(serial), 100, 2, commit(all_items[0], SALT))
        operation_asked = _by_key(genesis, serial + 1, asked) if bare else asked
        red = await chronicle.add(transaction(genesis, BUYER, serial + 1, [operation_asked]))
        await chronicle.certify(red)
        for block, operation in ((issued, rng.randrange(batch)), (red, 0)):
            items = all_items[operation] if block is issued else all_items[0]
            disclosures = _shown(rng, items, operation)
            if block is issued and batch > 1:
                disclosures += _shown(rng, all_items[0], 0) if operation else []
            index = block.size - 2
            made.proofs.append(await prove(reader, voters, index, disclosures))
        serial += batch
    await chronicle.close()
    return made

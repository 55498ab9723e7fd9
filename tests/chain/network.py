"""A network in memory: genesis with keys, a tree of blocks, certificates and proofs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from node.chain.certificate import Certificate, certify
from node.chain.checkpoint import Checkpoint, cosign, sign_origin
from node.chain.leaf import SealLeaf, TransactionLeaf, encode_leaf
from node.chain.merkle import inclusion_path, leaf_hashes
from node.chain.proof import Proof, build_proof
from node.chain.tiles import TileBuilder, TileSubtrees
from node.chain.voters import VoterSet
from node.ledger import signing
from node.ledger.genesis import Genesis, ParticipantDocument, VoterDocument
from node.ledger.invoices.operations import WithdrawOffer
from node.ledger.operations import LAWS, Operation
from node.ledger.transaction import TransactionBody, encode_body, signed_bytes
from tests.terms import make_terms

AUTHOR = "91310000MA1FL0000N"
NODES = ("bureau", "issuer", "payer", "reimburser", "bank", "customs", "police")
TIME_S = 1_700_000_000


def seed(name: str) -> bytes:
    """A fixed seed for each name."""
    return hashlib.sha256(name.encode()).digest()


def make_genesis(voters: int = 4, name: str = "demo") -> Genesis:
    """A genesis with this many voters, whose keys come from `seed`."""

    def key(node: str, role: str) -> str:
        return signing.public_key(seed(f"{node}/{role}")).hex()

    return Genesis(
        name=name,
        created="2026-01-01T00:00:00Z",
        home_currency="CNY",
        rules_version=1,
        tax_rates=(1300,),
        governors=(AUTHOR,),
        threshold=1,
        terms=make_terms(),
        participants=(
            ParticipantDocument(
                id=AUTHOR,
                name="作者",
                roles=("issuer",),
                signing_key=key("author", "signing"),
                sealing_key=key("author", "sealing"),
            ),
        ),
        voters=tuple(
            VoterDocument(
                node=node,
                participant=AUTHOR,
                identity_key=key(node, "identity"),
                cosign_key=key(node, "cosign"),
                origin_key=key(node, "origin"),
            )
            for node in NODES[:voters]
        ),
    )


def genesis_text(genesis: Genesis) -> str:
    """The `network.toml` of a genesis. Strings and lists of JSON are TOML too."""
    fields = msgspec.structs.asdict(genesis)
    terms = fields.pop("terms")
    tables = {
        "[terms]": [{"validity_heights": terms.validity_heights}],
        **{f"[terms.{name}]": [_terms(name, values)] for name, values in terms.domains},
        "[[participant]]": [msgspec.structs.asdict(row) for row in fields.pop("participants")],
        "[[voter]]": [msgspec.structs.asdict(row) for row in fields.pop("voters")],
    }
    lines = ["[network]", *_rows({**fields, "domains": genesis.domains})]
    for header, rows in tables.items():
        for row in rows:
            lines += [header, *_rows(row)]
    return "\n".join(lines) + "\n"


def _terms(domain: str, values: tuple[int, ...]) -> dict[str, object]:
    kind = next(law.terms for law in LAWS if law.name == domain)
    return {} if kind is None else dict(zip(kind.__struct_fields__, values, strict=True))


def _rows(table: Mapping[str, object]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]


def make_leaf(
    network_id: bytes,
    nonce: int,
    height: int,
    code: int = 0,
    operations: tuple[Operation, ...] = (WithdrawOffer("1" * 20),),
) -> TransactionLeaf:
    """A signed transaction as a leaf."""
    key = seed("author/signing")
    body = encode_body(
        TransactionBody(
            network=network_id,
            author=AUTHOR,
            key=signing.public_key(key),
            nonce=nonce,
            valid_until=1_000,
            operations=operations,
        )
    )
    return TransactionLeaf(code, height, body, signing.sign(key, signed_bytes(body)))


@dataclass
class Network:
    """A ledger that grows block by block, and voters who sign whatever the test wants."""

    genesis: Genesis = field(default_factory=make_genesis)
    leaves: list[bytes] = field(default_factory=list)
    height: int = 0
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    builder: TileBuilder = field(default_factory=TileBuilder)

    def __post_init__(self) -> None:
        self.voters = VoterSet.from_genesis(self.genesis)

    def add_block(self, count: int = 3, *, state: bytes = bytes(32)) -> Checkpoint:
        """Append a block of `count` transactions and its seal; `state` tells forks apart."""
        self.height += 1
        first = len(self.leaves)
        leaves = [
            encode_leaf(make_leaf(self.voters.network_id, first + i, self.height))
            for i in range(count)
        ]
        leaves.append(encode_leaf(self.make_seal(count, state)))
        self.append(leaves)
        return self.checkpoint

    def make_seal(self, count: int, state: bytes) -> SealLeaf:
        """The seal of the block at the present height with `count` transactions to come."""
        return SealLeaf(
            height=self.height,
            time_ms=TIME_S * 1000,
            term=1,
            proposer=0,
            first_index=len(self.leaves),
            count=count,
            state_digest=state,
            voters_hash=self.voters.hash,
            rules_version=1,
            entry_index=max(1, self.height),
            entry_hash=bytes(32),
        )

    def append(self, leaves: list[bytes]) -> None:
        """Append raw leaves."""
        self.leaves += leaves
        for tile in self.builder.append(leaf_hashes(leaves)):
            self.tiles[tile.level, tile.number] = tile.data

    @property
    def checkpoint(self) -> Checkpoint:
        """The present tree head."""
        frontier = self.builder.frontier
        return Checkpoint(self.voters.origin, frontier.size, frontier.root())

    def path(self, index: int) -> list[bytes]:
        """The audit path of a leaf in the present tree."""
        lookup = TileSubtrees(lambda level, number: self.tiles.get((level, number)))
        return inclusion_path(index, len(self.leaves), lookup)

    def cosign(self, number: int, checkpoint: Checkpoint, time_s: int = TIME_S) -> bytes:
        """The cosignature of a voter."""
        voter = self.voters.voters[number]
        return cosign(checkpoint, voter.cosigner, seed(f"{voter.node}/cosign"), time_s)

    def certify(self, *numbers: int) -> Certificate:
        """The certificate of the present head by these voters, by default all."""
        signers = numbers or range(self.voters.n)
        checkpoint = self.checkpoint
        return certify(
            checkpoint, {n: self.cosign(n, checkpoint, TIME_S + n) for n in signers}, self.voters
        )

    def prove(self, index: int, *signers: int) -> Proof:
        """The proof of a leaf in the present tree."""
        certificate = self.certify(*signers)
        origin = sign_origin(certificate.checkpoint, seed("bureau/origin"))
        return build_proof(
            index, self.path(index), self.leaves[index], certificate, origin, self.voters
        )

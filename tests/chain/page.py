"""The worked example of `node/chain/README.md`: made from fixed seeds, and put into the page.

`python -m tests.chain.page` writes the page again; a test holds it against what is made here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from node.chain.checkpoint import cosignature_message, sign_origin
from node.chain.disclosure import commit, disclose, items_of
from node.chain.evidence.file import encode_evidence_file
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import RootEvidence, RootStatement
from node.chain.leaf import encode_leaf
from node.chain.merkle import leaf_hash
from node.chain.policy import policy_text
from node.chain.proof import build_proof
from node.chain.verify import verify_proof_file
from node.ledger.codes import Code
from node.ledger.genesis import Terms
from node.ledger.invoices.operations import IssueInvoice, RateGroup, SignOffer
from node.ledger.operations import LAWS
from node.ledger.transaction import transaction_id
from tests.chain.network import AUTHOR, TIME_S, Network, genesis_text, make_leaf, seed
from tests.chain.test_excuse import evidence as led_astray
from tests.chain.test_excuse import excuse

PAGE = Path(__file__).parents[2] / "node/chain/README.md"
_BLOCK = re.compile(r"(<!-- example: ([a-z-]+) -->\n```text\n)(.*?)(```\n)", re.DOTALL)
_SALT = bytes(range(32))
_NUMBER = "26310000000000000001"
DETAILS = (
    '{"lines":[{"name":"纸","net":90000},{"name":"ink","net":10000}],'
    '"remarks":"paid","seller":{"name":"卖方"}}'
)


def _issue(commitment: bytes) -> IssueInvoice:
    groups = (RateGroup(1300, 100_000, 13_000, 2),)
    head = (_NUMBER, False, AUTHOR, "CNY", "2026-11-18", groups, 100_000, 13_000, 113_000)
    return IssueInvoice(*head, seed("order"), None, commitment, ())


def examples() -> dict[str, str]:
    """By name of the block: its text."""
    network = Network()
    voters = network.voters
    items = items_of(DETAILS.encode())
    shown = disclose(items, _SALT, 0, 0)
    issued = make_leaf(voters.network_id, 1, 1, 0, (_issue(commit(items, _SALT)),))
    refused = make_leaf(voters.network_id, 2, 1, Code.UNKNOWN_INVOICE, (SignOffer("9" * 20),))
    network.height = 1
    seal = network.make_seal(2, seed("state"))
    network.append([encode_leaf(leaf) for leaf in (issued, refused, seal)])
    certificate = network.certify(0, 2, 3)
    checkpoint = certificate.checkpoint
    origin = sign_origin(checkpoint, seed("payer/origin"))
    leaf = network.leaves[0]
    proof = build_proof(0, network.path(0), leaf, certificate, origin, voters, [shown])
    verdict = verify_proof_file(proof.encode(), network.genesis)
    assert verdict.valid
    other = build_proof(1, network.path(1), network.leaves[1], certificate, origin, voters)
    path, value = items[0]
    item = (b"piaolian/details/item/v2\n", shown.salt, len(path).to_bytes(4, "big"), path.encode())
    statements = sorted(
        RootStatement(3, root, network.cosign(1, type(checkpoint)(voters.origin, 3, root)))
        for root in (checkpoint.root, seed("another root"))
    )
    salts = (disclose(items, _SALT, index, 0).salt for index in range(len(items)))
    rows = [f"{path}  {s.hex()}  {v.decode()}" for (path, v), s in zip(items, salts, strict=True)]
    evidence = RootEvidence(1, *statements)
    values = {
        "network": genesis_text(network.genesis),
        "network-id": voters.network_id.hex(),
        "voters-hash": voters.hash.hex(),
        "policy": policy_text(voters),
        "details": DETAILS,
        "items": "\n".join(rows),
        "item": (b"".join(item) + value).hex(),
        "commitment": commit(items, _SALT).hex(),
        "body": issued.body.hex(),
        "txid": transaction_id(issued.body).hex(),
        "leaf": leaf.hex(),
        "leaf-hash": leaf_hash(leaf).hex(),
        "seal": network.leaves[2].hex(),
        "root": checkpoint.root.hex(),
        "cosigned": cosignature_message(TIME_S, checkpoint.body).hex(),
        "proof": proof.encode(),
        "refused": other.encode(),
        "evidence": encode_evidence_file(evidence, voters),
        "evidence-id": judge(evidence, voters).id.hex(),
        "excused": encode_evidence_file(led_astray(), voters, excuse()),
    }
    return {name: value if value.endswith("\n") else value + "\n" for name, value in values.items()}


def blocks(text: str) -> dict[str, str]:
    """By name: the blocks of a page."""
    return {name: content for _, name, content, _ in _BLOCK.findall(text)}


def render(text: str) -> str:
    """The page with every block as it is made now, and the defaults of the terms."""
    made = examples()
    return _BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}{found[4]}", text)


def terms() -> list[str]:
    """The terms and their defaults, in the order of the arrays, as the page lists them."""
    own = (
        f"`[terms]` | an integer, with the value that stands for an absent key: {_listed(Terms())}"
    )
    kinds = [law.terms for law in LAWS if law.terms is not None]
    return [own, *(f"`[terms.{k.domain}]` | integers, as above: {_listed(k())}" for k in kinds)]


def _listed(defaults: msgspec.Struct) -> str:
    values = msgspec.structs.asdict(defaults)
    return ", ".join(f"`{n}` {json.dumps(v)}" for n, v in values.items() if isinstance(v, int))


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text()))

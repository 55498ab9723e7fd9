"""A member with valid keys accuses an honest voter, with what that voter did sign and did not.

Nothing of it convicts anybody, each piece costs its sender the link, and no node passes it on.
"""

from __future__ import annotations

import asyncio
import hashlib
from itertools import cycle

import msgspec
import pytest

from consensus.types import EntryKind
from node.chain.certificate import parse_certificate
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.evidence.kinds import (
    EntryEvidence,
    EntryStatement,
    Evidence,
    HeaderEvidence,
    LeafEvidence,
    LeafStatement,
    PayloadEvidence,
    PrefixEvidence,
    PrefixStatement,
    RootEvidence,
    RootStatement,
    SealEvidence,
    SealStatement,
    SizeEvidence,
    encode_evidence,
)
from node.chain.merkle import Frontier, consistency_path, inclusion_path, leaf_hashes
from node.ledger.signing import secret_key
from node.peers.messages import EvidenceMessage, encode_control
from p2p.types import Link
from tests.chain.network import TIME_S
from tests.cluster.cluster import Cluster, Member
from tests.cluster.fork import read_leaves
from tests.cluster.impostor import Impostor
from tests.cluster.rejoin_attack import read_log

pytestmark = pytest.mark.slow

LIAR, HONEST = "payer", "issuer"


def true_statement(cluster: Cluster, member: Member, height: int) -> RootStatement:
    """What the honest voter cosigned at a height; it is in the certificate."""
    note = member.get(f"/v1/blocks/{height}")["certificate"]
    certificate = parse_certificate(note)
    checkpoint = certificate.checkpoint
    me = cluster.voters.by_node[HONEST]
    (blob,) = [c.blob for c in certificate.cosignatures if c.cosigner == me.cosigner]
    return RootStatement(checkpoint.size, checkpoint.root, blob)


def crafted(
    number: int,
    leaves: list[bytes],
    small: RootStatement,
    large: RootStatement,
    liars: RootStatement,
    entries: list[tuple[EntryStatement, bytes]],
) -> dict[str, Evidence]:
    """Accusations of the honest voter `number`, most of them made of true statements."""
    hashes = leaf_hashes(leaves)

    def subtree(level: int, at: int) -> bytes:
        part = hashes[at << level : (at + 1) << level]
        return Frontier().append_hashes(part).root()

    false = hashlib.sha256(b"false").digest()
    grown = tuple(consistency_path(small.size, large.size, subtree))
    index = small.size - 1

    def leaf(statement: RootStatement, value: bytes) -> LeafStatement:
        return LeafStatement(
            value, tuple(inclusion_path(index, statement.size, subtree)), statement
        )

    def seal(statement: RootStatement) -> SealStatement:
        path = tuple(inclusion_path(index, statement.size, subtree))
        return SealStatement(leaves[index], path, statement)

    def pair(first: RootStatement, second: RootStatement) -> RootEvidence:
        return RootEvidence(number, *sorted((first, second)))

    (first, payload), (second, _) = entries
    relabelled = EntryStatement(second.header, first.attestation)
    return {
        "one statement twice": pair(small, small),
        "two true heads": pair(small, large),
        "another root under its signature": pair(small, msgspec.structs.replace(small, root=false)),
        "another's signature as its own": pair(small, liars),
        "a true prefix": PrefixEvidence(number, small, PrefixStatement(small.root, grown, large)),
        "a false prefix": PrefixEvidence(number, small, PrefixStatement(false, grown, large)),
        "one leaf twice": LeafEvidence(
            number, index, *sorted((leaf(small, hashes[index]), leaf(large, hashes[index])))
        ),
        "a false leaf": LeafEvidence(
            number, index, *sorted((leaf(small, hashes[index]), leaf(large, false)))
        ),
        "one seal twice": SealEvidence(number, *sorted((seal(small), seal(large)))),
        "two entries of two places": EntryEvidence(*sorted((first, second))),
        "a signature of another entry": EntryEvidence(*sorted((first, relabelled))),
        "a true header": HeaderEvidence(first),
        "a true payload": PayloadEvidence(first, payload, 0),
        "a payload of another entry": PayloadEvidence(second, payload, 0),
        "a true size": SizeEvidence(number, small),
    }


async def test_no_crafted_evidence_convicts_an_honest_voter(cluster: Cluster) -> None:
    for turn in range(3):
        cluster.issue(f"before {turn}")
    status = await asyncio.to_thread(cluster.wait_equal)
    number = cluster.voters.by_node[HONEST].number
    cluster.stop(LIAR)  # from here on the three others sign everything
    cluster.issue("signed by all three")
    low = cluster[HONEST].status()["height"]
    cluster.issue("and once more")
    await asyncio.to_thread(cluster.wait_equal)
    high = cluster[HONEST].status()["final_height"]
    small, large = (true_statement(cluster, cluster[HONEST], height) for height in (low, high))
    assert small.size < large.size
    assert status["height"] < low < high
    log = [e for e in await read_log(cluster[HONEST].data) if e.kind is EntryKind.DATA]
    entries = [(EntryStatement(e.header, e.attestation), e.payload) for e in log[-2:]]
    liar = cluster.voters.by_node[LIAR]
    root = hashlib.sha256(b"the liar's").digest()
    keys = secret_key(cluster[LIAR].keys().cosign)
    signed = cosign(
        Checkpoint(liar.origin, small.size, root),
        cluster.voters.by_node[HONEST].cosigner,
        keys,
        TIME_S,
    )
    accusations = crafted(
        number,
        read_leaves(cluster[HONEST], large.size),
        small,
        large,
        RootStatement(small.size, root, signed),
        entries,
    )
    before = {member.name: member.evidence() for member in cluster.living}
    targets = cycle([member.name for member in cluster.living])

    async with Impostor(cluster, LIAR) as impostor:
        for what, evidence in accusations.items():
            name = next(targets)
            message = EvidenceMessage(encode_evidence(evidence))
            await impostor.say(name, Link.GOSSIP, *encode_control(message))
            try:
                await impostor.closed(name, Link.GOSSIP)
            except TimeoutError as error:
                error.add_note(f"{name} does not mind: {what}")
                raise

    for member in cluster.living:
        assert member.evidence() == before[member.name]
        strikes = {peer["node"]: peer["strikes"] for peer in member.status()["peers"]}
        assert strikes.pop(LIAR) >= len(accusations) // 3
        assert not any(strikes.values()), "nobody else pays"
        assert member.ask("GET", "/readyz").status == 200
    cluster.start(LIAR)
    cluster.issue("after the accusations")
    await asyncio.to_thread(cluster.wait_equal)

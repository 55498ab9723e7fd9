"""A leader that lies gets no honest cosignature, and evidence names it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consensus.codec import encode
from consensus.membership import Membership
from consensus.messages import AppendRequest
from consensus.ports import Admission, AppendBatch
from consensus.types import ZERO_HASH, Entry, EntryKind, HardState, LogIndex, NodeId, Term
from node.chain.block import Block, encode_block
from node.chain.certificate import Certificate, parse_certificate
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.cosigned import Cosigned
from node.chain.entry import attest
from node.chain.evidence.judgement import judge
from node.chain.evidence.kinds import EntryStatement, decode_evidence
from node.chain.leaf import SealLeaf, TransactionLeaf, decode_leaf
from node.chain.voters import VoterSet
from node.command import main
from node.following.evidence_keeper import EvidenceKeeper
from node.following.excuses import Excuses
from node.following.finality import DivergedError, Finality
from node.ledger.signing import secret_key
from node.ledger.transaction import Transaction, decode_transaction, encode_wire
from node.peers.messages import CertificateMessage, StatementMessage, encode_control
from node.peers.router import RAFT_MESSAGE
from node.storage.ledger import Ledger
from node.storage.ledger_reader import LedgerReader
from node.storage.ledger_values import AppliedBlock, CommittedEntry
from node.storage.marker import Marker
from node.storage.raft_log import ENTRY_FORMAT, open_raft_log
from node.system.clock import SystemClock
from node.voting.cosigner import Cosigner
from node.voting.entry_authority import EntryAuthority
from node.voting.signed_log import observe_stored
from p2p.types import Link
from tests.chain.network import TIME_S, make_genesis, make_leaf, seed
from tests.cluster.cluster import Cluster, Member, wait_until
from tests.cluster.fork import Fork, read_leaves
from tests.cluster.impostor import Impostor, end_of_log

pytestmark = pytest.mark.slow

LIAR = 0
HONEST = (1, 2, 3)
TERM = 1


@dataclass
class Peer:
    """The deciding parts of one voter: everything but its sockets."""

    ledger: Ledger
    reader: LedgerReader
    cosigner: Cosigner
    finality: Finality
    keeper: EvidenceKeeper
    authority: EntryAuthority
    told: list[bytes]
    halts: list[DivergedError]
    forgers: list[int]

    async def apply(self, payload: bytes) -> tuple[AppliedBlock, Cosigned, Certificate | None]:
        """Apply a committed entry of the liar and sign the checkpoint."""
        signed: list[Cosigned] = []

        def sign(block: AppliedBlock) -> None:
            statement = self.cosigner.sign(block.height, block.size, block.root, block.frontier)
            assert statement is not None
            signed.append(statement)

        entry = CommittedEntry(self.ledger.head.raft_index + 1, TERM, LIAR, payload, bytes(32))
        (block,) = await self.ledger.apply([entry], sign)
        return block, signed[0], None


class Silence:
    """Tells other nodes nothing."""

    def observed(self, said: EntryStatement) -> None:
        """Nothing."""

    def look_up(self, said: EntryStatement) -> None:
        """Nothing."""


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[list[Peer]]:
    """Four voters. The liar's ledger takes every signature for good."""
    genesis = make_genesis()
    voters = VoterSet.from_genesis(genesis)
    made = []
    async with AsyncExitStack() as files:
        for voter in voters.voters:
            folder = tmp_path / voter.node
            folder.mkdir()
            verified = _believe if voter.number == LIAR else _doubt
            ledger = await Ledger.open(folder / "ledger.db", genesis, voters.hash, verified)
            files.push_async_callback(ledger.close)
            reader = await LedgerReader.open(folder / "ledger.db")
            files.push_async_callback(reader.close)
            marker = Marker.open(folder / "marker")
            files.callback(marker.close)
            told: list[bytes] = []
            halts: list[DivergedError] = []
            forgers: list[int] = []
            keeper = EvidenceKeeper(
                voters,
                ledger,
                reader,
                SystemClock(),
                told.append,
                halts.append,
                Excuses(voters, ledger, reader, lambda _: None),
            )
            cosigner = Cosigner(voter, seed(f"{voter.node}/cosign"), marker, lambda: TIME_S)
            authority = EntryAuthority(
                voters,
                seed(f"{voter.node}/identity"),
                SystemClock(),
                keeper,
                Silence(),
                lambda _, __: False,  # its rate is used up: consensus judges what it takes in
                forgers.append,
            )
            finality = Finality(voters, 0, keeper)
            made.append(
                Peer(ledger, reader, cosigner, finality, keeper, authority, told, halts, forgers)
            )
        yield made


def _believe(wire: bytes) -> Transaction | None:
    return decode_transaction(wire)


def _doubt(wire: bytes) -> Transaction | None:
    return None


def wires() -> tuple[bytes, bytes]:
    """A well-signed transaction, and another one whose signature is one bit off."""
    voters = VoterSet.from_genesis(make_genesis())
    good, other = (make_leaf(voters.network_id, nonce, 1) for nonce in (1, 2))
    forged = bytearray(other.signature)
    forged[7] ^= 1
    return encode_wire(good.body, good.signature), encode_wire(other.body, bytes(forged))


async def test_a_badly_signed_transaction_leaves_no_leaf_and_its_leader_no_certificate(
    peers: list[Peer],
) -> None:
    voters = VoterSet.from_genesis(make_genesis())
    good, forged = wires()
    payload = encode_block(Block(TERM, TIME_S * 1_000, (good, forged)))
    outcomes = [await peer.apply(payload) for peer in peers]

    roots = [block.root for block, _, _ in outcomes]
    assert len({roots[n] for n in HONEST}) == 1
    assert roots[LIAR] != roots[1]
    for number in HONEST:
        stored = (await peers[number].reader.blocks(1, 1, 1 << 20))[0]
        leaves = [decode_leaf(leaf) for leaf in stored.leaves]
        assert [type(leaf) for leaf in leaves] == [TransactionLeaf, SealLeaf]
        forged_id = decode_transaction(forged).txid
        assert forged_id not in {t.txid for t in outcomes[number][0].transactions}

    for number in HONEST:
        finality = peers[number].finality
        certificates = gather(finality, voters, number, outcomes)
        assert finality.final_height == 1
        (certificate,) = certificates
        signers = certificate.cosigner_nodes(voters)
        assert voters.voters[LIAR].node not in signers
        assert certificate.checkpoint.root == roots[1]
    with pytest.raises(DivergedError):  # more than f others disagree: the liar stands alone
        gather(peers[LIAR].finality, voters, LIAR, outcomes)
    assert peers[LIAR].finality.final_height == 0


def gather(
    finality: Finality,
    voters: VoterSet,
    me: int,
    outcomes: list[tuple[AppliedBlock, Cosigned, Certificate | None]],
) -> list[Certificate]:
    """Apply at one voter and hand it all other statements, the liar's first."""
    block, statement, _ = outcomes[me]
    checkpoint = Checkpoint(voters.origin, block.size, block.root)
    made = [finality.block_applied(block.height, checkpoint, (me, statement))]
    for number, (_, other, _) in enumerate(outcomes):
        if number != me:
            made.append(finality.receive(number, other))
    return [certificate for certificate in made if certificate is not None]


def make_entry(payload: bytes, leader: int = LIAR, kind: EntryKind = EntryKind.DATA) -> Entry:
    voters = VoterSet.from_genesis(make_genesis())
    place = (Term(TERM), LogIndex(1), kind, NodeId(leader), ZERO_HASH, payload)
    key = secret_key(seed(f"{voters.voters[leader].node}/identity"))
    return ENTRY_FORMAT.entry_type(
        *place, attest(voters.network_id, ENTRY_FORMAT.entry_type(*place, b"").header, key)
    )


async def test_two_entries_in_one_place_are_evidence_that_names_the_leader(
    peers: list[Peer],
) -> None:
    voters = VoterSet.from_genesis(make_genesis())
    first, second = (
        make_entry(encode_block(Block(TERM, TIME_S * 1_000 + n, ()))) for n in range(2)
    )
    witness = peers[1]
    assert witness.authority.admit(NodeId(LIAR), first) is Admission.ACCEPT
    assert witness.authority.admit(NodeId(LIAR), first) is Admission.ACCEPT  # told twice is no lie
    await keep(witness)
    assert await witness.reader.evidence(None, 10) == []

    witness.authority.admit(NodeId(LIAR), second)
    await keep(witness)

    ((identity, _, body),) = await witness.reader.evidence(None, 10)
    finding = judge(decode_evidence(body), voters)
    assert (finding.voter, finding.kind, finding.place) == ("bureau", "entries", (TERM, 1))
    assert finding.id == identity
    assert witness.told == [body]
    # It travels on its own: who saw neither entry learns of it, and stores it once.
    for _ in range(2):
        peers[2].keeper.receive(body)
        await keep(peers[2])
    assert [row[2] for row in await peers[2].reader.evidence(None, 10)] == [body]


async def test_an_entry_in_the_log_counts_after_a_restart_too(
    peers: list[Peer], tmp_path: Path
) -> None:
    first, second = (
        make_entry(encode_block(Block(TERM, TIME_S * 1_000 + n, ()))) for n in range(2)
    )
    witness = peers[1]
    marker = Marker.open(tmp_path / "log-marker")
    store = await open_raft_log(tmp_path / "raft.db", marker)
    await store.load()
    await store.append(AppendBatch(HardState(Term(TERM), None), [first]))
    await observe_stored(store, LogIndex(1), LogIndex(1), witness.keeper.observe_entry)
    await observe_stored(store, LogIndex(2), LogIndex(1), witness.keeper.observe_entry)
    await observe_stored(store, LogIndex(5), LogIndex(9), witness.keeper.observe_entry)
    await store.close()
    marker.close()

    witness.authority.admit(NodeId(LIAR), second)
    await keep(witness)
    ((_, _, body),) = await witness.reader.evidence(None, 10)
    assert judge(decode_evidence(body), witness.finality._voters).kind == "entries"


async def test_no_leader_chooses_the_voters(peers: list[Peer]) -> None:
    alone = Membership((NodeId(LIAR),)).encode()

    chosen = make_entry(alone, kind=EntryKind.MEMBERSHIP)
    assert peers[1].authority.admit(NodeId(LIAR), chosen) is Admission.FORGED
    assert peers[1].forgers == [LIAR]


async def test_an_entry_that_its_leader_did_not_sign_is_forged_and_blames_nobody(
    peers: list[Peer],
) -> None:
    true = make_entry(b"\x93\x01\x02\x90")
    forged = ENTRY_FORMAT.entry_type(
        true.term, true.index, true.kind, NodeId(2), true.prev_hash, true.payload, true.attestation
    )
    assert peers[1].authority.admit(NodeId(LIAR), true) is Admission.ACCEPT
    assert peers[1].forgers == []
    assert peers[1].authority.admit(NodeId(LIAR), forged) is Admission.FORGED
    assert peers[1].forgers == [LIAR], "who sends it, not whom it names"
    await keep(peers[1])
    assert await peers[1].reader.evidence(None, 10) == []


async def keep(peer: Peer) -> None:
    """Let the keeper store what it found."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.2):
            await peer.keeper.keep()


# --- The same against daemons ----------------------------------------------------------------


async def test_daemons_serve_evidence_of_two_entries_and_of_two_roots(cluster: Cluster) -> None:
    for number in range(8):
        cluster.issue(f"order-{number}")
    status = cluster.wait_equal()
    liar = next(m.name for m in cluster.living if m.name != status["raft"]["leader"])
    cluster.stop(liar)
    witnesses = [member.name for member in cluster.living]

    async with Impostor(cluster, liar) as impostor:
        await sign_two_entries(cluster, impostor, witnesses[0])
        await sign_other_roots(cluster, impostor, witnesses)
        for name in witnesses:
            kinds = await asyncio.to_thread(
                wait_until, f"{name} has both", lambda name=name: both_kinds(cluster, name)
            )
            assert kinds == {"entries", "roots"}

    for name in witnesses:
        for item in cluster[name].evidence():
            finding = judge(decode_evidence(item["body"]), cluster.voters)
            assert (finding.voter, item["voter"]) == (liar, liar)
            assert liar in item["sentence"]
            assert finding.id.hex() == item["id"]
    cluster.start(liar)
    cluster.issue("afterwards")
    cluster.wait_equal()


async def test_true_signatures_beside_false_heights_stop_nobody(cluster: Cluster) -> None:
    """Cosignatures and certificates cover no height: replayed at another one, they mean nothing."""
    old = cluster.wait_equal()["final_height"]
    note = cluster["issuer"].get(f"/v1/blocks/{old}")["certificate"]
    cluster.stop("reimburser")
    witnesses = [member.name for member in cluster.living]
    lines = parse_certificate(note)

    async with Impostor(cluster, "reimburser") as impostor:
        for ahead in range(1, 6):
            for name in witnesses:
                await impostor.say(
                    name, Link.GOSSIP, *encode_control(CertificateMessage(old + ahead, note))
                )
                for line in lines.cosignatures:
                    voter = cluster.voters.by_cosigner[line.cosigner].number
                    told = lines.checkpoint
                    message = StatementMessage(voter, old + ahead, told.size, told.root, line.blob)
                    await impostor.say(name, Link.GOSSIP, *encode_control(message))
        for number in range(6):
            await asyncio.to_thread(cluster.issue, f"goes-on-{number}")

    for name in witnesses:
        assert cluster[name].ask("GET", "/readyz").status == 200
        assert '"halted"' not in cluster[name].log_text()
    cluster.start("reimburser")
    cluster.issue("together-again")
    cluster.wait_equal()


def both_kinds(cluster: Cluster, name: str) -> set[str] | None:
    kinds = {item["kind"] for item in cluster[name].evidence()}
    return kinds if len(kinds) == 2 else None


async def sign_two_entries(cluster: Cluster, impostor: Impostor, witness: str) -> None:
    """Claim the next term and put two different blocks at one index."""
    index, term, entry_hash = end_of_log(cluster, witness)
    status = cluster[witness].status()
    new_term = status["raft"]["term"] + 1
    for number in range(2):
        block = encode_block(Block(new_term, status["head_time_ms"] + number, ()))
        entry = impostor.entry(new_term, index + 1, entry_hash, block)
        append = AppendRequest(
            Term(new_term), LogIndex(index), Term(term), entry_hash, LogIndex(0), (entry,)
        )
        await impostor.say(witness, Link.RAFT, RAFT_MESSAGE, encode(append))


async def sign_other_roots(cluster: Cluster, impostor: Impostor, witnesses: list[str]) -> None:
    """Cosign another root at each of the newest heights."""
    status = cluster[witnesses[0]].status()
    key = secret_key(impostor.keys.cosign)
    for height in range(max(1, status["final_height"] - 2), status["final_height"] + 1):
        seal = cluster[witnesses[0]].get(f"/v1/blocks/{height}")
        size = seal["first_index"] + seal["count"] + 1
        root = hashlib.sha256(b"another history %d" % height).digest()
        checkpoint = Checkpoint(cluster.voters.origin, size, root)
        blob = cosign(checkpoint, impostor.me.cosigner, key, TIME_S)
        message = StatementMessage(impostor.me.number, height, size, root, blob)
        for name in witnesses:
            await impostor.say(name, Link.GOSSIP, *encode_control(message))


# --- Two histories ---------------------------------------------------------------------------


async def test_a_voter_that_forks_its_history_is_named_by_two_verifiers_and_by_every_node(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One liar, alone with its fork, whose sizes are none of the true history."""
    verifier = tmp_path / "old.checkpoint"
    verifier.write_bytes(cluster["payer"].get("/v1/checkpoint"))
    status = cluster.wait_equal()
    busy = {status["raft"]["leader"], "issuer"}
    liar, away = [member for member in reversed(cluster.living) if member.name not in busy][:2]
    witnesses = [member for member in cluster.living if member is not liar]
    # The liar signs these heads for certain: without it there would be no q.
    cluster.stop(away.name)
    for number in range(3):
        cluster.issue(f"before-{number}")
    cluster.start(away.name)
    before, status = status, cluster.wait_equal()
    heads = head_sizes(witnesses[0], status["final_height"])
    size = min(set(range(before["tree_size"], status["tree_size"])) - heads)
    true_leaves = read_leaves(witnesses[0], size)
    me = cluster.voters.by_node[liar.name]
    larger = [*true_leaves[:-2], b"false", *(b"more %d" % n for n in range(300))]
    forks = [
        Fork(cluster.voters, leaves, [(me, liar.keys())], TIME_S)
        for leaves in ([*true_leaves[:-1], b"false"], larger)
    ]
    network = str(cluster.folder / "network.toml")

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()  # what our own links have logged is none of its output
        code = main([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    # Two verifiers compare what they were shown, at a node, in a mirror, in a file.
    here = str(witnesses[0].local.folder / "node.toml")
    there = str(witnesses[1].local.folder / "node.toml")
    for source in (there, str(verifier)):
        code, value = await asyncio.to_thread(run, "compare", here, source, "--network", network)
        assert (code, value["consistent"], value["evidence"]) == (0, True, [])
    file = tmp_path / "fork.evidence"
    for number, fork in enumerate(forks):
        fork.write(mirror := tmp_path / f"mirror-{number}")
        with fork.served() as url:
            for source in (str(mirror), url):
                arguments = ("compare", source, here, "--network", network, "-o", str(file))
                code, value = await asyncio.to_thread(run, *arguments)
                assert (code, value["consistent"]) == (1, False)
                assert value["first_difference"] == size - 1 - number
                assert [(e["voter"], e["kind"]) for e in value["evidence"]] == [
                    (liar.name, "leaves")
                ]
                code, verdict = run("verify", str(file), "--network", network)
                assert (code, verdict["valid"], verdict["voter"]) == (0, True, liar.name)

    # The same fork told to one node: it proves it with its own tree, and tells the others.
    cluster.stop(liar.name)
    smaller = forks[0].certificate
    async with Impostor(cluster, liar.name) as impostor:
        told = StatementMessage(
            me.number,
            status["final_height"],
            smaller.checkpoint.size,
            smaller.checkpoint.root,
            smaller.cosignatures[0].blob,
        )
        await impostor.say(witnesses[0].name, Link.GOSSIP, *encode_control(told))
        sentence = f"that does not continue the one it cosigned for tree size {size}"
        for member in witnesses:
            await asyncio.to_thread(
                wait_until, f"{member.name} names the liar", lambda m=member: names(m, sentence)
            )

    for member in witnesses:
        item = names(member, sentence)
        assert item is not None
        assert item["voter"] == liar.name
        summary = member.status()["evidence"]
        assert summary["count"] == len(member.evidence())
        assert item["sentence"] in summary["newest"]
        config = str(member.local.folder / "node.toml")
        arguments = ("evidence", "export", item["id"], "-o", str(file), "-c", config)
        code, _ = await asyncio.to_thread(run, *arguments)
        assert code == 0
        code, verdict = run("verify", str(file), "--network", network)
        assert (code, verdict["sentence"]) == (0, item["sentence"])

    # Who comes later learns of it too, even if it is the one.
    cluster.start(liar.name)
    await asyncio.to_thread(
        wait_until, "evidence reaches who was away", lambda: names(liar, sentence)
    )
    cluster.issue("after-the-fork")
    cluster.wait_equal()


async def test_a_certified_other_history_stops_a_node_and_names_all_who_made_it(
    cluster: Cluster,
) -> None:
    """Three of four collude. The fourth gets their certificate from one of them."""
    status = cluster.wait_equal()
    leader = status["raft"]["leader"]
    teller, witness = [m for m in cluster.living if m.name != leader][:2]
    liars = [member for member in cluster.members.values() if member is not witness]
    heads = head_sizes(witness, status["final_height"])
    size = max(set(range(status["tree_size"])) - heads)
    leaves = [*read_leaves(witness, size)[:-1], b"false"]
    signers = [(cluster.voters.by_node[m.name], m.keys()) for m in liars]
    fork = Fork(cluster.voters, leaves, signers, TIME_S)
    fork.certificate.verify(cluster.voters)

    cluster.stop(teller.name)
    height, note = status["final_height"], fork.certificate.encode()
    async with Impostor(cluster, teller.name) as impostor:
        message = CertificateMessage(height, note)
        await impostor.say(witness.name, Link.GOSSIP, *encode_control(message))
        # Ready it may not be for other reasons too: an election, on a slow machine.
        complaint = f"certified another tree of {size} leaves"
        await asyncio.to_thread(
            wait_until, "the node stops", lambda: complaint in witness.log_text()
        )
    assert witness.ask("GET", "/readyz").status == 503
    assert witness.status()["tree_size"] == status["tree_size"], "reads go on"
    sentence = f"that does not continue the one it cosigned for tree size {size}"
    for member in cluster.living:
        accused = await asyncio.to_thread(
            wait_until,
            f"{member.name} names who signed both",
            lambda m=member: all_accused(m, sentence),
        )
        assert accused == {liar.name for liar in liars}
    cluster.stop(witness.name)
    cluster.start(witness.name, teller.name)
    cluster.issue("with-open-eyes")
    cluster.wait_equal()


def all_accused(member: Member, sentence: str) -> set[str] | None:
    accused = {e["voter"] for e in member.evidence() if sentence in e["sentence"]}
    return accused if len(accused) == 3 else None


def names(member: Member, sentence: str) -> dict[str, Any] | None:
    return next((e for e in member.evidence() if sentence in e["sentence"]), None)


def head_sizes(member: Member, last: int) -> set[int]:
    """Tree sizes after every block up to `last`."""
    seals = [member.get(f"/v1/blocks/{height}") for height in range(1, last + 1)]
    return {seal["first_index"] + seal["count"] + 1 for seal in seals}

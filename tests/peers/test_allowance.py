"""What a peer sends has a price, paid before anything is done; a flood waits for itself alone."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from nacl.bindings import crypto_sign_open

from node.chain.certificate import Certificate
from node.chain.checkpoint import Checkpoint, cosign
from node.chain.entry import attest
from node.chain.voters import VoterSet
from node.following.participants import Participants
from node.following.tracker import Tracker
from node.ledger import signing
from node.ledger.codes import Code
from node.ledger.transaction import encode_wire
from node.peers.allowance import CHECKS_BURST, CHECKS_PER_S, Allowance
from node.peers.messages import (
    STATEMENTS_MAX,
    ControlMessage,
    DissentMessage,
    Kind,
    StatementMessage,
    encode_control,
)
from node.storage.outbox import Outbox
from node.storage.raft_log import ENTRY_FORMAT
from node.submission.admission import Admission, Judged, VerifiedCache
from node.submission.intake import SLICE, Intake
from node.submission.pool import Pool, PoolLimits
from node.submission.spreading import DISHONEST
from node.system.clock import SystemClock
from p2p.gossip import ITEMS, ITEMS_MAX
from p2p.limits import REFUSED_BURST, REFUSED_PER_S
from p2p.types import Link, PeerId
from tests.chain.network import TIME_S, seed
from tests.following.test_finality import Fixture
from tests.ledger.world import SELLER
from tests.node.chronicle import found
from tests.node.transactions import make_transaction
from tests.runtime.voters import built_voter

NO_OUTBOX = cast("Outbox", None)
"""Nothing is promised."""


class Hands:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_ms = 0

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ms(self) -> int:
        return self.now_ms


@pytest.fixture
async def prices(tmp_path: Path) -> Mapping[int, float]:
    """What a message of each kind costs at a voter."""
    async with built_voter(tmp_path) as parts:
        return {kind: route.price for kind, route in parts.router._routes.items()}


async def waits(allowance: Allowance, peer: int, price: float) -> bool:
    """Whether the next message of a peer is not taken at once."""
    paying = asyncio.ensure_future(allowance.pay(peer, price))
    await asyncio.sleep(0)
    late = not paying.done()
    paying.cancel()
    return late


async def test_an_honest_voter_at_the_fastest_pace_never_waits(
    prices: Mapping[int, float],
) -> None:
    clock = Hands()
    allowance = Allowance([1], clock)
    for turn in range(60 * 20):
        clock.now_ms = turn * 50
        for _ in range(5):  # a hundred blocks a second
            assert not await waits(allowance, 1, prices[Kind.COSIGNED])
        if turn % 10 == 0:  # each half second
            for kind in (*[Kind.COSIGNED] * 64, Kind.STATUS, Kind.CERTIFICATE):
                assert not await waits(allowance, 1, prices[kind])


@pytest.mark.parametrize(
    "kind", [Kind.STATUS, Kind.COSIGNED, Kind.CERTIFICATE, Kind.EVIDENCE, Kind.BLOCKS_WANTED]
)
async def test_a_flood_of_any_kind_waits_and_nobody_else_does(
    kind: Kind, prices: Mapping[int, float]
) -> None:
    clock, price = Hands(), prices[kind]
    allowance = Allowance([1, 2], clock)
    taken = 0
    while not await waits(allowance, 1, price):
        taken += 1
        assert taken <= 2 * CHECKS_BURST
    assert not await waits(allowance, 2, price)
    clock.now_ms = 1_000
    again = 0
    while not await waits(allowance, 1, price):
        again += 1
    assert again <= 2 * CHECKS_PER_S
    assert not await waits(allowance, 1, prices[Kind.BLOCKS]), (
        "an answer that was asked for is free"
    )


LIES = 60
"""Of each kind; what is kept of them as evidence costs more than its price, a few times."""
KEPT_CHECKS_MAX = 64
FLOOD_S_MAX = 5
"""Ten messages take a fraction of it."""


def _lies(voters: VoterSet, number: int) -> Iterator[tuple[str, ControlMessage]]:
    """Valid signatures under all that contradicts itself, as cheap as each can be said."""
    voter = voters.voters[number]
    cosign_key, identity = seed(f"{voter.node}/cosign"), seed(f"{voter.node}/identity")

    def root(*what: object) -> bytes:
        return hashlib.sha256(repr(what).encode()).digest()

    def cosigned(size: int, its_root: bytes) -> bytes:
        checkpoint = Checkpoint(voters.origin, size, its_root)
        return cosign(checkpoint, voter.cosigner, cosign_key, TIME_S)

    def entry(index: int, *what: object) -> tuple[bytes, bytes]:
        header = ENTRY_FORMAT.header(5, index, 1, number, root("before"), root(*what))
        return header, attest(voters.network_id, header, identity)

    for turn in range(LIES):
        for name, size in (("one size", 7), ("pairs", 1_000 + turn // 2)):
            its_root = root(name, turn)
            blob = cosigned(size, its_root)
            yield name, StatementMessage(number, 10**6, size, its_root, blob)
        for name, place in (("one place", 9), ("places", 10 + turn // 2)):
            entries = tuple(entry(place, name, turn, each) for each in range(STATEMENTS_MAX))
            roots = [root(name, turn, each) for each in range(STATEMENTS_MAX)]
            told = tuple((number, 10_000 + place, r, cosigned(10_000 + place, r)) for r in roots)
            yield "dissent " + name, DissentMessage(entries, told)


async def test_no_message_costs_more_than_its_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each second root and entry was judged twice: a statement cost five checks, and paid one."""
    checks: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    now = ""

    def counted(message: bytes, key: bytes) -> bytes:
        checks[now] += 1
        return crypto_sign_open(message, key)

    async def pay(_: int, price: float) -> None:
        paid[now] += price  # type: ignore[assignment]  # a float counts as well

    async with built_voter(tmp_path) as parts:
        monkeypatch.setattr(signing, "crypto_sign_open", counted)
        monkeypatch.setattr(parts.router.allowance, "pay", pay)
        voters = parts.router._voters
        peer = PeerId(voters.voters[1].identity_key)
        for name, message in _lies(voters, 1):
            now = name
            await parts.router.on_message(peer, Link.GOSSIP, *encode_control(message))
    assert len(paid) == 4
    over = {name: checks[name] - paid[name] for name in paid}
    assert sum(max(0, each) for each in over.values()) <= KEPT_CHECKS_MAX, (checks, paid)


async def test_the_first_bad_signature_ends_a_batch() -> None:
    genesis = found()
    cache, height = VerifiedCache(), Tracker()
    admission = Admission(genesis, Participants(genesis), cache, lambda _: False)
    intake = Intake(
        admission,
        Pool(PoolLimits()),
        NO_OUTBOX,
        height,
        SystemClock(),
        outbox_max=1,
        spread=lambda _: None,
        on_work=lambda: None,
    )
    made = [
        make_transaction(n, network=genesis.network_id, author=SELLER, seed=seed(SELLER))
        for n in range(2 * SLICE)
    ]
    signature = bytearray(made[3].signature)
    signature[5] ^= 1
    wires = [t.wire for t in made]
    wires[3] = encode_wire(made[3].body_bytes, bytes(signature))

    judged = await intake.judge(wires, DISHONEST)

    assert [j.code for j in judged] == [Code.OK, Code.OK, Code.OK, Code.BAD_SIGNATURE]
    assert [cache.get(wire) is not None for wire in wires[:6]] == [True] * 3 + [False] * 3
    assert len(await intake.judge(wires)) == len(wires), "a local client hears of each"


async def test_transactions_that_nobody_signed_are_not_judged_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is expired, or of a stranger, is no lie of its sender; a link carries 300,000."""
    judged = 0
    judge = Admission._judge

    def counted(admission: Admission, wire: bytes, height: int) -> Judged:
        nonlocal judged
        judged += 1
        return judge(admission, wire, height)

    async with built_voter(tmp_path) as parts:
        monkeypatch.setattr(Admission, "_judge", counted)
        voters = parts.router._voters
        made = make_transaction(1, network=voters.network_id, author=SELLER, seed=seed(SELLER))
        wire = encode_wire(made.body_bytes, bytes(64))
        flood = b"".join(len(wire).to_bytes(4, "big") + wire for _ in range(ITEMS_MAX))
        one, other = (PeerId(voter.identity_key) for voter in voters.voters[1:3])
        for _ in range(10):
            await parts.router.on_message(one, Link.GOSSIP, ITEMS, flood)
        assert 0 < judged <= REFUSED_BURST + ITEMS_MAX + REFUSED_PER_S * FLOOD_S_MAX
        judged = 0
        await parts.router.on_message(other, Link.GOSSIP, ITEMS, flood[: 4 + len(wire)])
        assert judged == 1


def test_a_known_head_beside_an_invented_height_costs_no_signature_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fixture = Fixture()
    for height in range(1, 9):
        fixture.apply(height)
        for number in (1, 2):
            fixture.finality.receive(number, fixture.statement(number, height))
    fixture.apply(9)
    checks = 0
    verify = Certificate.verify

    def counted(certificate: Certificate, voters: VoterSet) -> None:
        nonlocal checks
        checks += 1
        verify(certificate, voters)

    monkeypatch.setattr(Certificate, "verify", counted)
    for height in range(1, 9):
        certificate = fixture.certificate(height)
        for invented in (9, 10, 400, 2**50):
            assert not fixture.finality.receive_certificate(invented, certificate)
    assert checks == 0
    assert fixture.finality.final_height == 8
    assert fixture.finality.receive_certificate(9, fixture.certificate(9))
    assert checks == 1

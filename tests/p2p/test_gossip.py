"""Gossip: who is pushed to, told and asked, and that everything stays bounded."""

from __future__ import annotations

import contextlib
import hashlib
import random  # noqa: TID251 - seeded
from collections import deque

import pytest

from p2p.errors import RemoteProtocolError
from p2p.gossip import (
    ATTEMPTS_MAX,
    HAVE,
    HAVE_IDS_MAX,
    ITEM_BYTES_MAX,
    ITEMS,
    ITEMS_MAX,
    RELAY_DELAY_MS,
    REPLY_BYTES_MAX,
    RETRY_MS,
    SERVED_MAX,
    UNTOLD_MAX,
    WANT,
    WANT_IDS_MAX,
    WANTED_PER_PEER_MAX,
    Gossip,
    Outgoing,
    pack_items,
)
from p2p.limits import IDS_BURST, IDS_PER_S, REFUSED_BURST, REFUSED_PER_S
from p2p.types import ItemId, PeerId

A, B, C, D = (PeerId(letter * 32) for letter in (b"a", b"b", b"c", b"d"))


def item(body: bytes) -> ItemId:
    return ItemId(hashlib.sha256(body).digest())


def fakes(count: int, seed: int = 1) -> list[ItemId]:
    rng = random.Random(seed)
    return [ItemId(rng.randbytes(32)) for _ in range(count)]


class Store:
    """One node's items and its gossip."""

    def __init__(self, *peers: PeerId) -> None:
        self.items: dict[ItemId, bytes] = {}
        self.gossip = Gossip(self.items.get, lambda i: i in self.items)
        for peer in peers:
            self.gossip.peer_up(peer, [])

    def add(self, *bodies: bytes) -> list[tuple[ItemId, bytes]]:
        added = [(item(body), body) for body in bodies]
        self.items.update(added)
        return added


def sent(outgoing: list[Outgoing]) -> list[tuple[PeerId, int]]:
    return [(out.peer, out.kind) for out in outgoing]


def test_own_items_are_pushed_to_some_and_announced_to_the_others() -> None:
    store = Store(A, B, C)
    added = store.add(b"one", b"two")
    pushed = store.gossip.originate(added, [A, D])
    assert sent(pushed) == [(A, ITEMS)], "D is not connected"
    assert store.gossip.decode_items(pushed[0].body) == [b"one", b"two"]
    told = store.gossip.tick(0)
    assert sent(told) == [(B, HAVE), (C, HAVE)]
    assert told[0].body == added[0][0] + added[1][0]
    assert store.gossip.tick(50) == []


def test_an_item_that_is_gone_by_the_tick_is_not_announced() -> None:
    store = Store(A)
    store.gossip.originate(store.add(b"one"), [])
    store.items.clear()
    assert store.gossip.tick(0) == []


def test_a_new_peer_is_told_of_everything_held() -> None:
    store = Store()
    ids = [i for i, _ in store.add(*(bytes([n]) for n in range(100)))]
    store.gossip.peer_up(A, ids)
    (told,) = store.gossip.tick(0)
    assert told.body == b"".join(ids)


def test_an_announced_item_is_asked_for_once_and_then_given() -> None:
    giver, taker = Store(B), Store(A, C)
    (known, body), *_ = giver.add(b"item")
    (want,) = taker.gossip.receive_have(A, known, 0)
    assert (want.peer, want.kind, want.body) == (A, WANT, known)
    assert taker.gossip.receive_have(C, known, 1) == []
    (given,) = giver.gossip.receive_want(B, want.body, 0)
    assert taker.gossip.decode_items(given.body) == [body]
    taker.add(body)
    taker.gossip.learned(A, [known], [known], 2)
    assert taker.gossip.wanted == 0
    assert taker.gossip.tick(10_000) == [], "A and C announced it themselves"


def test_a_learned_item_is_relayed_after_a_while_to_those_who_lack_it() -> None:
    store = Store(A, B, C)
    ids = [i for i, _ in store.add(b"item")]
    store.gossip.learned(A, ids, ids, 0)
    store.gossip.receive_have(B, ids[0], 10)
    assert store.gossip.tick(RELAY_DELAY_MS - 1) == []
    assert sent(store.gossip.tick(RELAY_DELAY_MS)) == [(C, HAVE)]


def test_items_refused_by_the_embedder_are_not_relayed() -> None:
    store = Store(A, B)
    ids = [i for i, _ in store.add(b"item")]
    store.gossip.learned(A, ids, [], 0)
    assert store.gossip.tick(10_000) == []


def test_a_want_that_stays_unanswered_goes_to_the_next_announcer() -> None:
    store = Store(A, B)
    wanted = fakes(1)[0]
    store.gossip.receive_have(A, wanted, 0)
    store.gossip.receive_have(B, wanted, 10)
    assert store.gossip.tick(RETRY_MS - 1) == []
    assert sent(store.gossip.tick(RETRY_MS)) == [(B, WANT)]
    assert sent(store.gossip.tick(2 * RETRY_MS)) == [(A, WANT)]


def test_a_want_is_given_up_after_its_attempts() -> None:
    store = Store(A)
    store.gossip.receive_have(A, fakes(1)[0], 0)
    retries = sum(len(store.gossip.tick(now)) for now in range(0, 10_000, 100))
    assert retries == ATTEMPTS_MAX - 1
    assert store.gossip.wanted == 0


def test_a_lost_peer_is_not_waited_for() -> None:
    store = Store(A, B)
    wanted = fakes(1)[0]
    store.gossip.receive_have(A, wanted, 0)
    store.gossip.receive_have(B, wanted, 0)
    store.gossip.peer_down(A)
    assert sent(store.gossip.tick(1)) == [(B, WANT)]
    store.gossip.peer_down(B)
    assert store.gossip.tick(2) == []
    assert store.gossip.wanted == 0


# --- Bounds ----------------------------------------------------------------------------------


def test_one_peer_cannot_take_the_room_of_the_others() -> None:
    store = Store(A, B)
    invented = fakes(WANTED_PER_PEER_MAX + 1_000)
    asked = 0
    for start in range(0, len(invented), HAVE_IDS_MAX):
        body = b"".join(invented[start : start + HAVE_IDS_MAX])
        asked += sum(len(w.body) // 32 for w in store.gossip.receive_have(A, body, 0))
    assert asked == store.gossip.wanted == WANTED_PER_PEER_MAX
    assert len(store.gossip.receive_have(B, fakes(1, seed=2)[0], 0)) == 1


def test_who_asks_for_more_than_anybody_can_have_is_not_answered() -> None:
    """Two million ids a second fit into a link, and each was looked up."""
    looked: list[ItemId] = []

    def look(wanted: ItemId) -> None:
        looked.append(wanted)

    gossip = Gossip(look, lambda _: False)
    gossip.peer_up(A, [])
    gossip.peer_up(B, [])
    body = b"".join(fakes(WANT_IDS_MAX))
    for _ in range(int(2 * IDS_BURST / WANT_IDS_MAX)):
        gossip.receive_want(A, body, 0)
    assert IDS_BURST - WANT_IDS_MAX < len(looked) <= IDS_BURST
    gossip.peer_up(A, [])
    gossip.receive_want(A, body, 0)
    assert len(looked) <= IDS_BURST, "a new link brings no new burst"
    looked.clear()
    gossip.receive_want(B, body, 0)
    assert len(looked) == WANT_IDS_MAX, "another peer's rate is its own"
    looked.clear()
    for _ in range(1_000):
        gossip.receive_want(A, body, 1_000)
    assert len(looked) <= IDS_PER_S


def test_who_sends_what_is_refused_is_not_listened_to_for_a_while() -> None:
    gossip = Store(A, B).gossip
    assert gossip.takes_items(A, ITEMS_MAX, 0)
    gossip.refused(A, int(REFUSED_BURST), 0)
    assert gossip.takes_items(A, 1, 0), "so many an honest peer may send"
    gossip.refused(A, int(2 * REFUSED_PER_S), 0)
    gossip.peer_up(A, [])
    for now_ms in (0, 1_000, 1_999):
        assert not gossip.takes_items(A, 1, now_ms)
        assert gossip.takes_items(B, 1, now_ms)
    assert gossip.takes_items(A, 1, 2_000)
    sent = 0
    while gossip.takes_items(A, ITEMS_MAX, 2_000):
        sent += ITEMS_MAX
    assert sent <= IDS_BURST, "repeated ones cost something too"


def test_reconnecting_does_not_lift_the_bound() -> None:
    store = Store(A, B)
    shared = fakes(1, seed=6)[0]
    for round_number in range(4):
        store.gossip.peer_up(A, [])
        store.gossip.receive_have(A, shared, 0)
        if round_number == 0:
            store.gossip.receive_have(B, shared, 0)
        invented = fakes(WANTED_PER_PEER_MAX + 500, seed=round_number + 20)
        for start in range(0, len(invented), HAVE_IDS_MAX):
            store.gossip.receive_have(A, b"".join(invented[start : start + HAVE_IDS_MAX]), 0)
        assert store.gossip.wanted <= WANTED_PER_PEER_MAX + 1
    store.gossip.peer_down(A)
    assert store.gossip.wanted == 1, "what B announced too is still wanted"


def test_a_million_invented_announcements_leave_no_more_than_their_bounds() -> None:
    store = Store(A)
    now = 0
    rng = random.Random(3)
    for _ in range(1_000):
        store.gossip.receive_have(A, rng.randbytes(32 * 1_000), now)
        now += 1
        store.gossip.tick(now)
    assert store.gossip.wanted <= WANTED_PER_PEER_MAX
    for _ in range(20):
        now += RETRY_MS
        store.gossip.tick(now)
    assert store.gossip.wanted == 0
    assert len(store.gossip.receive_have(A, fakes(1, seed=9)[0], now + 60_000)) == 1


def test_announcements_beyond_the_rate_are_ignored() -> None:
    store = Store(A)
    body = b"".join(fakes(HAVE_IDS_MAX))
    for _ in range(int(IDS_BURST) // HAVE_IDS_MAX):
        store.gossip.receive_have(A, body, 0)
    late = b"".join(fakes(HAVE_IDS_MAX, seed=5))
    assert store.gossip.receive_have(A, late, 0) == []
    assert store.gossip.receive_have(A, late, 1_000) != []


def test_untold_announcements_are_bounded_and_the_newest_stay() -> None:
    store = Store(A)
    added = store.add(*(n.to_bytes(4, "big") for n in range(UNTOLD_MAX + 10)))
    store.gossip.originate(added, [])
    told = b"".join(out.body for out in store.gossip.tick(0))
    assert len(told) == UNTOLD_MAX * 32
    assert told.endswith(added[-1][0])


def test_an_item_is_given_to_one_peer_a_few_times_only() -> None:
    store = Store(A, B)
    (known, _), *_ = store.add(b"item")
    given = [len(store.gossip.receive_want(A, known, 0)) for _ in range(SERVED_MAX + 2)]
    assert given == [1] * SERVED_MAX + [0, 0]
    assert len(store.gossip.receive_want(B, known, 0)) == 1


def test_one_want_yields_a_bounded_answer() -> None:
    store = Store(A)
    added = store.add(*(bytes([n]) * 600_000 for n in range(20)))
    answers = store.gossip.receive_want(A, b"".join(i for i, _ in added), 0)
    total = sum(len(out.body) for out in answers)
    assert REPLY_BYTES_MAX <= total <= REPLY_BYTES_MAX + 700_000


def test_a_peer_that_is_not_connected_gets_nothing() -> None:
    store = Store()
    (known, _), *_ = store.add(b"item")
    assert store.gossip.receive_have(A, fakes(1)[0], 0) == []
    assert store.gossip.receive_want(A, known, 0) == []


BAD_ITEMS = {
    "empty": b"",
    "truncated length": b"\x00\x00\x00",
    "truncated body": b"\x00\x00\x00\x05abc",
    "empty item": bytes(4),
    "declared 4 GiB": b"\xff\xff\xff\xff" + bytes(100),
    "item too large": (ITEM_BYTES_MAX + 1).to_bytes(4, "big") + bytes(ITEM_BYTES_MAX + 1),
    "too many items": b"\x00\x00\x00\x01x" * (ITEMS_MAX + 1),
}


@pytest.mark.parametrize("body", BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_malformed_items_are_the_peers_fault(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Gossip.decode_items(body)


@pytest.mark.parametrize(
    "body", [b"", bytes(31), bytes(33), bytes(32 * (HAVE_IDS_MAX + 1))], ids=len
)
def test_malformed_ids_are_the_peers_fault(body: bytes) -> None:
    store = Store(A)
    with pytest.raises(RemoteProtocolError):
        store.gossip.receive_have(A, body, 0)
    with pytest.raises(RemoteProtocolError):
        store.gossip.receive_want(A, body, 0)
    assert store.gossip.wanted == 0


def test_packed_items_come_apart_again_in_bounded_messages() -> None:
    rng = random.Random(4)
    bodies = [rng.randbytes(rng.choice([1, 300, 5_000, 300_000])) for _ in range(300)]
    bodies += [b"x"] * (ITEMS_MAX + 5)
    packed = pack_items(bodies)
    assert [b for message in packed for b in Gossip.decode_items(message)] == bodies


def test_5000_fuzzed_messages_change_nothing_but_bounded_memory() -> None:
    rng = random.Random(5)
    store = Store(A)
    store.add(*(bytes([n]) * 50 for n in range(50)))
    some = list(store.items)
    for turn in range(5_000):
        body = bytearray(rng.choice(some) * rng.randrange(1, 3))
        body[rng.randrange(len(body))] ^= rng.randrange(1, 256)
        if rng.random() < 0.5:
            body = body[: rng.randrange(len(body))]
        with contextlib.suppress(RemoteProtocolError):
            store.gossip.receive_have(A, bytes(body), turn)
        with contextlib.suppress(RemoteProtocolError):
            store.gossip.receive_want(A, bytes(body), 0)
        with contextlib.suppress(RemoteProtocolError):
            store.gossip.decode_items(bytes(body))
    assert len(store.items) == 50
    assert store.gossip.wanted <= WANTED_PER_PEER_MAX


# --- Convergence -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_every_item_reaches_every_node_although_messages_are_lost(seed: int) -> None:
    rng = random.Random(seed)
    names = [A, B, C, D]
    nodes = {name: Store(*(other for other in names if other != name)) for name in names}
    wire: deque[tuple[PeerId, Outgoing]] = deque()
    for number in range(40):
        origin = rng.choice(names)
        added = nodes[origin].add(f"{seed}/{number}".encode())
        eager = rng.sample([n for n in names if n != origin], rng.randrange(3))
        wire += ((origin, out) for out in nodes[origin].gossip.originate(added, eager))
    now = 0
    transfers = 0
    while now < 10_000:
        while wire:
            source, out = wire.popleft()
            if out.kind != HAVE and rng.random() < 0.04:
                continue  # a full queue drops it
            node = nodes[out.peer]
            if out.kind == ITEMS:
                bodies = node.gossip.decode_items(out.body)
                transfers += len(bodies)
                new = [item(b) for b in bodies if item(b) not in node.items]
                node.add(*bodies)
                node.gossip.learned(source, [item(b) for b in bodies], new, now)
                answers = []
            elif out.kind == HAVE:
                answers = node.gossip.receive_have(source, out.body, now)
            else:
                answers = node.gossip.receive_want(source, out.body, 0)
            wire += ((out.peer, answer) for answer in answers)
        now += 50
        for name, node in nodes.items():
            wire += ((name, out) for out in node.gossip.tick(now))
    assert all(len(node.items) == 40 for node in nodes.values())
    assert transfers <= 40 * 3 * 1.35, "duplicates stay rare"


def test_batches_are_cut_at_their_limits() -> None:
    store = Store(A)
    ids = [i for i, _ in store.add(*(n.to_bytes(4, "big") for n in range(3_000)))]
    store.gossip.peer_down(A)
    store.gossip.peer_up(A, ids)
    assert [len(out.body) // 32 for out in store.gossip.tick(0)] == [1_024, 1_024, 952]
    taker = Store(B)
    wants = taker.gossip.receive_have(B, b"".join(fakes(HAVE_IDS_MAX)), 0)
    assert [len(out.body) // 32 for out in wants] == [WANT_IDS_MAX, WANT_IDS_MAX]

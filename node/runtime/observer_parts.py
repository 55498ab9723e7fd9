"""All parts of an observer, and its files: following, without voting.

Owns their construction, as `node.runtime.parts` does for a voter. Runs nothing.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from node.custody.credentials import credential
from node.custody.signer import Signer
from node.custody.wallet import Wallet
from node.following.applier import Applier
from node.following.parts import Books, Following, build_following
from node.following.peer_states import OwnStatus
from node.following.pursuit import Pursuit
from node.following.ranges import Ranges
from node.ledger.signing import secret_key
from node.peers.messages import DishonestError, Kind, ObserverMessage
from node.peers.router import Router
from node.runtime.domains import index_parts
from node.runtime.files import open_ledger
from node.runtime.given import Given
from node.runtime.links import build_router
from node.storage.index import QueryIndex
from node.storage.ledger_values import AppliedBlock
from node.storage.outbox import Outbox
from node.submission.admission import Admission
from node.submission.handing_in import HandingIn
from node.submission.intake import Intake
from node.submission.pool import Pool, PoolLimits


class ObserverFiles(NamedTuple):
    """All of them. There is no log, and nothing that it promised to sign."""

    folder: Path
    books: Books
    outbox: Outbox
    wallet: Wallet


class ObserverParts(NamedTuple):
    """The parts."""

    router: Router
    following: Following
    applier: Applier
    pursuit: Pursuit
    intake: Intake
    own_status: OwnStatus
    signer: Signer


async def open_observer_files(given: Given, closing: AsyncExitStack) -> ObserverFiles:
    """Open everything in the data folder; `closing` closes what was opened, also after an error."""
    folder, identity = given.config.node.data_dir, given.identity
    ledger, reader = await open_ledger(folder, given, None, closing)
    outbox = await Outbox.open(folder / "outbox.db")
    closing.push_async_callback(outbox.close)
    wallet = await Wallet.open(folder / "wallet.db", given.keys.identity, given.keyring)
    closing.push_async_callback(wallet.close)
    parts = index_parts(identity.genesis)
    index = await QueryIndex.open(folder / "index.db", parts, identity.genesis.network_id)
    closing.push_async_callback(index.close)
    return ObserverFiles(folder, Books(ledger, reader, index), outbox, wallet)


def build_observer(given: Given, files: ObserverFiles) -> ObserverParts:
    """Put the parts together and register them with one another; nothing runs yet."""
    identity, clock, limits = given.identity, given.clock, given.config.limits
    router, ledger = build_router(given), files.books.ledger
    following = build_following(identity, files.books, router, clock)
    applier = Applier(ledger, following.certificates, following.halt)
    ranges = Ranges(
        identity.voters,
        lambda: ledger.head.height,
        following.finality,
        following.peers,
        clock,
        router.strike,
    )
    pool = Pool(PoolLimits(transactions_max=limits.pool_transactions, bytes_max=limits.pool_bytes))
    handing_in = HandingIn(router, router, identity.voters.f + 1)
    intake = Intake(
        Admission(identity.genesis, following.participants, given.verified, pool.knows),
        pool,
        files.outbox,
        following.tracker,
        clock,
        limits.outbox_transactions,
        handing_in.spread,
        lambda: None,
    )
    parts = ObserverParts(
        router=router,
        following=following,
        applier=applier,
        pursuit=Pursuit(identity.voters, ledger, applier, ranges, following.peers, clock),
        intake=intake,
        own_status=OwnStatus(router, following.tracker, clock, lambda: False),
        signer=Signer(given.key_file, identity.participant, following.participants, given.keyring),
    )
    _attach(given, parts, ranges)
    return parts


def _attach(given: Given, parts: ObserverParts, ranges: Ranges) -> None:
    """Who takes which message, and who hears of a stored block, in this order."""
    router, following = parts.router, parts.following

    def refuse(_: int, __: ObserverMessage) -> None:
        raise DishonestError("a voter says that it observes")

    def greet(number: int) -> None:
        identity = given.identity
        seeds = given.keys.signing_seeds
        shown = credential(
            identity.voters.network_id,
            given.keys.public.identity,
            identity.participant,
            [secret_key(seed) for seed in seeds],
        )
        router.send(number, shown)

    def follow_keys(block: AppliedBlock) -> None:
        if block.participants:
            parts.signer.follow()

    router.on(Kind.OBSERVER, ObserverMessage, refuse, price=0.0)
    router.when_up(greet)
    parts.own_status.attach(router)
    following.attach(router)
    ranges.attach(router)
    following.peers.listen(parts.pursuit.look)
    parts.applier.listen(*following.listeners, follow_keys, parts.intake.applied)

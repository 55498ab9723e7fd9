"""One member floods the others with what costs them signature checks: writing hardly notices.

A comparison of times in one run, so it belongs to the long campaigns and not to every run of tests.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence

import pytest

from node.chain.certificate import Certificate, parse_certificate
from node.chain.checkpoint import cosign
from node.ledger.signing import secret_key
from node.peers.messages import CertificateMessage, StatementMessage, encode_control
from p2p.types import Link
from tests.chain.network import TIME_S
from tests.cluster.cluster import Cluster
from tests.cluster.impostor import Impostor

pytestmark = pytest.mark.soak

WRITES = 40
SLOWER_MAX = 3.0
"""Of the median; the flood is made on the same two cores."""
SLACK_S = 0.040

Flood = Callable[[Cluster, Impostor, Sequence[str]], Coroutine[object, object, None]]


async def certificates(cluster: Cluster, impostor: Impostor, names: Sequence[str]) -> None:
    """Certified heads beside heights that nobody reached."""
    heights = range(1, cluster[names[0]].status()["final_height"])
    found = [cluster[names[0]].get(f"/v1/blocks/{height}")["certificate"] for height in heights]
    notes = [note for note in found if note]
    height = 10**6
    while True:
        for note in notes:
            height += 1
            for name in names:
                message = encode_control(CertificateMessage(height, note))
                await impostor.say(name, Link.GOSSIP, *message)


def signed_before(cluster: Cluster, impostor: Impostor, name: str, final: int) -> Certificate:
    """The newest that the stopped node signed itself: of more, it would have to rejoin."""
    for height in range(final, 0, -1):
        note = cluster[name].get(f"/v1/blocks/{height}")["certificate"]
        certificate = parse_certificate(note) if note else None
        if certificate and impostor.me.node in certificate.cosigner_nodes(cluster.voters):
            return certificate
    raise AssertionError("it signed nothing")


async def statements(cluster: Cluster, impostor: Impostor, names: Sequence[str]) -> None:
    """One true cosignature beside ever other heights that are not final."""
    final = height = cluster[names[0]].status()["final_height"]
    told = signed_before(cluster, impostor, names[0], final).checkpoint
    key = secret_key(impostor.keys.cosign)
    blob = cosign(told, impostor.me.cosigner, key, TIME_S)
    while True:
        height = final + 1 + (height + 1 - final) % 10**6
        message = StatementMessage(impostor.me.number, height, told.size, told.root, blob)
        for name in names:
            await impostor.say(name, Link.GOSSIP, *encode_control(message))


def median_s(cluster: Cluster, prefix: str) -> float:
    """Of single invoices, from the request until each is final."""
    taken = []
    for number in range(WRITES):
        start = time.perf_counter()
        cluster.issue(f"{prefix}-{number}")
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


@pytest.mark.parametrize("flood", [certificates, statements])
async def test_writing_is_as_fast_beside_a_flood(cluster: Cluster, flood: Flood) -> None:
    for number in range(20):
        await asyncio.to_thread(cluster.issue, f"{flood.__name__}-before-{number}")
    await asyncio.to_thread(cluster.wait_equal)
    liar = next(m.name for m in cluster.living if m.name not in {cluster.leader().name, "issuer"})
    cluster.stop(liar)
    names = [member.name for member in cluster.living]
    async with Impostor(cluster, liar) as impostor:
        calm_s = await asyncio.to_thread(median_s, cluster, f"{flood.__name__}-calm")
        async with asyncio.TaskGroup() as group:
            flooding = group.create_task(flood(cluster, impostor, names))
            await asyncio.sleep(1.0)
            flooded_s = await asyncio.to_thread(median_s, cluster, f"{flood.__name__}-flooded")
            assert not flooding.done(), "the flood went on to the end"
            flooding.cancel()
    cluster.start(liar)
    print(f"median of {WRITES} writes: {calm_s * 1e3:.0f} ms, flooded {flooded_s * 1e3:.0f} ms")
    assert flooded_s < SLOWER_MAX * calm_s + SLACK_S
    cluster.wait_equal()

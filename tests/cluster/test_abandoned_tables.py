"""Clients post the largest tables and go away: the node's memory comes back, faces do not wait.

It measures, so it belongs to the long campaigns; `tests/api/test_shares.py` is for every run.
"""

from __future__ import annotations

import socket
import time

import pytest

from node.domains.invoices.api.table_reading import TABLE_BYTES_MAX
from tests.cluster.cluster import Cluster, Member, wait_until

pytestmark = pytest.mark.soak

TABLES = 30
FACES = 100
BACK_MIB = 20


def abandon(member: Member, body: bytes) -> None:
    """Send a whole table and close without an answer."""
    head = (
        "POST /v1/tables:read HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        f"Authorization: Bearer {member.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", member.port), timeout=20) as connection:
        connection.settimeout(20)
        try:
            connection.sendall(head.encode() + body)
        except OSError:
            return  # refused before it was read: that is an answer too
        time.sleep(0.05)


def largest_table() -> bytes:
    head = b"kind,order_id,buyer,description,quantity,unit_price,net,rate\n"
    row = b",ORDER-%07d,91310115337099624K,some thing of some kind,1,12.00,,13\n"
    rows = [row % n for n in range((TABLE_BYTES_MAX - len(head)) // len(row % 0))]
    return head + b"".join(rows)


def test_abandoned_tables_cost_neither_memory_nor_faces(cluster: Cluster) -> None:
    issuer = cluster["issuer"]
    number = cluster.issue("a face")["number"]
    face = f"/v1/invoices/{number}/face?format=html"
    for _ in range(20):
        assert issuer.ask("GET", face).status == 200
    before = issuer.rss_mib()
    table = largest_table()
    waits: list[float] = []

    for n in range(FACES):
        if n < TABLES:
            abandon(issuer, table)
        start = time.monotonic()
        reply = issuer.ask("GET", face)
        waits.append(time.monotonic() - start)
        assert reply.status == 200, reply

    waits.sort()
    p99 = waits[int(len(waits) * 0.99) - 1]
    print(f"faces: p50 {waits[len(waits) // 2]:.3f} s, p99 {p99:.3f} s")
    assert p99 < 1.0
    wait_until(
        f"within {BACK_MIB} MiB of {before:.0f}",
        lambda: issuer.rss_mib() < before + BACK_MIB,
        30.0,
    )
    assert issuer.ask("GET", "/readyz").status == 200

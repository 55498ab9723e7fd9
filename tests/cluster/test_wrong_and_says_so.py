"""A node that is wrong says so: a wrong clock, damaged and missing files, signals, tokens."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from node.system.clock import SystemClock
from tests.cluster.cluster import Cluster, Member, make_cluster, wait_until

pytestmark = pytest.mark.slow


def failing(member: Member) -> set[str]:
    """Names of the checks that fail."""
    reply = member.ask("GET", "/readyz")
    assert reply.status in {200, 503}, reply
    names = {check["name"] for check in reply.body["failing"]}
    assert bool(names) is (reply.status == 503)
    return names


def ready(member: Member) -> bool:
    return member.ask("GET", "/readyz").status == 200


def other_than_issuer(cluster: Cluster) -> Member:
    """A node that neither leads nor issues."""
    leads = cluster.leader()
    return next(m for m in cluster.living if m.name != "issuer" and m is not leads)


def accepted(cluster: Cluster, order: str) -> bool:
    """Whether an invoice becomes final."""
    body = {
        "order_id": order,
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "groups": [{"rate": 1300, "net": 700}],
    }
    reply = cluster["issuer"].ask("POST", "/v1/invoices?wait=final&timeout_s=5", body)
    return reply.status == 201


# --- A wrong clock ----------------------------------------------------------------------------


@pytest.mark.parametrize("offset_ms", [-10_000, -86_400_000, 4_000], ids=lambda ms: f"{ms} ms")
def test_a_node_with_a_wrong_clock_says_so(cluster: Cluster, offset_ms: int) -> None:
    victim = other_than_issuer(cluster)
    cluster.stop(victim.name)
    program = victim.local.program
    victim.local.program = ("-m", "tests.cluster.skewed_node", str(offset_ms))
    try:
        assert victim.local.start()
        victim.alive = True
        wait_until("it answers", lambda: victim.ask("GET", "/livez").status == 200)
        number = cluster.issue(f"clock {offset_ms}")["number"]
        wait_until("it says so", lambda: "clock" in failing(victim), 20.0)
        offset_s = victim.status()["clock_offset_ms"] / 1000
        assert abs(offset_s - offset_ms / 1000) < 0.5
        metrics = victim.ask("GET", "/metrics").body.decode()
        assert "piaolian_clock_offset_seconds" in metrics
        if offset_ms < -60_000:  # it takes no entry of the leader's time, so it stands still
            wait_until("it says that it is behind", lambda: "peers" in failing(victim), 40.0)
            reply = victim.ask("POST", f"/v1/invoices/{number}/sign", {})
            assert (reply.status, reply.code) == (503, "NOT_READY"), reply
        for member in cluster.living:
            if member is not victim:
                assert ready(member), failing(member)
    finally:
        cluster.stop(victim.name)
        victim.local.program = program
        cluster.start(victim.name)
    cluster.wait_equal()


def test_clocks_that_were_all_wrong_are_told_when_they_are_right_again(tmp_path: Path) -> None:
    """Time of blocks never goes back: until the clocks are there too, every deadline stands still.

    And a clock that is set while the node runs, before 1970 too, ends nothing.
    """
    cluster = make_cluster(tmp_path / "net")
    offset = tmp_path / "offset"

    def put(milliseconds: int) -> None:
        (tmp_path / "new").write_text(str(milliseconds))
        (tmp_path / "new").replace(offset)

    put(0)
    for member in cluster.members.values():
        member.local.program = ("-m", "tests.cluster.skewed_node", str(offset))
    try:
        cluster.start()
        cluster.open_registers()
        before_1970_ms = -SystemClock().time_ms() - 86_400_000
        steps = ((before_1970_ms, True), (0, False), (30_000, False), (0, True))
        for milliseconds, said in steps:
            put(milliseconds)
            time.sleep(1.0)
            cluster.issue(f"at {milliseconds} {said}")
            cluster.wait_equal()
            assert {"clock" in failing(member) for member in cluster.living} == {said}
        (check,) = cluster["payer"].ask("GET", "/readyz").body["failing"]
        assert "s ahead of this clock" in check["detail"]
        metrics = cluster["payer"].ask("GET", "/metrics").body.decode()
        assert "piaolian_head_age_seconds -" in metrics
        wait_until("it is over by itself", lambda: ready(cluster["payer"]), 40.0)
    finally:
        cluster.close()
    assert cluster.tracebacks() == []


# --- Files ------------------------------------------------------------------------------------


def overwrite_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this was a database once. " * 40)


def overwrite_all(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(os.urandom(max(size, 4_096)))


def cut_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 777)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


def take_foreign(path: Path) -> None:
    """Another program's database in its place."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute("INSERT INTO bookmarks VALUES ('about:blank')")
        connection.commit()


DATABASES = ("ledger.db", "index.db", "heads.db", "outbox.db", "raft.db")


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, overwrite_head) for name in DATABASES),
        ("ledger.db", delete),
        ("ledger.db", take_foreign),
        ("raft.db", take_foreign),
        *(
            pytest.param(name, harm, marks=pytest.mark.soak)
            for name in DATABASES
            for harm in (overwrite_all, cut_half, empty, delete, take_foreign)
        ),
    ],
)
def test_a_damaged_file_is_set_aside_and_made_again(
    cluster: Cluster, name: str, harm: Callable[[Path], None]
) -> None:
    victim = other_than_issuer(cluster)
    label = f"{name}-{harm.__name__}"
    cluster.issue(f"{label} before")
    cluster.stop(victim.name)  # a clean stop leaves no write-ahead log
    harm(victim.data / name)
    cluster.issue(f"{label} meanwhile")
    said = len(victim.log_text())

    cluster.start(victim.name)

    cluster.issue(f"{label} after")
    cluster.wait_equal()
    assert victim.business_rows() == cluster["issuer"].business_rows()
    log = victim.log_text()[said:]
    if harm in {overwrite_head, overwrite_all, take_foreign}:
        assert "damaged file set aside" in log
        assert name in log
        assert [p for p in victim.data.glob(f"{name}.damaged-*") if p.name.endswith("Z")]
    assert (f"{name} is missing" in log) == (harm is delete)
    assert "Traceback" not in log


def test_a_file_that_is_damaged_under_a_node_is_told_without_a_trace(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    cluster.issue("before the damage")
    said = len(victim.log_text())
    cluster.stop(victim.name)  # else all of it may stand in the write-ahead log, and in memory
    cluster.start(victim.name)
    with (victim.data / "ledger.db").open("r+b") as file:
        file.write(os.urandom((victim.data / "ledger.db").stat().st_size))
    numbers = itertools.count()

    def noticed() -> bool:
        # What it has in memory still answers for some of it.
        cluster.issue(f"damage {next(numbers)}")
        victim.ask("GET", f"/v1/blocks/{next(numbers) % 8 + 1}")
        return "damaged file set aside" in victim.log_text()[said:]

    wait_until("it notices", noticed)
    wait_until("it is back", lambda: ready(victim), 60.0)

    log = victim.log_text()[said:]
    assert "ledger.db is damaged" in log
    assert "Traceback" not in log
    assert '"exception"' not in log
    cluster.wait_equal()


def test_a_missing_wallet_is_told(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    cluster.stop(victim.name)
    for path in victim.data.glob("wallet.db*"):
        path.unlink()
    said = len(victim.log_text())

    cluster.start(victim.name)

    assert "wallet.db is missing" in victim.log_text()[said:]


def test_a_network_file_that_is_no_text_is_a_plain_message(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    cluster.stop(victim.name)
    path = victim.local.config.node.network
    content = path.read_bytes()
    said = len(victim.log_text())
    try:
        path.write_bytes(content + b"\n# \xff\xfe\n")
        victim.local.start()
        assert victim.local.wait_stopped(15.0)
    finally:
        path.write_bytes(content)
    log = victim.log_text()[said:]
    assert "no UTF-8" in log
    assert "Traceback" not in log
    cluster.start(victim.name)


# --- Signals ----------------------------------------------------------------------------------


def test_signals_that_mean_no_stop_do_not_stop(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    pid = victim.local.pid

    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        assert victim.local.send_signal(number)

    wait_until("it read again", lambda: "configuration read again" in victim.log_text())
    assert victim.local.pid == pid
    assert ready(victim)


def test_a_changed_token_takes_the_place_of_the_old_one(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    path = victim.local.config.api.token_dir / "admin.token"
    old = victim.token
    new = "n" * 43
    path.write_text(new)
    try:
        wait_until("the old one is refused", lambda: refused(victim), 10.0)
        victim.token = new
        assert victim.status()["node"] == victim.name
    finally:
        path.write_text(old)
        victim.token = old
        wait_until("the old one is back", lambda: not refused(victim), 10.0)


def refused(member: Member) -> bool:
    return member.ask("GET", "/v1/status").status == 401


def test_sighup_takes_over_the_level_of_the_log(cluster: Cluster) -> None:
    victim = other_than_issuer(cluster)
    path = victim.local.folder / "node.toml"
    text = path.read_text()
    told, not_told = "configuration read again", "configuration not read again"
    before = victim.log_text().count(told)
    try:
        path.write_text(text.replace('level = "info"', 'level = "error"'))
        victim.local.send_signal(signal.SIGHUP)
        time.sleep(1.0)  # signals of one kind that come together are one
        path.write_text("this is no configuration")
        victim.local.send_signal(signal.SIGHUP)
        wait_until("it says no", lambda: not_told in victim.log_text())
        assert victim.log_text().count(told) == before
        assert ready(victim)
    finally:
        path.write_text(text)
        victim.local.send_signal(signal.SIGHUP)
    wait_until("it tells as much as before", lambda: victim.log_text().count(told) > before)

"""An issuing hold on four daemons: it ends by block time alone, and bystanders find no cause."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Member, running_cluster, wait_until
from tests.cluster.plaintext import find_planted, search_folder

pytestmark = pytest.mark.slow

CAUSE = "Quarterly books of Vermilion Kestrel are a forgery"
PROOF = "c2sp.org/tlog-proof planted by an informant"
GROUNDS = "The Kestrel ledgers were handed over in May"
PLANTED = (CAUSE, PROOF, GROUNDS)
HOLD_S = 12


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("hold") / "net") as running:
        yield running


def in_s(seconds: float) -> str:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def try_issue(cluster: Cluster, order: str) -> str:
    """The code with which an invoice is refused, or its state."""
    issuer, payer = cluster["issuer"], cluster["payer"]
    body = {
        "order_id": order,
        "buyer": payer.participant,
        "currency": "CNY",
        "lines": [{"description": "tea", "net": 1_000, "rate": 1300}],
    }
    reply = issuer.ask("POST", "/v1/invoices?wait=final&timeout_s=30", body)
    return reply.code or str(reply.body["state"])


def add_key(member: Member) -> None:
    """A second signing key, by the command that keeps its seed in the key file."""
    config = str(member.local.folder / "node.toml")
    command = (sys.executable, "-m", "node", "key", "add", "--config", config)
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def test_a_hold_ends_by_block_time_alone_and_its_cause_stays_sealed(cluster: Cluster) -> None:
    bureau, issuer = cluster["tax-bureau"], cluster["issuer"]
    path = f"/v1/issuers/{issuer.participant}/hold"
    assert try_issue(cluster, "before") == "final"
    until = in_s(HOLD_S)
    body = {"reference": "SZ-17", "until": until, "cause": CAUSE, "proof": PROOF}
    ends = time.monotonic() + HOLD_S
    bureau.write(path, body)

    assert try_issue(cluster, "while held") == "ISSUING_HELD"
    issuer.write("/v1/issuers/self/hold/appeal", {"reference": "SZ-17", "grounds": GROUNDS})
    again = bureau.ask("POST", f"{path}?wait=final", {**body, "until": in_s(60)})
    assert again.code == "ALREADY_HELD"
    shown = wait_until("the firm reads it", lambda: issuer.get(path)["cause"])
    assert shown == {"cause": CAUSE, "proof": PROOF}
    wait_until("the bureau hears it", lambda: bureau.get(path)["grounds"])
    assert time.monotonic() < ends, "too slow a machine: the hold ended meanwhile"

    # Nobody says anything: the next invoice after that time is simply issued.
    height = issuer.status()["height"]
    time.sleep(max(0.0, ends - time.monotonic()) + 1)
    assert try_issue(cluster, "after") == "final"
    cluster.wait_equal()
    for member in cluster.living:
        hold = member.get(path)
        assert (hold["live"], hold["lifted"], hold["reference"]) == (False, None, "SZ-17")
        later = range(height + 1, member.status()["height"] + 1)
        kinds = {
            view["kind"]
            for number in later
            for transaction in member.get(f"/v1/blocks/{number}")["transactions"]
            for view in transaction["operations"]
        }
        assert kinds == {"issue"}


def test_no_bystander_finds_the_cause(cluster: Cluster) -> None:
    path = f"/v1/issuers/{cluster['issuer'].participant}/hold"
    for name in ("payer", "reimburser"):
        member = cluster[name]
        answer = member.get(path)
        assert (answer["cause"], answer["grounds"]) == (None, None)
        height = member.status()["height"]
        blocks = [member.get(f"/v1/blocks/{number}") for number in range(1, height + 1)]
        said = json.dumps([answer, blocks], ensure_ascii=False).encode()
        assert find_planted(said, PLANTED) == []
        assert search_folder(member.data, PLANTED) == {}
    for name in ("tax-bureau", "issuer"):
        found = find_planted(json.dumps(cluster[name].get(path)).encode(), PLANTED)
        assert found == list(PLANTED)


def test_it_takes_two_keys_of_the_bureau_to_uphold_one(cluster: Cluster) -> None:
    bureau, issuer = cluster["tax-bureau"], cluster["issuer"]
    path = f"/v1/issuers/{issuer.participant}/hold"
    bureau.write(path, {"reference": "SZ-18", "until": in_s(3_600), "cause": CAUSE})
    body = {"reference": "SZ-18", "until": in_s(7_200), "reason": "no books yet"}
    alone = bureau.ask("POST", f"{path}/uphold?wait=final", body)
    assert alone.code == "SECOND_KEY_NEEDED"
    add_key(bureau)
    bureau.write(f"{path}/uphold", body)
    cluster.wait_equal()
    assert cluster["payer"].get(path)["reason"] == "no books yet"
    assert try_issue(cluster, "upheld") == "ISSUING_HELD"
    bureau.write(f"{path}/lift", {"reference": "SZ-18"})
    assert try_issue(cluster, "lifted") == "final"
    assert cluster.tracebacks() == []

"""What is sealed stays sealed: five daemons, one of which is no party and keeps every byte.

The invoice lives its whole life: issued, submitted, reimbursed, credited in part. Then planted
names and lines are looked for in everything that the bystander stored, logged, sent, got and
answers.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.services.final_blocks import Position
from tests.cluster.cluster import Cluster, Member, make_cluster, wait_until
from tests.cluster.dishonest import DishonestIssuer, cut_short, other_commitment
from tests.cluster.plaintext import find_planted, search_folder, spellings
from tests.cluster.recorded_node import RECORDING

pytestmark = pytest.mark.slow

NAMES = ("tax-bureau", "issuer", "payer", "reimburser", "payer-2")
BYSTANDER = "payer-2"
BUYER_NAME = "Zephyrine Quillfeather Holdings"
BUYER_NAME_ZH = "隐秘买方进出口有限公司"
LINE = "Clandestine walnut escritoire"
LINE_ZH = "不公开的胡桃木写字台"
RED_LINE = "Returned walnut drawer"
PLANTED = (BUYER_NAME, BUYER_NAME_ZH, LINE, LINE_ZH, RED_LINE)
GROSS = 113_000


@dataclass
class Story:
    """What happened to the invoice, and what the reimburser saw before the submission."""

    cluster: Cluster
    number: str
    transaction: str
    red: str
    unread: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/v1/invoices/{self.number}"

    @property
    def bystander(self) -> Member:
        return self.cluster[BYSTANDER]


def lines(*described: tuple[str, int], **more: Any) -> list[dict[str, Any]]:
    return [{"description": text, "net": net, "rate": 1300, **more} for text, net in described]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    cluster = make_cluster(tmp_path_factory.mktemp("privacy") / "net", NAMES)
    cluster[BYSTANDER].local.program = ("-m", "tests.cluster.recorded_node")
    try:
        cluster.start()
        cluster.open_registers()
        yield live(cluster)
    finally:
        cluster.close()


def live(cluster: Cluster) -> Story:
    issuer, payer, reimburser = (cluster[name] for name in ("issuer", "payer", "reimburser"))
    issued = issuer.write(
        "/v1/invoices",
        {
            "order_id": "sealed-1",
            "buyer": payer.participant,
            "currency": "CNY",
            "lines": lines((LINE, 60_000), (LINE_ZH, 40_000)),
            "details": {"buyer": {"name": BUYER_NAME}, "remarks": BUYER_NAME_ZH},
        },
    )
    path = f"/v1/invoices/{issued['number']}"
    cluster.wait_equal()
    unread = reimburser.get(path)
    submitted = {"to": reimburser.participant, "amount": 50_000}
    payer.write(f"{path}/submit", submitted)
    reimburser.write(f"{path}/claim", {"amount": 30_000})
    payment = {"claim": 0, "amount": 30_000, "booking": "B-1", "payment": "P-1"}
    reimburser.write(f"{path}/reimburse", payment)
    issuer.write(f"{path}/red", {"amount": 11_300, "reason": "return"})
    payer.write(f"{path}/red/0/confirm", {})
    body = {"order_id": "red-1", "lines": lines((RED_LINE, 10_000), original=0)}
    red = issuer.write(f"{path}/red/0/issue", body)
    cluster.wait_equal()
    return Story(cluster, issued["number"], issued["transaction"], red["number"], unread)


def texts_of(answer: Any) -> list[str]:
    return find_planted(json.dumps(answer, ensure_ascii=False).encode(), PLANTED)


@pytest.mark.parametrize("name", ["tax-bureau", "issuer", "payer"])
def test_the_parties_and_the_bureau_read_it(story: Story, name: str) -> None:
    """The same search that finds nothing elsewhere finds everything here."""
    blue, red = (story.cluster[name].get(f"/v1/invoices/{n}") for n in (story.number, story.red))
    assert texts_of(blue) == [BUYER_NAME, BUYER_NAME_ZH, LINE, LINE_ZH]
    assert texts_of(red) == [RED_LINE]


def test_the_reimburser_reads_it_only_after_the_submission(story: Story) -> None:
    assert story.unread["details"] is None
    assert texts_of(story.unread) == []
    reimburser = story.cluster["reimburser"]
    # Final on another node is not yet applied on this one.
    wait_until("the key arrives", lambda: reimburser.get(story.path)["details"])
    assert texts_of(reimburser.get(story.path)) == [BUYER_NAME, BUYER_NAME_ZH, LINE, LINE_ZH]

    def steps() -> list[str]:
        trace = reimburser.get(f"{story.path}/trace")
        return [step["operation"] for step in trace["steps"]]

    wait_until("the trace tells", lambda: steps()[:3] == ["issue", "submit", "share"])


def test_no_answer_of_the_bystander_holds_it(story: Story) -> None:
    member = story.bystander
    height = member.status()["height"]
    paths = [
        *("/v1/status", "/v1/invoices", "/v1/invoices?details=true", "/v1/inbox", "/metrics"),
        *(f"{base}{end}" for base in _invoices(story) for end in ("", "/trace")),
        *(f"/v1/blocks/{number}" for number in range(1, height + 1)),
        f"/v1/transactions/{story.transaction}",
        f"/v1/transactions/{story.transaction}/receipt",
    ]
    for path in paths:
        answer = member.get(path)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        assert find_planted(data, PLANTED) == [], path
    assert member.get(story.path)["details"] is None
    refusals = [
        member.ask("GET", f"{story.path}/details/paths"),
        member.ask("GET", f"/v1/transactions/{story.transaction}/receipt?disclose=/lines/0"),
        member.ask("POST", f"{story.path}/share", {"to": member.participant}),
    ]
    assert [reply.status for reply in refusals] == [404] * 3


def _invoices(story: Story) -> list[str]:
    return [story.path, f"/v1/invoices/{story.red}"]


def test_no_byte_of_the_bystander_s_folder_log_and_traffic_holds_it(story: Story) -> None:
    folder = story.bystander.local.folder
    assert search_folder(folder, PLANTED) == {}
    traffic = (folder / RECORDING).read_bytes()
    assert find_planted(traffic, [story.number]), "the traffic is recorded in clear"
    kept = search_folder(folder / "data", [story.number])
    assert any(name.startswith("ledger.db") for name in kept), "what is public is found there"


def test_the_parties_folders_hold_no_plaintext_either(story: Story) -> None:
    for name in ("tax-bureau", "issuer", "payer", "reimburser"):
        assert search_folder(story.cluster[name].local.folder, PLANTED) == {}, name


def test_a_party_shows_one_line_to_an_outsider_and_nothing_else(story: Story) -> None:
    payer = story.cluster["payer"]
    listed = payer.get(f"{story.path}/details/paths")
    assert listed["paths"] == ["/buyer/name", "/lines/0", "/lines/1", "/remarks"]
    receipt = payer.get(f"/v1/transactions/{listed['transaction']}/receipt?disclose=/lines/0")
    verdict = story.cluster.verify(receipt)

    assert verdict.valid
    assert [(item.invoice, item.path) for item in verdict.disclosed] == [(story.number, "/lines/0")]
    assert verdict.disclosed[0].value["description"] == LINE
    extra = base64.b64decode(receipt.split(b"\n")[1].removeprefix(b"extra "))
    assert find_planted(extra, PLANTED) == [LINE]


def test_a_line_is_taken_back_as_the_buyer_asked(story: Story) -> None:
    issuer, payer = story.cluster["issuer"], story.cluster["payer"]
    asked = {"reason": "return", "lines": [{"line": 1, "net": 15_000}]}
    payer.write(f"{story.path}/red", asked)
    form = payer.get(story.path)["red_forms"][-1]
    assert (form["amount"], form["asked_by"]) == (16_950, "buyer")
    place = f"{story.path}/red/{form['form']}"
    story.cluster.wait_equal()
    (line,) = issuer.get(place)["details"]["lines"]
    assert (line["description"], line["net"], line["original"]) == (LINE_ZH, 15_000, 1)
    assert story.bystander.get(place)["details"] is None

    issuer.write(f"{place}/confirm", {})
    red = issuer.write(f"{place}/issue", {"order_id": "red-by-line"})["number"]
    story.cluster.wait_equal()
    taken = payer.get(f"/v1/invoices/{red}")
    assert (taken["net"], taken["details"]["lines"][0]["original"]) == (15_000, 1)
    for lines_, code in (
        ([{"line": 1, "net": 25_001}], "LINE_OVER_CREDIT"),
        ([{"line": 0, "net": 50_001}], "LINE_OVER_CREDIT"),
        ([{"line": 7}], "INVALID_FIELDS"),
    ):
        refused = payer.ask("POST", f"{story.path}/red", {"reason": "return", "lines": lines_})
        assert refused.code == code, refused


def test_a_company_buys_with_a_key_of_its_wallet(story: Story) -> None:
    """Everyone sees the key, nobody whose it is; it reads, asks, submits and answers."""
    cluster = story.cluster
    issuer, payer, reimburser = (cluster[name] for name in ("issuer", "payer", "reimburser"))
    key = payer.ask("POST", "/v1/wallet/keys", {}).body["key"]
    body = {"order_id": "bare-1", "buyer": key, "currency": "CNY", "lines": lines((LINE, 100_000))}
    number = issuer.write("/v1/invoices", body)["number"]
    path = f"/v1/invoices/{number}"
    cluster.wait_equal()
    assert texts_of(payer.get(path)) == [LINE]
    assert payer.get(path)["buyer"] == key
    assert payer.participant not in str(issuer.get(path))

    accepted = {"response": "accepted"}
    refused = payer.ask("POST", f"{path}/respond?wait=final", accepted)
    assert refused.code == "WRONG_PARTY"
    act(payer, f"{path}/respond", key, accepted)
    act(payer, f"{path}/submit", key, {"to": reimburser.participant, "amount": GROSS})
    cluster.wait_equal()
    assert texts_of(reimburser.get(path)) == [LINE]
    asked = {"reason": "return", "lines": [{"line": 0, "net": 10_000}]}
    act(payer, f"{path}/red", key, asked)
    cluster.wait_equal()
    assert texts_of(issuer.get(f"{path}/red/0")) == [LINE]
    assert texts_of(payer.get(f"{path}/red/0")) == [LINE]
    for place in (path, f"{path}/red/0"):
        assert texts_of(story.bystander.get(place)) == []
    # A wrap that the key made does not name the participant's own sealing key.
    step = payer.get(f"/v1/transactions/{_newest_share(payer, path)}")
    (share,) = [op for op in step["operations"] if op["kind"] == "share"]
    assert share["signer"] == key
    assert share["fields"]["sealer"] != payer.keys().public.sealing.hex()

    cluster.stop("payer")
    cluster.start("payer")
    assert key in payer.get("/v1/wallet/keys")["keys"]
    assert texts_of(payer.get(path)) == [LINE]


def test_whoever_holds_the_claim_key_is_the_buyer(story: Story, tmp_path: Path) -> None:
    """An invoice for a buyer without keys; the holder moves it to a key that nobody else knows."""
    cluster = story.cluster
    issuer, payer = cluster["issuer"], cluster["payer"]
    body = {"order_id": "claim-1", "buyer": "claim", "currency": "CNY", "lines": lines((LINE, 5))}
    issued = issuer.write("/v1/invoices", body)
    path = f"/v1/invoices/{issued['number']}"
    again = issuer.ask("POST", "/v1/invoices?wait=final", body).body
    assert (again["number"], again["claim_key"]) == (issued["number"], issued["claim_key"])
    cluster.wait_equal()
    assert issuer.get(f"{path}/claim-key")["claim_key"] == issued["claim_key"]
    assert payer.ask("GET", f"{path}/claim-key").status == 404
    assert payer.get(path)["details"] is None

    pages = [tmp_path / "face.html", tmp_path / "claim.html"]
    for page, options in zip(pages, ([], ["--claim-key"]), strict=True):
        command(issuer, "invoice", "print", issued["number"], "-o", str(page), *options)
    printed = [issued["claim_key"] in page.read_text("utf-8") for page in pages]
    assert printed == [False, True], "a secret is printed where it is asked for only"

    taken = payer.ask("POST", "/v1/wallet/keys:import", {"claim_key": issued["claim_key"]})
    claim = taken.body["key"]
    assert texts_of(payer.get(path)) == [LINE]
    own = payer.ask("POST", "/v1/wallet/keys", {}).body["key"]
    number = issued["number"]
    offered = command(payer, "invoice", "--as", claim, "offer", number, "--to", own)
    assert offered["state"] == "final"
    proof = command(payer, "receipt", number, "--disclose", "/lines/0")
    assert proof["transaction"] == issued["transaction"]
    waiting = wait_until(
        "the offer waits", lambda: command(payer, "invoice", "--as", own, "inbox")["items"]
    )
    assert [item["kind"] for item in waiting] == ["offer"]
    act(payer, f"{path}/sign", own, {})
    cluster.wait_equal()
    assert issuer.get(path)["holder"] == own
    assert issuer.ask("GET", f"{path}/claim-key").status == 404
    for file in ("data", "node.log"):
        folder = issuer.local.folder
        found = search_folder(folder, [issued["claim_key"]])
        assert not any(name.startswith(file) for name in found)


def act(member: Member, path: str, key: str, body: object) -> None:
    """A write by a bare key of the member's wallet."""
    reply = member.ask("POST", f"{path}?wait=final&timeout_s=30&as={key}", body)
    assert reply.status == 201, (path, reply)


def command(member: Member, *words: str) -> Any:
    """What `piaolian … --json` prints."""
    config = str(member.local.folder / "node.toml")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "node", *words, "-c", config, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _newest_share(member: Member, path: str) -> str:
    def find() -> str | None:
        steps = member.get(f"{path}/trace")["steps"]
        return next((s["transaction"] for s in steps[::-1] if s["operation"] == "share"), None)

    return wait_until("the trace has the share", find)


def test_the_bureau_finds_what_a_dishonest_issuer_sealed(story: Story) -> None:
    """By itself, once, also what was issued while its node was down; honest ones pass."""
    cluster, bureau = story.cluster, story.cluster["tax-bureau"]
    issuer = DishonestIssuer(cluster)
    half = {"description": "h", "net": 50_000, "rate": 1300}
    true = {"lines": [half, half]}
    readers = ("tax-bureau", "payer")
    expected = {
        (issuer.issue(issuer.seal({"lines": [half]}, *readers)), "net_mismatch"),
        (issuer.issue(issuer.seal(true, "payer")), "unreadable"),
        (issuer.issue(issuer.seal(true, *readers), other_commitment()), "unreadable"),
        (issuer.issue(None, other_commitment()), "unreadable"),
        (issuer.issue(cut_short(*issuer.seal(true, *readers))), "unreadable"),
    }
    together = issuer.issue_together(
        (true, readers),
        ({"lines": [half]}, readers),
        (true | {"remarks": "not for the bureau"}, ["payer"]),
    )
    expected |= {(together[1], "net_mismatch"), (together[2], "unreadable")}
    cluster.stop("tax-bureau")
    expected.add((issuer.issue(issuer.seal({"lines": "none"}, *readers)), "malformed"))
    priced = half | {"quantity": "3", "unit_price": "1.00"}
    expected.add((issuer.issue(issuer.seal({"lines": [half, priced]}, *readers)), "line_amount"))
    blue = issuer.issue(issuer.seal(true, *readers))
    issuer.credit(blue, {"lines": [half | {"original": 1}]})
    second = issuer.credit(blue, {"lines": [half | {"original": 1}]})
    expected.add((second, "line_over_credit"))
    cluster.start("tax-bureau")

    def recorded() -> set[tuple[str, str]]:
        found = cluster["payer"].get("/v1/discrepancies")["discrepancies"]
        return {(item["number"], item["kind"]) for item in found}

    wait_until("every discrepancy is recorded", lambda: recorded() >= expected)
    assert recorded() == expected
    number = min(number for number, kind in expected if kind == "net_mismatch")
    closing = {"kind": "net_mismatch", "reason": "issued again"}
    refused = cluster["payer"].ask("POST", f"/v1/invoices/{number}/resolve?wait=final", closing)
    assert (refused.status, refused.code) == (409, "NOT_BUREAU")
    bureau.write(f"/v1/invoices/{number}/resolve", closing)

    def steps() -> list[str]:
        trace = cluster["payer"].get(f"/v1/invoices/{number}/trace")
        return [step["operation"] for step in trace["steps"]]

    told = ["issue", "discrepancy", "discrepancy_resolve"]
    wait_until("the trace tells", lambda: steps() == told)

    # A lost position costs another look, and records nothing twice.
    cluster.stop("tax-bureau")
    (bureau.data / "examined").unlink()
    cluster.start("tax-bureau")
    head = cluster.wait_equal()["height"]
    wait_until("all is examined again", lambda: position(bureau) >= head)
    assert recorded() == expected
    wait_until("nothing is left to send", lambda: bureau.status()["outbox"] == 0)
    assert cluster.tracebacks() == []


def position(member: Member) -> int:
    """Up to which height the bureau's node has examined."""
    return Position(member.data / "examined").read()


def test_whoever_is_let_in_reads(story: Story) -> None:
    """Last: it makes the bystander a reader."""
    path, member = story.path, story.bystander
    story.cluster["payer"].write(f"{path}/share", {"to": member.participant})
    wait_until("the share arrives", lambda: member.get(path)["details"])
    assert texts_of(member.get(path)) == [BUYER_NAME, BUYER_NAME_ZH, LINE, LINE_ZH]
    assert member.get(f"/v1/invoices/{story.red}")["details"] is None


@pytest.mark.parametrize("text", PLANTED)
def test_the_search_finds_each_spelling(text: str) -> None:
    for shift in range(3):
        for data in (text.encode(), text.encode("utf-16-le"), json.dumps(text).encode()):
            prefix = b"x" * shift
            for coded in (
                prefix + data,
                base64.b64encode(prefix + data + b"tail"),
                base64.urlsafe_b64encode(prefix + data),
                (prefix + data).hex().encode(),
            ):
                assert find_planted(b"\xff" + coded + b"\xfe", [text]) == [text]
    assert len(spellings(text)) >= 12
    assert find_planted(zlib.compress(b"nothing of the kind" * 9), PLANTED) == []

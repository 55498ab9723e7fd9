"""The pages in a real browser, over four real nodes: each desk does its work, and all fit."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from node.runtime.routes import PAGE_PATHS
from tests.cluster.cluster import Cluster
from tests.web.browser import DESKTOP, PHONE, Page

pytestmark = pytest.mark.slow

DESKS = {
    "issuer": ("/accountant", ("issue", "import", "issued", "red", "statement", "quota")),
    "payer": ("/wallet", ("inbox", "answer", "held", "keys")),
    "reimburser": ("/expenses", ("submitted", "claimed", "paid", "doubles")),
    "tax-bureau": (
        "/bureau",
        (
            "quotas",
            "issuers",
            "segments",
            "rates",
            "statements",
            "discrepancies",
            "disputes",
            "freezes",
            "retired",
        ),
    ),
}
"""By node: its desk and the desk's tabs."""


def sign_in(page: Page, cluster: Cluster, node: str, scope: str = "operate") -> None:
    """Open a one-time link of a node."""
    member = cluster[node]
    link = member.ask("POST", "/v1/sessions", {"scope": scope})
    assert link.status == 201, link
    page.sign_in(f"http://127.0.0.1:{member.port}", link.body["path"])


def invoice(cluster: Cluster, number: str) -> Any:
    """As another node than the page's shows it, which three others do not wait for."""
    cluster.wait_equal()
    return cluster["tax-bureau"].get(f"/v1/invoices/{number}")


def test_an_invoice_lives_through_every_desk(page: Page, cluster: Cluster) -> None:
    # The accountant issues it, line by line.
    sign_in(page, cluster, "issuer")
    page.open("/accountant")
    page.choose('[name="buyer"]', cluster["payer"].participant)
    page.fill(".line .description input", "Paper, A4 复印纸")
    page.fill(".line .quantity input", "3")
    page.fill(".line .unit_price input", "33.335")
    page.choose(".line .rate select", "1300")
    page.wait_text("CNY\u00a0113.01")  # 100.005 rounded half up, and 13.00 of tax
    page.click("main form [data-send]")
    page.click("dialog [data-issue]")
    page.final()
    number = page.find(".write a.number").text
    issued = invoice(cluster, number)
    assert (issued["net"], issued["tax"], issued["gross"]) == (10_001, 1_300, 11_301)
    assert issued["details"]["lines"][0]["unit_price"] == "33.335"

    # The payer accepts it and submits most of it.
    sign_in(page, cluster, "payer")
    page.open(f"/invoices/{number}")
    page.wait_text("Paper, A4 复印纸")
    page.click("main p.buttons button")
    page.until(
        "the face is shown",
        "return document.querySelector('iframe')?.contentDocument?.body.innerText"
        ".includes(arguments[0])",
        number,
    )
    page.act("respond", response="accepted")
    page.act("submit", to=cluster["reimburser"].participant, amount="100.00")
    assert invoice(cluster, number)["submissions"][0]["amount"] == 10_000

    # The clerk claims and pays it at the desk.
    sign_in(page, cluster, "reimburser")
    page.open("/expenses")
    page.wait_text(number)
    page.act("claim", amount="80.00")
    page.open("/expenses?tab=claimed")
    page.act("reimburse-0", amount="75.50", booking="B-2026-1", payment="P-2026-1")
    paid = invoice(cluster, number)
    assert (paid["reimbursed"], paid["locked"], paid["available"]) == (7_550, 0, 3_751)

    # The bureau freezes it for a case.
    sign_in(page, cluster, "tax-bureau")
    page.open("/bureau?tab=freezes")
    page.fill('[name="number"]', number)
    page.fill('[name="case"]', "2026-17")
    page.click("main form [data-send]")
    page.final()
    assert invoice(cluster, number)["frozen"] == "2026-17"

    # Its trace shows every step, and each leads to a transaction with a proof.
    page.open(f"/invoices/{number}")
    script = (
        "return [...document.querySelectorAll('.trace .what strong')].map((e) => e.textContent)"
    )
    steps = page.driver.execute_script(script)
    done = ["Issue", "Answer", "Submit for reimbursement", "Claim", "Reimburse", "Freeze"]
    assert [step for step in steps if step in done] == done
    page.click(".trace .who a[href^='/transactions/']")
    page.wait_text("final: it never changes again")
    proof = page.find("a[download$='.proof']").get_attribute("href")
    assert proof is not None
    assert cluster.verify(cluster["payer"].receipt(proof.split("/")[-2])).valid


def test_enter_goes_on_and_only_the_review_issues(page: Page, cluster: Cluster) -> None:
    def focused() -> str:
        name = "const e = document.activeElement; return e.name || e.id || e.textContent"
        return str(page.driver.execute_script(name))

    def enter() -> str:
        ActionChains(page.driver).send_keys(Keys.ENTER).perform()
        return focused()

    before = cluster["issuer"].get("/v1/status")["height"]
    sign_in(page, cluster, "issuer")
    page.open("/accountant")
    assert page.find(".line .rate select").get_attribute("value") == ""  # no rate by default
    page.choose('[name="buyer"]', cluster["payer"].participant)
    page.fill('[name="order_id"]', "SO-entered")
    page.fill(".line .description input", "Desk")
    page.fill(".line .net input", "1234.50")
    page.click(".line .description input")
    reached = [enter().split("-")[-2] for _ in range(5)]
    assert reached == ["unit", "quantity", "unit_price", "net", "rate"]
    page.choose(".line .rate select", "1300")
    assert enter().endswith("description-1")  # a line of its own, at the rate of the one before
    page.fill(".line:nth-child(2) .description input", "Chair")
    page.fill(".line:nth-child(2) .net input", "100")
    page.choose(".line:nth-child(2) .rate select", "600")
    page.click('[name="order_id"]')
    for _ in range(3):
        assert enter() != "Review"

    # The review says what the node would sign; leaving it issues nothing.
    page.click("main form [data-send]")
    page.wait_text("In words")
    shown = page.find("dialog").text
    for text in ("Desk", "Chair", "SO-entered", "CNY 1,234.50", "CNY 160.49"):
        assert text in shown
    assert page.find('[data-review="gross"]').text == "CNY 1,500.99"
    assert page.find('[data-review="capitals"]').text == "壹仟伍佰元玖角玖分"
    page.click("dialog > header button")
    assert cluster["issuer"].get("/v1/status")["height"] == before

    page.size(*PHONE)
    page.click("main form [data-send]")
    page.find("dialog [data-issue]")
    fits = "const d = document.querySelector('dialog'); return d.scrollWidth <= d.clientWidth"
    assert page.driver.execute_script(fits)
    page.click("dialog [data-issue]")
    page.final()
    assert invoice(cluster, page.find(".write a.number").text)["gross"] == 150_099


def test_enter_in_the_window_of_an_operation_sends_nothing(page: Page, cluster: Cluster) -> None:
    number = cluster.issue("SO-window")["number"]
    sign_in(page, cluster, "issuer")
    page.open(f"/invoices/{number}")
    page.click('[data-action="cancel"]')
    assert number in page.find("dialog .about").text
    page.fill('dialog [name="reason"]', "typed\n")
    assert page.driver.execute_script("return 'send' in document.activeElement.dataset")
    assert invoice(cluster, number)["state"] == "issued"
    assert not page.driver.find_elements("css selector", "dialog .write")
    ActionChains(page.driver).send_keys(Keys.ENTER).perform()  # on the button, in sight
    page.final("dialog")
    assert invoice(cluster, number)["state"] == "cancelled"


def test_a_refusal_is_shown_with_its_code_in_both_languages(page: Page, cluster: Cluster) -> None:
    number = cluster.issue("SO-refusal")["number"]
    sign_in(page, cluster, "payer")
    page.open(f"/invoices/{number}")
    page.click('[data-action="respond"]')
    page.choose('dialog [name="response"]', "rejected")
    page.click("dialog [data-send]")
    page.wait_text("REASON_REQUIRED")
    page.wait_text("A reason is required.")
    page.wait_text("须填写原因。")
    assert invoice(cluster, number)["response"]["state"] == "none"
    # An answer of 409 is noted in the browser's own console.
    assert all("409" in line for line in page.complaints())


def test_a_red_letter_takes_back_one_line(page: Page, cluster: Cluster) -> None:
    lines = [
        {"description": "Chair", "net": 50_000, "rate": 1300},
        {"description": "Desk", "net": 80_000, "rate": 1300},
    ]
    body = {"order_id": "SO-lines", "buyer": cluster["payer"].participant, "currency": "CNY"}
    number = cluster["issuer"].write("/v1/invoices", {**body, "lines": lines})["number"]

    sign_in(page, cluster, "issuer")
    page.open(f"/invoices/{number}")
    page.click('[data-action="red"]')
    page.click('dialog input[aria-label="Take back: Chair"]')
    page.wait_text("CNY\u00a0565.00")
    page.choose('dialog [name="reason"]', "return")
    page.click("dialog [data-send]")
    page.final("dialog")
    page.click("dialog > header button")
    page.click('[data-action="red_issue-0"]')
    page.wait_text("Chair")
    page.click("dialog [data-send]")
    page.final("dialog")

    credited = invoice(cluster, number)
    assert (credited["state"], credited["credited"]) == ("partly_credited", 56_500)
    red = invoice(cluster, credited["red_forms"][0]["number"])
    assert [line["original"] for line in red["details"]["lines"]] == [0]


def test_a_session_that_reads_offers_no_write(page: Page, cluster: Cluster) -> None:
    sign_in(page, cluster, "issuer", "read")
    page.open("/accountant")
    page.wait_text("This session can only read.")
    assert not page.find("main form [data-send]").is_enabled()


def test_the_language_is_switched_and_remembered(page: Page, cluster: Cluster) -> None:
    sign_in(page, cluster, "issuer")
    page.open("/")
    page.wait_text("Newest blocks")
    page.click("[data-language]")
    page.wait_text("最新区块")
    page.open("/accountant")
    page.wait_text("开票员工作台")
    assert page.driver.execute_script("return document.documentElement.lang") == "zh-CN"
    page.click("[data-language]")
    page.wait_text("Accountant's desk")


def test_new_blocks_appear_by_themselves(page: Page, cluster: Cluster) -> None:
    sign_in(page, cluster, "payer")
    page.open("/")
    page.wait_text("Newest blocks")
    written = cluster.issue("SO-live")
    page.until(
        "the new block is listed",
        "return document.querySelector(`main a[href='/blocks/${arguments[0]}']`) !== null",
        written["height"],
    )


def test_the_command_prints_a_link_that_signs_in(page: Page, cluster: Cluster) -> None:
    config = cluster.folder / "payer" / "node.toml"
    command = [
        sys.executable,
        "-P",
        "-m",
        "node",
        "open",
        "--scope",
        "read",
        "--config",
        str(config),
    ]
    link = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    printed = json.loads(link)
    base, _, path = printed["url"].partition("/login")
    assert printed["scope"] == "read"
    page.sign_in(base, f"/login{path}")
    page.wait_text("What waits for this participant")
    page.open("/")
    page.wait_text("read only")


def test_a_claim_key_taken_over_makes_the_buyer(page: Page, cluster: Cluster) -> None:
    body = draft(cluster, "SO-claim") | {"buyer": "claim"}
    issued = cluster["issuer"].write("/v1/invoices", body)

    sign_in(page, cluster, "payer")
    page.open("/wallet?tab=keys")
    page.fill('[name="claim_key"]', issued["claim_key"])
    page.click("form.action .joined button")
    page.wait_text("Bare keys (1)")
    page.open(f"/invoices/{issued['number']}")
    page.act("respond", response="accepted")
    answered = invoice(cluster, issued["number"])
    assert answered["response"]["state"] == "accepted"
    assert answered["buyer"] == cluster["payer"].get("/v1/wallet/keys")["keys"][0]


def test_a_table_is_imported_row_by_row(page: Page, cluster: Cluster, tmp_path: Path) -> None:
    payer = cluster["payer"].participant
    cluster.issue("CSV-old")
    rows = [
        "order_id,buyer,description,quantity,unit_price,net,rate,buyer_name",
        f'CSV-1,{payer},"Paper, A4",10,25.00,,13%,"Fu ""An"""',
        f"CSV-1,{payer},Delivery,,,20.00,6,",
        f"CSV-2,{payer},At a rate that is not in force,1,1,,77,",
        f"CSV-3,{payer},Desk,,,800.00,13,",
        f"CSV-4,{payer},No amount,,,,13,",
        f"CSV-old,{payer},Known already,,,100.00,13,",
    ]
    file = tmp_path / "orders.csv"
    file.write_text("\n".join(rows))

    sign_in(page, cluster, "issuer")
    page.open("/accountant?tab=import")
    height = cluster["issuer"].get("/v1/status")["height"]
    page.find("#import-file").send_keys(str(file))
    # CSV-1 to 3 and CSV-old are shown first, with their sums, and nothing is sent.
    page.wait_text("Issue 4 documents")
    assert "CNY\u00a01,171.00" in page.text()  # 250 + 20 + 1 + 800 + 100
    page.wait_text("something is missing")
    assert page.saved("[data-refused-rows]")["name"] == "refused.csv"
    assert "CSV-4" in page.saved("[data-refused-rows]")["text"]
    assert "CSV-3" not in page.saved("[data-refused-rows]")["text"]
    assert cluster["issuer"].get("/v1/status")["height"] == height
    page.click("[data-import-start]:not(:disabled)")
    page.wait_text("2 issued, 0 skipped, 3 refused")
    assert len(page.saved("[data-refused-list]")["text"].splitlines()) == 4
    page.wait_text("RATE_NOT_ALLOWED")
    page.wait_text("Issued before with other content")
    assert all("409" in line for line in page.complaints())
    found = cluster["issuer"].ask(
        "POST", "/v1/orders:find", {"order_ids": ["CSV-1", "CSV-2", "CSV-3"]}
    )
    orders = {order["order_id"]: order["number"] for order in found.body["orders"]}
    assert orders.keys() == {"CSV-1", "CSV-3"}
    first = invoice(cluster, orders["CSV-1"])
    assert (first["net"], first["details"]["buyer"]["name"]) == (27_000, 'Fu "An"')

    again = tmp_path / "again.csv"
    again.write_text("\n".join([*rows[:3], rows[4].replace("800.00", "801.00")]))
    page.find("#import-file").send_keys(str(again))
    page.click("[data-import-start]:not(:disabled)")
    page.wait_text("0 issued, 1 skipped, 1 refused")
    page.wait_text("net, tax, gross")


def test_a_workbook_with_red_rows_is_imported(page: Page, cluster: Cluster, tmp_path: Path) -> None:
    payer = cluster["payer"].participant
    heads = [
        "类型",
        "订单号",
        "购买方",
        "项目名称",
        "数量",
        "单价",
        "金额",
        "税率",
        "原订单号",
        "原行号",
        "红字原因",
    ]

    def workbook(name: str, rows: list[list[object]]) -> str:
        book = openpyxl.Workbook()
        book.worksheets[0].append(heads)
        for row in rows:
            book.worksheets[0].append(row)
        book.create_sheet("Drafts").append(["not read"])
        book.save(tmp_path / name)
        return str(tmp_path / name)

    blue = ["", "XL-1", payer, "纸", 4, 25, None, "13%"]
    red = ["红字", "XL-R1", "", "", 1, None, None, None, "XL-1", 1, "销货退回"]
    first = workbook("first.xlsx", [blue, red])
    second = workbook("second.xlsx", [blue, red, [*red[:1], "XL-R2", *red[2:4], 2, *red[5:]]])

    sign_in(page, cluster, "issuer")
    page.open("/accountant?tab=import")
    for file, said in ((first, "2 issued, 0 skipped, 0 refused"), (second, "1 issued, 2 skipped")):
        page.find("#import-file").send_keys(file)
        page.click("[data-import-start]:not(:disabled)")
        page.wait_text(said)
        assert "Drafts" in page.find("[data-import-notes]").text
    issuer = cluster["issuer"]
    names = {"order_ids": ["XL-1", "XL-R1", "XL-R2"]}
    orders = issuer.ask("POST", "/v1/orders:find", names).body["orders"]
    numbers = {order["order_id"]: order["number"] for order in orders}
    assert invoice(cluster, numbers["XL-1"])["credited"] == 8_475
    letter = invoice(cluster, numbers["XL-R2"])
    assert (letter["original"], letter["net"]) == (numbers["XL-1"], 5_000)

    other = workbook("third.xlsx", [[*red[:4], 3, *red[5:]], ["红字", "XL-R9", *red[2:8], "no", 1]])
    page.find("#import-file").send_keys(other)
    page.click("[data-import-start]:not(:disabled)")
    page.wait_text("0 issued, 0 skipped, 2 refused")
    page.wait_text("ORDER_CONFLICT")
    page.wait_text("NO_ORIGINAL")


def test_large_amounts_are_whole_on_a_phone(page: Page, cluster: Cluster) -> None:
    line = {"description": "Turbine 汽轮机", "net": 9_999_999_999_912, "rate": 1300}
    asked = {
        "order_id": "SO-large",
        "buyer": cluster["payer"].participant,
        "currency": "CNY",
        "lines": [line],
    }
    number = cluster["issuer"].write("/v1/invoices", asked)["number"]
    page.size(*PHONE)
    sign_in(page, cluster, "issuer")
    for path in ("/invoices", f"/invoices/{number}", "/accountant?tab=issued"):
        page.open(path)
        page.wait_text("112,999,999,999.01")
        assert page.clipped() == [], path
    page.open("/accountant")
    page.choose('[name="buyer"]', cluster["payer"].participant)
    page.fill(".line .description input", "Turbine")
    page.fill(".line .net input", "99999999999.12")
    page.choose(".line .rate select", "1300")
    page.wait_text("112,999,999,999.01")
    assert page.clipped() == []
    page.click("main form [data-send]")
    page.find("[data-review=gross]")
    assert page.clipped() == []


def test_the_last_day_of_a_range_is_in_it_by_the_network_s_clock(
    page: Page, cluster: Cluster
) -> None:
    number = cluster.issue("in the range")["number"]
    minutes = cluster["issuer"].get("/v1/terms")["utc_offset_minutes"]
    issued = datetime.datetime.fromisoformat(invoice(cluster, number)["time"])
    day = (issued + datetime.timedelta(minutes=minutes)).date()
    before, after = (day + datetime.timedelta(days=days) for days in (-1, 1))
    sign_in(page, cluster, "issuer", "read")
    for first, last, shown in ((day, day, True), (before, before, False), (after, after, False)):
        page.open(f"/invoices?from={first}&to={last}")
        assert (number in page.text()) is shown, (first, last)


def test_an_invoice_is_found_by_its_order(page: Page, cluster: Cluster) -> None:
    number = cluster.issue("SO 2026/茶-1")["number"]
    sign_in(page, cluster, "issuer")
    page.open("/invoices")
    page.fill("#f-number", "SO 2026/茶-2")
    page.click(".filters form button")
    page.wait_text("No invoice of yours was issued for order SO 2026/茶-2.")
    page.fill("#f-number", "SO 2026/茶-1")
    page.click(".filters form button")
    page.until("it is shown", f"return location.pathname === '/invoices/{number}'")
    # Another's node finds by number alone.
    sign_in(page, cluster, "payer", "read")
    page.open("/invoices")
    page.fill("#f-number", "SO 2026/茶-1")
    page.click(".filters form button")
    page.wait_text("A number has 20 digits.")


def test_only_what_was_compared_is_called_fine(page: Page, cluster: Cluster) -> None:
    """An invoice whose details the clerk cannot read may be another one again."""
    reimburser = cluster["reimburser"].participant
    numbers = {}
    for name, body in (
        ("sealed", {"lines": [{"description": "tea", "net": 1_000, "rate": 1300}]}),
        ("plain", {"groups": [{"rate": 1300, "net": 1_100}]}),
    ):
        asked = {
            "order_id": f"compared {name}",
            "buyer": cluster["payer"].participant,
            "currency": "CNY",
            **body,
        }
        numbers[name] = cluster["issuer"].write("/v1/invoices", asked)["number"]
        cluster["payer"].write(
            f"/v1/invoices/{numbers[name]}/submit", {"to": reimburser, "amount": 500}
        )
    cluster.wait_equal()
    sign_in(page, cluster, "reimburser", "read")
    page.open("/expenses")
    opened = cluster["reimburser"].get(f"/v1/invoices/{numbers['sealed']}")["details"]
    script = (
        "return [...document.querySelectorAll('tbody tr')].find((row) =>"
        " row.textContent.includes(arguments[0]))?.querySelector('[data-checked]')?.dataset.checked"
    )
    checked = {name: page.driver.execute_script(script, number) for name, number in numbers.items()}
    assert checked == {"sealed": "fine" if opened else "no", "plain": "fine"}


def test_signing_out_ends_the_session_and_a_used_link_says_so(page: Page, cluster: Cluster) -> None:
    member = cluster["payer"]
    path = member.ask("POST", "/v1/sessions", {"scope": "read"}).body["path"]
    page.sign_in(f"http://127.0.0.1:{member.port}", path)
    page.wait_text("What waits for this participant")
    page.click("[data-sign-out]")
    page.wait_text("piaolian open")
    page.open("/wallet")
    page.wait_text("piaolian open")
    page.open(path)
    page.wait_text("This link was used already")


def pages_of(node: str, written: dict[str, Any]) -> list[str]:
    """The node's own desk, and at one node the pages that all have."""
    desk, tabs = DESKS[node]
    own = [f"{desk}?tab={tab}" for tab in tabs]
    if node != "issuer":
        return own
    filled = {
        "/blocks/{height:[0-9]+}": f"/blocks/{written['height']}",
        "/transactions/{id:[0-9a-f]+}": f"/transactions/{written['transaction']}",
        "/invoices/{number:[0-9]+}": f"/invoices/{written['number']}",
    }
    desks = {path for path, _ in DESKS.values()}
    return [*own, *(filled.get(path, path) for path in PAGE_PATHS if path not in desks)]


@pytest.mark.parametrize("node", list(DESKS))
def test_every_page_fits_a_desk_and_a_phone_in_both_languages(
    page: Page, cluster: Cluster, node: str
) -> None:
    written = cluster.issue(f"SO-fits-{node}")
    submission = {"to": cluster["reimburser"].participant, "amount": 500}
    cluster["payer"].write(f"/v1/invoices/{written['number']}/submit", submission)
    sign_in(page, cluster, node)
    for size in (DESKTOP, PHONE):
        page.size(*size)
        for path in pages_of(node, written):
            page.go(path)
            for _ in ("en", "zh"):
                assert page.overflow() <= 0, (size, path, page.text()[:200])
                assert page.clipped() == [], (size, path)
                # A key without a text would be shown as it is.
                keys = "return document.body.innerText.match(/\\b[a-z_]+\\.[a-z_]{4,}\\b/g) ?? []"
                shown = set(page.driver.execute_script(keys))
                assert path == "/docs" or shown <= {"node.toml", "network.toml"}, path
                page.click("[data-language]")


def test_signing_in_begins_with_what_waits(page: Page, cluster: Cluster) -> None:
    written = cluster.issue("SO-waits")
    submission = {"to": cluster["reimburser"].participant, "amount": 700}
    cluster["payer"].write(f"/v1/invoices/{written['number']}/submit", submission)
    cluster.wait_equal()
    sign_in(page, cluster, "reimburser")
    page.until("it begins there", "return location.pathname === '/today'")
    page.wait_text(written["number"])
    page.click('a[href="/expenses?tab=submitted"]')
    page.until("the desk is shown", "return location.pathname === '/expenses'")
    sign_in(page, cluster, "issuer")
    page.wait_text("CNY")
    quota = cluster["issuer"].get("/v1/quotas")["quotas"][0]
    assert f"{quota['remaining'] // 100:,}" in page.text()


def test_the_bureau_suspends_an_issuer_and_governs_members(page: Page, cluster: Cluster) -> None:
    payer = cluster["payer"].participant
    sign_in(page, cluster, "tax-bureau", "admin")
    page.open("/bureau?tab=issuers")
    page.act("suspend", case="2026-18")
    refused = cluster["issuer"].ask("POST", "/v1/invoices?wait=final", draft(cluster, "SO-no"))
    assert refused.code == "ISSUING_SUSPENDED"
    page.act("resume", case="2026-18")
    page.act("hold_issuing", reference="SZ-17", cause="books not shown")
    refused = cluster["issuer"].ask("POST", "/v1/invoices?wait=final", draft(cluster, "SO-held"))
    assert refused.code == "ISSUING_HELD"
    page.act("lift_hold", reference="SZ-17")

    # The bureau is the only governor here: its proposal is its vote, and carries.
    page.open("/proposals")
    for action, state in (("suspend", "suspended"), ("reinstate", "active")):
        page.act("member", action=action, participant=payer, reason=f"{action}: case 9")
        page.wait_text(f"{action}: case 9")
        assert cluster["issuer"].get(f"/v1/participants/{payer}")["state"] == state
    assert {p["state"] for p in cluster["issuer"].get("/v1/proposals")["proposals"]} == {"carried"}


def draft(cluster: Cluster, order: str) -> dict[str, Any]:
    buyer = cluster["payer"].participant
    groups = [{"rate": 1300, "net": 100}]
    return {"order_id": order, "buyer": buyer, "currency": "CNY", "groups": groups}


def test_a_desk_says_that_it_shows_the_newest_only(page: Page, cluster: Cluster) -> None:
    for start in range(0, 201, 67):
        several = [draft(cluster, f"SO-many-{each}") for each in range(start, start + 67)]
        sent = cluster["issuer"].ask("POST", "/v1/invoices:batch?wait=final", {"invoices": several})
        assert sent.status in {200, 201, 202}, sent
    sign_in(page, cluster, "payer", "read")
    page.open("/wallet?tab=inbox")
    page.until("there is more", r"return /Held \(20\d\+\)/.test(document.body.innerText)")
    assert "Only the newest 200" not in page.text()
    page.open("/wallet?tab=held")
    page.wait_text("Only the newest 200 are shown here.")

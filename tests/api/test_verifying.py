"""The check of a paper invoice by a stranger: what is told, and what is not."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import msgspec
import pytest

from node.api.config import ApiConfig
from node.domains.invoices.documents.qr import Facts, qr_text
from node.ledger.codes import Table
from node.ledger.invoices.rows import Document, InvoiceRow
from node.ledger.participants import ParticipantRow
from node.ledger.row_codec import encode_row
from node.ledger.types import Role
from tests.api.client import ApiClient
from tests.api.fake_node import ISSUER, FakeNode, invoice_row, issue

NUMBER = "26310000000000000042"
TXID = bytes(range(1, 33))
HASH = TXID.hex()
TELLS_NOTHING = {"result", "height", "time", "final"}


@pytest.fixture
def row(node: FakeNode) -> InvoiceRow:
    made = invoice_row(issue(NUMBER), ISSUER, TXID, 0)
    node.put(made)
    issuer = ParticipantRow(ISSUER, "晨光纸业", (Role.ISSUER,), (), ())
    node.rows[Table.PARTICIPANT, ISSUER.encode()] = encode_row(issuer)
    return made


def path(number: str = NUMBER, gross: object = 11_300, transaction: str = HASH) -> str:
    return f"/v1/verify?number={number}&gross={gross}&hash={transaction}"


async def ask(api: ApiClient, query: str) -> dict[str, object]:
    answer = await api.get(query, scope=None)
    assert answer.status == 200
    return dict(answer.json)


async def test_whoever_holds_all_three_facts_is_told(api: ApiClient, row: InvoiceRow) -> None:
    answer = await ask(api, path())
    assert answer == {
        "result": "valid",
        "height": 0,
        "time": answer["time"],
        "final": True,
        "number": NUMBER,
        "issuer": {"id": ISSUER, "name": "晨光纸业"},
        "kind": "ordinary",
        "currency": "CNY",
        "gross": 11_300,
        "issue_date": "2026-11-18",
        "state": "issued",
        "credited": 0,
        "locked": 0,
        "reimbursed": 0,
        "available": 11_300,
        "frozen": False,
        "issued_height": 0,
        "transaction": HASH,
    }
    assert row.buyer not in str(answer), "the paper's reader need not know the buyer's id"


@pytest.mark.parametrize("prefix", ["00", "01"])
async def test_the_hash_may_have_its_old_prefix(
    api: ApiClient, row: InvoiceRow, prefix: str
) -> None:
    assert (await ask(api, path(transaction=prefix + HASH.upper())))["result"] == "valid"


async def test_which_fact_is_wrong_is_not_told(api: ApiClient, row: InvoiceRow) -> None:
    wrong = [
        path(gross=11_301),
        path(gross=-11_300),
        path(transaction="00" * 32),
        path(gross=0, transaction="00" * 32),
    ]
    answers = [await ask(api, query) for query in wrong]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["result"] == "mismatch"
    assert answers[0].keys() == TELLS_NOTHING
    unknown = await ask(api, path(number="26310000000000000043"))
    assert unknown["result"] == "unknown"
    assert unknown.keys() == TELLS_NOTHING


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"document": Document.CANCELLED}, "cancelled"),
        ({"document": Document.PARTLY_CREDITED, "credited": 300, "locked": 5}, "red_lettered"),
        ({"document": Document.CREDITED, "credited": 11_300}, "red_lettered"),
        ({"locked": 300}, "locked"),
        ({"locked": 300, "reimbursed": 500}, "reimbursed"),
        ({"frozen": "CASE-7"}, "valid"),
    ],
)
async def test_the_gravest_word_and_every_amount(
    api: ApiClient, node: FakeNode, row: InvoiceRow, changes: dict[str, object], result: str
) -> None:
    changed = msgspec.structs.replace(row, **changes)
    node.put(changed)
    answer = await ask(api, path())
    assert answer["result"] == result
    for name in ("credited", "locked", "reimbursed", "available"):
        assert answer[name] == getattr(changed, name)
    assert answer["frozen"] == bool(changed.frozen)
    assert "CASE-7" not in str(answer)


async def test_a_red_letter_is_asked_for_by_its_negative_amount(
    api: ApiClient, node: FakeNode, row: InvoiceRow
) -> None:
    node.put(msgspec.structs.replace(row, original="26310000000000000001"))
    answer = await ask(api, path(gross=-11_300))
    assert (answer["result"], answer["gross"]) == ("valid", -11_300)
    assert answer["original"] == "26310000000000000001"
    assert (await ask(api, path()))["result"] == "mismatch"


async def test_what_is_not_final_is_said(api: ApiClient, node: FakeNode) -> None:
    node.automatic = False
    await node.submit_operations([issue(NUMBER)])
    assert (await ask(api, path()))["result"] == "unknown"
    block = await node.commit()
    row = next(value for (table, _), value in node.rows.items() if table is Table.INVOICE)
    txid = msgspec.msgpack.decode(row, type=InvoiceRow).txid.hex()
    answer = await ask(api, path(transaction=txid))
    assert (answer["result"], answer["final"], answer["height"]) == ("valid", False, block.height)
    node.finalise()
    assert (await ask(api, path(transaction=txid)))["final"] is True


@pytest.mark.parametrize(
    "query",
    [
        "/v1/verify",
        "/v1/verify?number=1&gross=2&hash=3",
        path(number="1" * 21),
        path(gross="113.00"),
        path(gross="9" * 17),
        path(transaction="0g" * 32),
        path(transaction="02" + HASH),
        path(number="a" * 4_000),
    ],
)
async def test_what_is_no_question_is_refused(api: ApiClient, query: str) -> None:
    answer = await api.get(query, scope=None)
    assert (answer.status, answer.json["code"]) == (400, "BAD_REQUEST")


async def test_another_sites_page_may_not_ask(api: ApiClient, row: InvoiceRow) -> None:
    answer = await api.get(path(), scope=None, headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    answer = await api.get(path(), scope=None)
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


class TestRate:
    @pytest.fixture
    def config(self) -> ApiConfig:
        return replace(ApiConfig(), public_per_second=1.0, public_burst=3.0)

    async def test_strangers_together_are_held_to_a_rate(self, api: ApiClient) -> None:
        statuses = [
            (await api.get(query, scope=None)).status
            for query in (path(), "/verify", path(), path(), "/verify")
        ]
        assert statuses == [200, 200, 200, 429, 429]
        assert (await api.get("/v1/status")).status == 200, "who has a token is not held up"
        api.clock.now_ms += 1_000
        assert (await api.get(path(), scope=None)).status == 200


# --- The page --------------------------------------------------------------------------------


async def page(api: ApiClient, query: str, status: int = 200) -> str:
    answer = await api.get(query, scope=None)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "form-action 'self'; frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    return answer.content.decode()


async def test_the_page_asks_and_the_link_of_a_code_answers(
    api: ApiClient, row: InvoiceRow
) -> None:
    assert "data-verdict" not in await page(api, "/verify")
    link = qr_text(Facts(NUMBER, 11_300, HASH), "http://x.example")
    html = await page(api, link.removeprefix("http://x.example"))
    assert 'data-verdict="valid"' in html
    assert "晨光纸业" in html
    assert "¥113.00" in html


@pytest.mark.parametrize("base", [None, "https://elsewhere.example"])
async def test_a_pasted_text_of_a_code_answers(
    api: ApiClient, row: InvoiceRow, base: str | None
) -> None:
    text = quote(f"  {qr_text(Facts(NUMBER, 11_300, HASH), base)}\n", safe="")
    assert 'data-verdict="valid"' in await page(api, f"/verify?text={text}&number=&amount=&hash=")


@pytest.mark.parametrize(
    ("amount", "verdict"),
    [
        ("113", "valid"),
        ("113.00", "valid"),
        ("%C2%A5113.0", "valid"),
        ("113.01", "mismatch"),
        ("11300", "mismatch"),
        ("-113.00", "mismatch"),
    ],
)
async def test_a_person_types_what_is_printed(
    api: ApiClient, row: InvoiceRow, amount: str, verdict: str
) -> None:
    html = await page(api, f"/verify?text=&number={NUMBER}&amount={amount}&hash={HASH}")
    assert f'data-verdict="{verdict}"' in html
    assert ("晨光纸业" in html) == (verdict == "valid")


@pytest.mark.parametrize(
    "query",
    [
        "/verify?text=hello",
        f"/verify?text={'x' * 3_000}",
        "/verify?number=1",
        f"/verify?number={NUMBER}&hash={HASH}",
        f"/verify?number={NUMBER}&amount=1e3&hash={HASH}",
        f"/verify?number={NUMBER}&amount=NaN&hash={HASH}",
        "/verify?text=%3Cscript%3E",
    ],
)
async def test_what_cannot_be_read_is_said_and_shown_as_text(api: ApiClient, query: str) -> None:
    html = await page(api, query, 400)
    assert 'data-verdict="unreadable"' in html
    assert "<script" not in html

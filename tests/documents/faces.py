"""Faces for the tests: an everyday one, and one of everything that is hard."""

from __future__ import annotations

from dataclasses import replace

from node.domains.invoices.documents.face import Face, Group, Mark, PartyBlock, Row
from node.domains.invoices.documents.qr import Facts, qr_text

TRANSACTION = "5b1fe2" + "0c" * 29
NUMBER = "26440000000000000123"
HOSTILE = "<script>alert('x')</script> & \"quotes\" {{ 7 * 7 }}"


def ordinary() -> Face:
    """A Chinese invoice of three lines, a discount and two rates."""
    return Face(
        number=NUMBER,
        special=False,
        currency="CNY",
        decimals=2,
        issue_date="2026-11-26",
        seller=PartyBlock(
            "深圳市晨光纸业有限公司",
            (
                ("tax_id", "91440300MA5EXAMP1X"),
                ("address", "深圳市南山区科技园中区科苑路15号"),
                ("phone", "0755-8601 2345"),
                ("bank", "招商银行深圳科技园支行"),
                ("account", "7559 1234 5678 901"),
            ),
        ),
        buyer=PartyBlock(
            "福建海峡贸易有限公司",
            (
                ("tax_id", "91350100M000100Y43"),
                ("address", "福州市鼓楼区五四路128号恒力城写字楼18层"),
            ),
        ),
        details="opened",
        rows=(
            Row(
                name="*纸制品*A4复印纸 80克",
                code="1060105020000000000",
                model="500张/包",
                unit="箱",
                quantity="10",
                unit_price="185.8407079646018",
                net=185_841,
                rate=1300,
                tax=24_159,
                kind="discounted",
            ),
            Row(
                name="*纸制品*A4复印纸 80克",
                net=-18_584,
                rate=1300,
                tax=-2_416,
                kind="discount",
            ),
            Row(
                name="*物流辅助服务*同城配送费",
                unit="次",
                quantity="1",
                unit_price="94.34",
                net=9_434,
                rate=600,
                tax=566,
            ),
        ),
        groups=(Group(600, 9_434, 566), Group(1300, 167_257, 21_743)),
        net=176_691,
        tax=22_309,
        gross=199_000,
        remarks="请于收货后七日内核对。\nPlease check within seven days of delivery.",
        references=(("external_number", "SO-2026-0001"), ("due_date", "2026-12-26")),
        drawer="王小明",
        marks=(Mark("issued"),),
        transaction=TRANSACTION,
        network="9f" * 32,
        height=1_234,
        issued_ms=1_795_692_256_000,
        seen_height=1_301,
        seen_ms=1_795_692_596_000,
        qr=qr_text(Facts(NUMBER, 199_000, TRANSACTION), "https://fapiao.example.cn"),
    )


def cancelled() -> Face:
    return replace(ordinary(), marks=(Mark("cancelled"), Mark("not_final")))


def sealed() -> Face:
    """What somebody sees who is no party, of a buyer known by a bare key."""
    return replace(
        ordinary(),
        details="sealed",
        rows=(),
        remarks=None,
        references=(),
        drawer=None,
        seller=PartyBlock("深圳市晨光纸业有限公司", (("tax_id", "91440300MA5EXAMP1X"),)),
        buyer=PartyBlock(None, (("party_key", "ab" * 32),)),
        marks=(Mark("partly_credited", 50_000), Mark("locked", 20_000), Mark("reimbursed", 99_000)),
    )


def red() -> Face:
    """A red-letter invoice in pounds."""
    return replace(
        ordinary(),
        currency="GBP",
        original="26440000000000000001",
        rows=(
            Row(
                name="WHITE HANGING HEART T-LIGHT HOLDER, Zażółć gęślą jaźń",
                code="85123A",
                quantity="-6",
                unit_price="2.55",
                net=-1_530,
                rate=2000,
                tax=-306,
                original_line=2,
            ),
        ),
        groups=(Group(2000, -1_530, -306),),
        net=-1_530,
        tax=-306,
        gross=-1_836,
        claim_key="plk1-" + "7c" * 32,
        marks=(Mark("red_document"),),
    )


def hostile() -> Face:
    """Every text that a party can write is markup, a template, or a line too long."""
    return replace(
        ordinary(),
        seller=PartyBlock(HOSTILE, (("address", HOSTILE), ("bank", "长" * 500))),
        buyer=PartyBlock(HOSTILE),
        rows=(
            Row(
                name=HOSTILE + "W" * 400,
                code=HOSTILE[:32],
                model=HOSTILE + "名" * 150,
                unit=HOSTILE[:32],
                quantity="-123456789012345.1234567890123",
                unit_price="999999999999999.9999999999999",
                net=10**15,
                rate=9_999,
                tax=10**15,
                allowance=-(10**15),
            ),
        ),
        net=10**15,
        tax=10**15,
        gross=-(10**15),
        remarks=HOSTILE + "\u202e\U0001f9fe شكرا\n" * 60,
        references=(("payment_terms", HOSTILE),),
        drawer=HOSTILE,
        marks=(
            Mark("frozen"),
            Mark("partly_credited", 10**15),
            Mark("locked", 10**15),
            Mark("reimbursed", 10**15),
        ),
    )


def many_lines(count: int) -> Face:
    rows = tuple(
        Row(
            name=f"第{position}行 商品名称 Item {position}",
            code=f"{position:06d}",
            model="X-1",
            unit="件",
            quantity="2",
            unit_price="10.00",
            net=2_000,
            rate=1300,
            tax=260,
        )
        for position in range(1, count + 1)
    )
    net, tax = 2_000 * count, 260 * count
    return replace(
        ordinary(),
        rows=rows,
        groups=(Group(1300, net, tax),),
        net=net,
        tax=tax,
        gross=net + tax,
    )

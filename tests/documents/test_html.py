"""The face as HTML: what stands on it, and that nothing in it acts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from node.domains.invoices.documents.check import CheckForm, CheckView, render_check
from node.domains.invoices.documents.face import Face
from node.domains.invoices.documents.html import HtmlPage, render_face
from node.domains.invoices.documents.wording import Language
from tests.documents import faces

VOID = {"meta", "br", "input", "path"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on one that is not closed."""

    def __init__(self, page: HtmlPage) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self._open: list[str] = []
        self.feed(page.text)
        self.close()
        assert self._open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        (self.styles if self._open[-1:] == ["style"] else self.texts).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def check_inert(page: HtmlPage) -> Page:
    """No script, no style but the one that the policy names, nothing from elsewhere."""
    parsed = Page(page)
    assert not parsed.tags.keys() & {"script", "img", "iframe", "object", "embed", "base", "link"}
    for _, name, value in parsed.attributes:
        assert name != "style"
        assert not name.startswith("on")
        if name in {"href", "src", "action"}:
            assert value.startswith(("?lang=", "/verify"))
    (style,) = parsed.styles
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in page.policy
    assert "url(" not in style
    assert "@import" not in style
    assert ("meta", "content", page.policy) in parsed.attributes
    return parsed


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    "make",
    [faces.ordinary, faces.cancelled, faces.sealed, faces.red, faces.hostile],
    ids=lambda make: make.__name__,
)
def test_every_face_is_well_formed_and_inert(make: Callable[[], Face], language: Language) -> None:
    check_inert(render_face(make(), language))


def test_what_a_party_writes_is_text() -> None:
    page = render_face(faces.hostile(), Language.BOTH)
    parsed = check_inert(page)
    assert "<script>alert" not in page.text
    assert parsed.text.count(faces.HOSTILE) >= 5
    assert "49" not in re.findall(r"\b49\b", parsed.text), "a template in a text was run"


def test_the_face_in_both_languages() -> None:
    text = Page(render_face(faces.ordinary(), Language.BOTH)).text
    for part in (
        "电子发票（普通发票） Electronic invoice (ordinary)",
        "发票号码 Invoice no. 26440000000000000123",
        "2026年11月26日 · 26 Nov 2026",
        "有效 In force",
        "福建海峡贸易有限公司",
        "统一社会信用代码/税号 Tax ID 91440300MA5EXAMP1X",
        "折扣 Discount *纸制品*A4复印纸 80克 -185.84 13% -24.16",
        "185.8407079646018",
        "合计 Total ¥1,766.91 ¥223.09",
        "大写 In words 壹仟玖佰玖拾元整",
        "小写 In figures ¥1,990.00",
        "请于收货后七日内核对。",
        "CNY 人民币 Chinese Yuan",
        "开票人 Drawn by ： 王小明",
        "2026-11-26 11:29:56 UTC · 区块高度 Block 1301",
        faces.TRANSACTION,
        "9f" * 32,
    ):
        assert part in text


def test_each_language_alone() -> None:
    chinese = Page(render_face(faces.ordinary(), Language.ZH)).text
    english = Page(render_face(faces.ordinary(), Language.EN)).text
    assert "购买方信息" in chinese
    assert "Buyer" not in chinese
    assert "Buyer" in english
    assert "购买方信息" not in english
    assert "壹仟玖佰玖拾元整" in english, "the amount in words is part of the invoice"


def test_a_stranger_sees_the_public_part_and_is_told_so() -> None:
    text = Page(render_face(faces.sealed(), Language.EN)).text
    assert "The details are sealed for the parties and the tax bureau" in text
    assert "One-time key, identity not public" in text
    assert "Red-lettered in part ¥500.00" in text
    assert "Locked for reimbursement ¥200.00" in text
    assert "Reimbursed ¥990.00" in text
    assert "A4复印纸" not in text
    assert "1,672.57 13% 217.43" in text


def test_a_red_letter_names_the_invoice_it_corrects_and_is_negative() -> None:
    text = Page(render_face(faces.red(), Language.EN)).text
    assert "Corrects invoice no. 26440000000000000001" in text
    assert "负壹拾捌点叁陆英镑" in text
    assert "-£18.36" in text
    assert "Takes back line 2" in text
    assert "Claim key plk1-" in text


def test_a_cancelled_invoice_is_stamped() -> None:
    page = Page(render_face(faces.cancelled(), Language.BOTH))
    assert ("div", "class", "stamp serif") in page.attributes
    assert "已作废 Cancelled 尚未最终确认 Not final yet" in page.text


def test_equal_faces_make_equal_pages() -> None:
    assert render_face(faces.ordinary(), Language.BOTH) == render_face(
        faces.ordinary(), Language.BOTH
    )


# --- The check page --------------------------------------------------------------------------


def _view(**fields: object) -> CheckView:
    values: dict[str, object] = {
        "verdict": "valid",
        "height": 9,
        "time": "2026-11-26T11:24:16.000Z",
        "number": faces.NUMBER,
        "issuer_id": "91440300MA5EXAMP1X",
        "issuer_name": faces.HOSTILE,
        "currency": "CNY",
        "gross": 199_000,
        "issue_date": "2026-11-26",
        "transaction": faces.TRANSACTION,
    }
    return CheckView(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("view", "tone"),
    [
        (_view(), "good"),
        (_view(frozen=True), "bad"),
        (_view(verdict="cancelled"), "bad"),
        (_view(verdict="red_lettered", amounts=(("credited_amount", 100),)), "warn"),
        (_view(verdict="red_lettered", whole=True), "bad"),
        (_view(verdict="locked", amounts=(("locked", 5),)), "warn"),
        (_view(verdict="reimbursed", amounts=(("reimbursed", 5),)), "warn"),
        (CheckView("mismatch", 9), "bad"),
        (CheckView("unknown", 9), "calm"),
        (CheckView("unreadable"), "calm"),
    ],
)
@pytest.mark.parametrize("language", list(Language))
def test_every_verdict_has_its_words_and_colour(
    view: CheckView, tone: str, language: Language
) -> None:
    parsed = check_inert(render_check(view, CheckForm(text=faces.HOSTILE), language))
    assert ("div", "class", f"verdict {tone}") in parsed.attributes
    assert ("section", "data-verdict", view.verdict) in parsed.attributes
    assert (faces.HOSTILE in parsed.text) or view.number is None
    assert "form-action 'self'" in render_check(view, CheckForm(), language).policy


def test_without_a_question_there_is_only_the_form() -> None:
    parsed = check_inert(render_check(None, CheckForm(), Language.BOTH))
    assert not any(name == "data-verdict" for _, name, _ in parsed.attributes)
    names = {value for tag, name, value in parsed.attributes if name == "name" and tag != "meta"}
    assert names == {"text", "number", "amount", "hash", "lang"}

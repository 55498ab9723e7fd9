"""The check page: what a stranger with a paper invoice is told, in clear words. Owns its rendering.

Works without scripts: a form that asks by GET, and the answer above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal
from urllib.parse import urlencode

from markupsafe import Markup

from node.domains.invoices.documents.figures import date_text, money
from node.domains.invoices.documents.html import (
    HtmlPage,
    environment,
    label_markup,
    style_policy,
    stylesheet,
)
from node.domains.invoices.documents.wording import Language, words

Verdict = Literal[
    "valid", "mismatch", "cancelled", "red_lettered", "locked", "reimbursed", "unknown"
]
_SIGNS = {"good": "✓", "warn": "!", "bad": "✕", "calm": "?"}


@dataclass(frozen=True, slots=True)
class CheckForm:
    """What was asked, to be shown again."""

    text: str = ""
    number: str = ""
    amount: str = ""
    hash: str = ""
    gross: str = ""
    """Minor units, from a link; the form itself asks for `amount`."""

    def link(self, language: Language) -> str:
        """The same question in another language."""
        asked = ("text", "number", "amount", "hash", "gross")
        fields = {name: getattr(self, name) for name in asked if getattr(self, name)}
        return f"?{urlencode({'lang': language.value, **fields})}"

    @property
    def empty(self) -> bool:
        """Whether nothing was asked."""
        return not (self.text or self.number or self.amount or self.hash or self.gross)


@dataclass(frozen=True, slots=True)
class CheckView:
    """The answer. Without a number, nothing but the verdict may be told."""

    verdict: Verdict | Literal["unreadable"]
    height: int = 0
    time: str = ""
    final: bool = True
    number: str | None = None
    issuer_id: str = ""
    issuer_name: str = ""
    special: bool = False
    currency: str = ""
    decimals: int = 2
    gross: int = 0
    issue_date: str = ""
    original: str | None = None
    frozen: bool = False
    amounts: Sequence[tuple[str, int]] = ()
    """(Label key, amount) of what was taken from the invoice."""
    whole: bool = False
    """Red-lettered in full."""
    transaction: str = ""

    @property
    def tone(self) -> str:
        """How the answer is coloured."""
        match self.verdict:
            case "valid":
                return "bad" if self.frozen else "good"
            case "mismatch" | "cancelled":
                return "bad"
            case "red_lettered":
                return "bad" if self.whole or self.frozen else "warn"
            case "locked" | "reimbursed":
                return "bad" if self.frozen else "warn"
            case _:
                return "calm"


def render_check(view: CheckView | None, form: CheckForm, language: Language) -> HtmlPage:
    """The page, with an answer or only the form."""
    css = stylesheet("check.css")
    policy = style_policy(css, form=True)
    text = (
        environment()
        .get_template("check.html")
        .render(
            view=view,
            form=form,
            tag=language.tag,
            language=language,
            languages=Language,
            css=Markup(css),  # noqa: S704 - our own file
            policy=policy,
            t=partial(label_markup, language=language),
            plain=partial(words, language=language),
            sign=None if view is None else _SIGNS[view.tone],
            money=money,
            issue_date=date_text(view.issue_date, language) if view and view.issue_date else "",
        )
    )
    return HtmlPage(text, policy)

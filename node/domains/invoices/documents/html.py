"""Documents as HTML: one file each, with its style inside and nothing from anywhere else.

Owns rendering and the content security policy that fits the page. Every text is escaped by the
template engine; what is markup here was made here.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from node.domains.invoices.documents.capitals import capital_amount
from node.domains.invoices.documents.face import GRAVE_MARKS, Face
from node.domains.invoices.documents.figures import (
    currency_name,
    date_text,
    figure,
    moment_text,
    money,
    rate_text,
)
from node.domains.invoices.documents.qr import qr_svg
from node.domains.invoices.documents.wording import Language, parts, words

_TONES = {
    "issued": "good",
    "red_document": "bad",
    "cancelled": "bad",
    "credited": "bad",
    "frozen": "bad",
    "partly_credited": "warn",
    "red_reserved": "warn",
    "locked": "warn",
    "reimbursed": "warn",
    "refund_due": "warn",
    "rejected": "warn",
    "disputed": "warn",
    "not_final": "calm",
}


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A page and the policy to send with it."""

    text: str
    policy: str


def render_face(face: Face, language: Language) -> HtmlPage:
    """The face of an invoice."""
    css = stylesheet("face.css")
    policy = style_policy(css)
    label = partial(label_markup, language=language)
    text = (
        environment()
        .get_template("face.html")
        .render(
            face=face,
            tag=language.tag,
            css=Markup(css),  # noqa: S704 - our own file
            policy=policy,
            t=label,
            plain=partial(words, language=language),
            colon=language.colon,
            cell=partial(_cell, language=language),
            tone=_TONES.__getitem__,
            stamps=[mark for mark in face.marks if mark.kind in GRAVE_MARKS][:1],
            qr=Markup(qr_svg(face.qr)),  # noqa: S704 - paths and numbers only
            issue_date=date_text(face.issue_date, language),
            currency=currency_name(face.currency, language),
            capitals=capital_amount(face.gross, face.currency, face.decimals),
            negative=" negative" if face.gross < 0 else "",
            money=partial(money, currency=face.currency, decimals=face.decimals),
            figure=partial(figure, decimals=face.decimals),
            rate=rate_text,
            moment=moment_text,
        )
    )
    return HtmlPage(text, policy)


def label_markup(key: str, *, language: Language) -> Markup:
    """A label, each language in an element that says which it is."""
    return Markup(" ").join(
        Markup('<span lang="{}">{}</span>').format(code, text)
        for code, text in zip(language.codes, parts(key, language), strict=True)
    )


def style_policy(css: str, *, form: bool = False) -> str:
    """A policy that allows this very style sheet, and a form to this origin if asked for."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    action = "'self'" if form else "'none'"
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action {action}"


@lru_cache(maxsize=8)
def stylesheet(name: str) -> str:
    """The shared style and that of one page."""
    engine = environment()
    loader = engine.loader
    assert loader is not None, "made with one"
    return "".join(loader.get_source(engine, part)[0] for part in ("base.css", name))


def _cell(key: str, text: str | None, kinds: str, *, language: Language) -> Markup:
    """A table cell that knows its column's label, for screens too narrow for columns."""
    if not text:
        return Markup('<td class="empty"></td>')
    return Markup('<td class="{}" data-label="{}">{}</td>').format(
        kinds, words(key, language), escape(text)
    )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The template engine: what is not marked as markup is escaped."""
    return Environment(
        loader=PackageLoader("node.domains.invoices.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

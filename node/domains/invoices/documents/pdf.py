"""The face of an invoice as a PDF. Owns the order of its boxes.

The same order as on paper: code, title and number; parties; lines; totals in words and figures;
remarks; and what the ledger says. Equal faces give equal bytes.
"""

from __future__ import annotations

from node.domains.invoices.documents import pdf_below, pdf_head
from node.domains.invoices.documents.face import Face
from node.domains.invoices.documents.pdf_lines import LinesTable
from node.domains.invoices.documents.pdf_page import Page
from node.domains.invoices.documents.wording import Language


def render_pdf(face: Face, language: Language) -> bytes:
    """The face as a PDF file with its fonts embedded."""
    page = Page(face, language)
    page.add_page()
    pdf_head.draw_head(page)
    pdf_head.draw_marks(page)
    if face.details != "opened":
        pdf_head.draw_note(page, f"details_{face.details}")
    pdf_head.draw_parties(page)
    LinesTable(page).draw()
    pdf_below.draw_totals(page)
    pdf_below.draw_remarks(page)
    if face.claim_key is not None:
        pdf_below.draw_claim_key(page, face.claim_key)
    pdf_below.draw_ledger(page)
    return bytes(page.output())

"""Documents that people hold: the face of an invoice as HTML and PDF, its QR code, the check page.

Knows view models only: no ledger row, no HTTP, no clock.
"""

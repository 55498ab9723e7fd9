"""EN 16931 invoices in UBL 2.1: read, checked, mapped to our fields, and written back. Pure.

`reading` makes a tree of the bytes, `rules` checks it, `mapping` makes an invoice of it, `residue`
keeps what our fields do not say, `values` says our fields in UBL's words, `native` lays out an
invoice that never was UBL, `writing` makes bytes of a tree.
"""

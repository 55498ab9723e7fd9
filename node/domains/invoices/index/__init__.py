"""The invoices' part of the query index: lists, traces, the inbox, monthly statements."""

"""Invoices from issue to reimbursement and red letter."""

"""Invoices on the command line."""

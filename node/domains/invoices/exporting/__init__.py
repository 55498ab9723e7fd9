"""Invoices of the ledger as tables for people and spreadsheets. Needs no node and no network."""

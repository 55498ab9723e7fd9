"""Invoices over HTTP: routes, bodies, answers."""

"""Issuing holds (DOMAIN 3, row 16): their operations, rows and rules."""

"""The law of invoices (DOMAIN §2, §3): registers, issuing, claims, red letters. Pure."""

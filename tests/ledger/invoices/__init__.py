"""The law of invoices, rule by rule."""

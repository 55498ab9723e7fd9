"""What is sealed to the parties of an invoice: shapes, totals, canonical text."""

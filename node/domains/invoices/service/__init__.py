"""What a node does with invoices beyond the ledger: numbers, sealing, opening, examining."""

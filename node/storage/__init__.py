"""SQLite: Raft log, ledger (state and chain), outbox, query index; and the durable marker."""

"""The Piaolian node: ledger rules, proofs, storage, API, command line and their wiring."""

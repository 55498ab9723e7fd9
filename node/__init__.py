"""The Piaolian node: ledger rules, proofs, storage, API, command line and their wiring."""

__version__ = "0.1.0"

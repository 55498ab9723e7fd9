"""What tests of several rooms share: histories kept by a real ledger, transactions."""

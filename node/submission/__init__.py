"""Transactions on their way to a block: admitted, kept, pooled, spread."""

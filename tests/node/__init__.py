"""Tests of the node's own parts: pool, pace, outbox, finality, sealing."""

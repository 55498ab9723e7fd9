"""Raft over opaque bytes: a sans-IO core and one async driver.

Knows nothing of p2p or node. An embedder supplies a log store, a sender, an applier and an
authority (see `consensus.ports`) and gets entries in one agreed order.
"""

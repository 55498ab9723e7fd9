"""Authenticated channels and gossip of opaque bytes between known identities.

Knows nothing of consensus or node. The handshake, the frames and the gossip rules are sans-IO.
"""

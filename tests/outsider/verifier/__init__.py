"""A verifier of proofs and evidence that shares no code with the product.

It follows `node/chain/README.md`, section by section, with the standard library and libsodium's
Ed25519 and nothing else. What it needs and the page does not say is a fault of the page.
"""

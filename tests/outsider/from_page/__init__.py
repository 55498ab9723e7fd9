"""A verifier of proofs and evidence whose author had read `node/chain/README.md` and nothing else.

It follows that page section by section, with the standard library and one library's Ed25519, and
shares no code with the product. What it needs and the page does not say is a fault of the page.
"""

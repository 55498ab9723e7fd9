"""Proof: Merkle tree, seal, checkpoint, cosignature, certificate, proof file, evidence. Pure."""

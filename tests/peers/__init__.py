"""Tests of `node.peers`."""

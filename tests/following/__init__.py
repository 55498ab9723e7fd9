"""Tests of `node.following`."""

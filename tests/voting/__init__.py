"""Tests of `node.voting`."""

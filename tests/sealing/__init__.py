"""Tests of `node.sealing.format`."""

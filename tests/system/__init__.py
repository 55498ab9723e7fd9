"""Tests of `node.system`."""

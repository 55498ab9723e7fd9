"""Tests of `node.submission`."""

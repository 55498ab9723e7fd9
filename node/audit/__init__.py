"""Checks everything that a node has stored, from its files alone."""

"""Planted bugs: known ways to break Raft, each of which the tests must notice."""

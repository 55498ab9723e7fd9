"""Participants, keys and proposals over HTTP."""

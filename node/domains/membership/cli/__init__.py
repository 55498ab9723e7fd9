"""Participants, keys and proposals on the command line."""

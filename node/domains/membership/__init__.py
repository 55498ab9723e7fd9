"""Participants, their keys and roles, and how governors decide about them."""

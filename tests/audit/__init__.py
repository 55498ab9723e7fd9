"""The audit of a data folder."""

"""A key-value server in a process of its own that embeds `consensus` and nothing else.

What the tests and measurements of real processes run: `python -m tests.raftkv --help`.
"""

"""What is wrong with something that was handed in. Owns the base of such errors.

A command tells the message alone, without a trace: whoever ran it can mend the cause.
"""

from __future__ import annotations


class InputError(ValueError):
    """A file that was handed in cannot be used; nothing of it was."""

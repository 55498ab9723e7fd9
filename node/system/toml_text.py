"""Reading TOML that somebody else wrote. Owns that every fault of it is one kind of error.

The parser of the standard library has an error of its own, but a number of 5,000 digits, or arrays
of 5,000 levels within each other, end it with others. Knows no document.
"""

from __future__ import annotations

import tomllib
from typing import Any


class TomlError(ValueError):
    """The text is no TOML that can be read; says why."""


def read_toml(text: str) -> dict[str, Any]:
    """The document of a text.

    Raises:
        TomlError: never another error, whatever the text.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise TomlError("tables or arrays are nested too deeply") from error
    except ValueError as error:  # tomllib's own is one too
        raise TomlError(str(error)) from error

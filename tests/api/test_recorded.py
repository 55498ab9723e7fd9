"""The API's description changes only where somebody means it to."""

from __future__ import annotations

import json

from tests.api.recording import PARTS, parts


def test_the_description_is_as_kept() -> None:
    """What is meant to differ is written anew by `python -m tests.api.recording`."""
    assert parts() == json.loads(PARTS.read_text())

"""The API's description changes only where somebody means it to."""

from __future__ import annotations

import json

import pytest

from node.domains.description import Domain
from node.runtime.domains import DOMAINS
from tests.api.recording import kept_file, parts


@pytest.mark.parametrize("domain", [None, *DOMAINS], ids=lambda d: d.name if d else "core")
def test_the_description_is_as_kept(domain: Domain | None) -> None:
    """What is meant to differ is written anew by `python -m tests.api.recording`."""
    kept = kept_file(None if domain is None else domain.name)

    assert parts(domain) == json.loads(kept.read_text())

"""The API's description part by part, as hashes kept beside the tests of core and domains.

`python -m tests.api.recording` writes the file anew. A change of the description shows as the
parts that differ. Owns no judgement (`test_recorded`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from node.domains.description import Domain
from node.runtime.domains import DOMAINS
from node.runtime.routes import description

_CODES = re.compile(r"^\| [A-Z_]+ \| [0-9]* ?\|.*$\n?", re.MULTILINE)


def kept_file(domain: str | None) -> Path:
    """Where the parts of a domain are kept; None: those of the core."""
    folder = Path(__file__).parent
    return (folder if domain is None else folder.parent / "domains" / domain) / "openapi-parts.json"


def parts(domain: Domain | None) -> dict[str, str]:
    """Hash by part: each operation, each component, and what else there is.

    A domain's are those that a network has with it and has not without any.
    """
    core = _hashes(())
    return (
        core
        if domain is None
        else {name: value for name, value in _hashes((domain,)).items() if core.get(name) != value}
    )


def _hashes(domains: Sequence[Domain]) -> dict[str, str]:
    document = description(domains, "recorded")
    # Of the codes a test of their own says that each stands there.
    document["info"]["description"] = _CODES.sub("", document["info"]["description"])
    found: dict[str, Any] = {
        f"{method.upper()} {path}": operation
        for path, methods in document.pop("paths").items()
        for method, operation in methods.items()
    }
    for group, components in document.pop("components").items():
        found |= {f"{group} {name}": value for name, value in components.items()}
    found |= document
    return {name: _hash(value) for name, value in sorted(found.items())}


def _hash(value: object) -> str:
    # Not sorted: byte for byte the same, but for the order of the parts themselves.
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


if __name__ == "__main__":
    for each in (None, *DOMAINS):
        file = kept_file(None if each is None else each.name)
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(parts(each), indent=1) + "\n")
